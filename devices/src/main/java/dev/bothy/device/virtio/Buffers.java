package dev.bothy.device.virtio;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Pieces of guest RAM that a driver has lent to a device, taken as one row of bytes. No copy: the
 * pieces are the RAM itself, and the guest may change them at any moment, so what is to be judged
 * is read once. Numbers are little-endian.
 *
 * <p>Positions that do not lie within {@link #length} are an error of the device's, {@link
 * IndexOutOfBoundsException}. Not thread-safe.
 */
public final class Buffers {
  /** No bytes. */
  public static final Buffers EMPTY = new Buffers(new MemorySegment[0], 0);

  private final MemorySegment[] pieces;
  private final int count;
  private final long length;

  Buffers(MemorySegment[] pieces, int count) {
    this.pieces = pieces;
    this.count = count;
    long sum = 0;
    for (int i = 0; i < count; i++) {
      sum += pieces[i].byteSize();
    }
    length = sum;
  }

  /** Bytes in all, less than 2^32. */
  public long length() {
    return length;
  }

  /** The pieces in their order; none is empty. */
  public List<MemorySegment> segments() {
    return Arrays.asList(pieces).subList(0, count);
  }

  /** A part of this row. */
  public Buffers slice(long from, long bytes) {
    Objects.checkFromIndexSize(from, bytes, length);
    if (from == 0 && bytes == length) {
      return this;
    }
    MemorySegment[] parts = new MemorySegment[count];
    int used = 0;
    long skip = from;
    long left = bytes;
    for (int i = 0; i < count && left > 0; i++) {
      long size = pieces[i].byteSize();
      if (skip >= size) {
        skip -= size;
        continue;
      }
      long take = Math.min(size - skip, left);
      parts[used++] = pieces[i].asSlice(skip, take);
      skip = 0;
      left -= take;
    }
    return new Buffers(parts, used);
  }

  /** Everything from {@code from} on. */
  public Buffers from(long from) {
    return slice(from, length - from);
  }

  /** Copies {@code bytes} bytes out of RAM. */
  public void read(long from, MemorySegment target, long at, long bytes) {
    copy(from, target, at, bytes, false);
  }

  /** Copies {@code bytes} bytes into RAM. */
  public void write(long from, MemorySegment source, long at, long bytes) {
    copy(from, source, at, bytes, true);
  }

  /** Copies out of RAM. */
  public void read(long from, byte[] target, int at, int bytes) {
    read(from, MemorySegment.ofArray(target), at, bytes);
  }

  /** Copies into RAM. */
  public void write(long from, byte[] source, int at, int bytes) {
    write(from, MemorySegment.ofArray(source), at, bytes);
  }

  /** A copy of {@code bytes} bytes. */
  public byte[] read(long from, int bytes) {
    byte[] copy = new byte[bytes];
    read(from, copy, 0, bytes);
    return copy;
  }

  private void copy(long from, MemorySegment other, long at, long bytes, boolean toRam) {
    Objects.checkFromIndexSize(from, bytes, length);
    long skip = from;
    long done = 0;
    for (int i = 0; i < count && done < bytes; i++) {
      MemorySegment piece = pieces[i];
      long size = piece.byteSize();
      if (skip >= size) {
        skip -= size;
        continue;
      }
      long take = Math.min(size - skip, bytes - done);
      if (toRam) {
        MemorySegment.copy(other, at + done, piece, skip, take);
      } else {
        MemorySegment.copy(piece, skip, other, at + done, take);
      }
      skip = 0;
      done += take;
    }
  }

  /** Sets {@code bytes} bytes to {@code value}. */
  public void fill(long from, long bytes, int value) {
    for (MemorySegment piece : slice(from, bytes).segments()) {
      piece.fill((byte) value);
    }
  }

  public int getByte(long at) {
    return (int) number(at, 1);
  }

  public int getShort(long at) {
    return (int) number(at, 2);
  }

  public int getInt(long at) {
    return (int) number(at, 4);
  }

  public long getLong(long at) {
    return number(at, 8);
  }

  public void putByte(long at, int value) {
    write(at, new byte[] {(byte) value}, 0, 1);
  }

  public void putShort(long at, int value) {
    putByte(at, value);
    putByte(at + 1, value >>> 8);
  }

  /** {@code size} bytes from {@code at}, each read once. */
  private long number(long at, int size) {
    Objects.checkFromIndexSize(at, size, length);
    if (count > 0 && at + size <= pieces[0].byteSize()) {
      return switch (size) {
        case 1 -> pieces[0].get(ValueLayout.JAVA_BYTE, at) & 0xffL;
        case 2 -> pieces[0].get(ValueLayout.JAVA_SHORT_UNALIGNED, at) & 0xffffL;
        case 4 -> pieces[0].get(ValueLayout.JAVA_INT_UNALIGNED, at) & 0xffff_ffffL;
        default -> pieces[0].get(ValueLayout.JAVA_LONG_UNALIGNED, at);
      };
    }
    byte[] bytes = read(at, size);
    long value = 0;
    for (int i = 0; i < size; i++) {
      value |= (bytes[i] & 0xffL) << (8 * i);
    }
    return value;
  }
}
