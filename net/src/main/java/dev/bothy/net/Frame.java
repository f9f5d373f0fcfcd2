package dev.bothy.net;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * An Ethernet frame, from the destination address to the end of the payload, without the check
 * sequence: pieces of memory in order, which belong to whoever made the frame, and what is
 * unfinished about it. Good for the duration of the call that it is handed over by.
 *
 * <p>The guest may change the memory of a frame it sends at any moment: who reads a field twice may
 * read two values.
 */
public final class Frame {
  /** The largest frame anybody hands over: an Ethernet header and 64 KiB of IP packet. */
  public static final int MAX_LENGTH = 14 + 65535;

  private final Offload offload;
  private final MemorySegment[] parts;
  private final int length;

  /**
   * A frame of the given pieces.
   *
   * @throws IllegalArgumentException if it is longer than {@link #MAX_LENGTH}
   */
  public Frame(Offload offload, MemorySegment... parts) {
    long sum = 0;
    for (MemorySegment part : parts) {
      sum += part.byteSize();
    }
    if (sum > MAX_LENGTH) {
      throw new IllegalArgumentException("a frame of " + sum + " bytes");
    }
    this.offload = Objects.requireNonNull(offload);
    this.parts = parts;
    this.length = (int) sum;
  }

  /** A finished frame of these bytes. */
  public static Frame of(byte[] bytes) {
    return new Frame(Offload.NONE, MemorySegment.ofArray(bytes));
  }

  /** What is unfinished. */
  public Offload offload() {
    return offload;
  }

  /** Bytes of all pieces. */
  public int length() {
    return length;
  }

  /** How many pieces there are. */
  public int parts() {
    return parts.length;
  }

  /** A piece, by its place from 0. */
  public MemorySegment part(int index) {
    return parts[index];
  }

  /**
   * Copies {@code count} bytes of the frame.
   *
   * @throws IndexOutOfBoundsException if there are not that many from {@code offset}, or no room
   */
  public void copyTo(int offset, MemorySegment target, long targetOffset, int count) {
    Objects.checkFromIndexSize(offset, count, length);
    int skip = offset;
    int left = count;
    long to = targetOffset;
    for (int i = 0; left > 0; i++) {
      int size = (int) parts[i].byteSize();
      int here = Math.min(size - skip, left);
      if (here > 0) {
        MemorySegment.copy(parts[i], skip, target, to, here);
        to += here;
        left -= here;
      }
      skip = Math.max(0, skip - size);
    }
  }

  /** As {@link #copyTo(int, MemorySegment, long, int)}, into an array. */
  public void copyTo(int offset, byte[] target, int targetOffset, int count) {
    Objects.checkFromIndexSize(offset, count, length);
    int skip = offset;
    int left = count;
    int to = targetOffset;
    for (int i = 0; left > 0; i++) {
      int size = (int) parts[i].byteSize();
      int here = Math.min(size - skip, left);
      if (here > 0) {
        MemorySegment.copy(parts[i], JAVA_BYTE, skip, target, to, here);
        to += here;
        left -= here;
      }
      skip = Math.max(0, skip - size);
    }
  }

  /** All bytes, copied. */
  public byte[] toArray() {
    byte[] bytes = new byte[length];
    copyTo(0, bytes, 0, length);
    return bytes;
  }

  /** The same frame in memory of its own, for keeping. */
  public Frame copy() {
    return new Frame(offload, MemorySegment.ofArray(toArray()));
  }
}
