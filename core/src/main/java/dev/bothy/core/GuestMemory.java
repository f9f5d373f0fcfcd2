package dev.bothy.core;

import dev.bothy.host.HostMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * Guest-physical RAM: one host mapping, seen by the guest as a low region from address 0 and, above
 * {@link #LOW_LIMIT}, a high region from 4 GiB. Devices reach guest RAM only through this class:
 * every access is bounds-checked, reads outside RAM give all ones, writes outside are dropped, byte
 * by byte.
 *
 * <p>Plain accesses; aligned ones up to 8 bytes are atomic. Thread-safe in that sense.
 */
public final class GuestMemory implements AutoCloseable {
  /** First address above low RAM: the last GiB below 4 GiB belongs to devices. */
  public static final long LOW_LIMIT = 0xC000_0000L;

  /** Where RAM goes on above the devices. */
  public static final long HIGH_START = 0x1_0000_0000L;

  private static final long PAGE = 4096;

  /** One contiguous piece of RAM as the guest sees it. */
  public record Region(long start, long length, long hostAddress) {}

  private static final VarHandle SHORT = ValueLayout.JAVA_SHORT.varHandle();

  private final HostMemory host;
  private final MemorySegment segment;
  private final long size;
  private final long lowSize;
  private final List<WriteObserver> observers = new CopyOnWriteArrayList<>();

  /**
   * Reserves RAM.
   *
   * @param size bytes, a multiple of 4096, above 0
   */
  public GuestMemory(long size) {
    if (size <= 0 || (size & 0xfff) != 0) {
      throw new IllegalArgumentException("RAM size must be a positive multiple of 4096: " + size);
    }
    this.host = HostMemory.allocate(size);
    this.segment = host.segment();
    this.size = size;
    this.lowSize = Math.min(size, LOW_LIMIT);
  }

  /** Bytes of RAM. */
  public long size() {
    return size;
  }

  /** RAM by guest-physical address. */
  public List<Region> regions() {
    Region low = new Region(0, lowSize, host.address());
    return size == lowSize
        ? List.of(low)
        : List.of(low, new Region(HIGH_START, size - lowSize, host.address() + lowSize));
  }

  /** Offset into the host mapping of guest-physical {@code address}, or -1 outside RAM. */
  public long offsetOf(long address) {
    if (Long.compareUnsigned(address, lowSize) < 0) {
      return address;
    }
    long high = address - HIGH_START;
    return Long.compareUnsigned(high, size - lowSize) < 0 && address >= HIGH_START
        ? high + lowSize
        : -1;
  }

  /**
   * Host address of the RAM page frame that holds {@code address}'s byte, or -1 outside RAM. For
   * engines only.
   */
  public long hostAddressOf(long address) {
    long offset = offsetOf(address);
    return offset < 0 ? -1 : host.address() + offset;
  }

  /** True if all {@code length} bytes from {@code address} are RAM in one region. */
  public boolean contains(long address, long length) {
    if (length <= 0) {
      return length == 0;
    }
    long first = offsetOf(address);
    long last = offsetOf(address + length - 1);
    return first >= 0 && last - first == length - 1;
  }

  public int readByte(long address) {
    long offset = offsetOf(address);
    return offset < 0 ? 0xff : segment.get(ValueLayout.JAVA_BYTE, offset) & 0xff;
  }

  public int readShort(long address) {
    return contains(address, 2)
        ? segment.get(ValueLayout.JAVA_SHORT_UNALIGNED, offsetOf(address)) & 0xffff
        : (int) readSplit(address, 2);
  }

  public int readInt(long address) {
    return contains(address, 4)
        ? segment.get(ValueLayout.JAVA_INT_UNALIGNED, offsetOf(address))
        : (int) readSplit(address, 4);
  }

  public long readLong(long address) {
    return contains(address, 8)
        ? segment.get(ValueLayout.JAVA_LONG_UNALIGNED, offsetOf(address))
        : readSplit(address, 8);
  }

  private long readSplit(long address, int length) {
    long value = 0;
    for (int i = 0; i < length; i++) {
      value |= (long) readByte(address + i) << (8 * i);
    }
    return value;
  }

  public void writeByte(long address, int value) {
    long offset = offsetOf(address);
    if (offset >= 0) {
      segment.set(ValueLayout.JAVA_BYTE, offset, (byte) value);
      notifyWritten(address, 1);
    }
  }

  public void writeShort(long address, int value) {
    if (contains(address, 2)) {
      segment.set(ValueLayout.JAVA_SHORT_UNALIGNED, offsetOf(address), (short) value);
      notifyWritten(address, 2);
    } else {
      writeSplit(address, 2, value);
    }
  }

  public void writeInt(long address, int value) {
    if (contains(address, 4)) {
      segment.set(ValueLayout.JAVA_INT_UNALIGNED, offsetOf(address), value);
      notifyWritten(address, 4);
    } else {
      writeSplit(address, 4, value);
    }
  }

  public void writeLong(long address, long value) {
    if (contains(address, 8)) {
      segment.set(ValueLayout.JAVA_LONG_UNALIGNED, offsetOf(address), value);
      notifyWritten(address, 8);
    } else {
      writeSplit(address, 8, value);
    }
  }

  private void writeSplit(long address, int length, long value) {
    for (int i = 0; i < length; i++) {
      writeByte(address + i, (int) (value >>> (8 * i)));
    }
  }

  /** Copies out of RAM; bytes outside RAM come as 0xff. */
  public void read(long address, byte[] target, int from, int length) {
    java.util.Objects.checkFromIndexSize(from, length, target.length);
    if (contains(address, length)) {
      MemorySegment.copy(
          segment,
          ValueLayout.JAVA_BYTE,
          length == 0 ? 0 : offsetOf(address),
          target,
          from,
          length);
    } else {
      for (int i = 0; i < length; i++) {
        target[from + i] = (byte) readByte(address + i);
      }
    }
  }

  /** Copies into RAM; bytes outside RAM are dropped. */
  public void write(long address, byte[] source, int from, int length) {
    java.util.Objects.checkFromIndexSize(from, length, source.length);
    if (contains(address, length)) {
      MemorySegment.copy(
          source,
          from,
          segment,
          ValueLayout.JAVA_BYTE,
          length == 0 ? 0 : offsetOf(address),
          length);
      tellWritten(address, length);
    } else {
      for (int i = 0; i < length; i++) {
        writeByte(address + i, source[from + i]);
      }
    }
  }

  public void write(long address, byte[] source) {
    write(address, source, 0, source.length);
  }

  /**
   * The RAM at {@code address} itself, for devices that read or write many bytes without a copy;
   * null unless all {@code length} bytes are RAM in one region. A vCPU may change the bytes at any
   * moment. Whoever writes to them calls {@link #tellWritten}.
   */
  public MemorySegment slice(long address, long length) {
    return contains(address, length)
        ? segment.asSlice(length == 0 ? 0 : offsetOf(address), length)
        : null;
  }

  /** The guest-physical address at which a segment from {@link #slice} begins. */
  public long addressOf(MemorySegment slice) {
    long offset = java.util.Objects.checkIndex(slice.address() - host.address(), size);
    return offset < lowSize ? offset : offset - lowSize + HIGH_START;
  }

  /**
   * Gives RAM that the guest does not need back to the host: the bytes at {@code address} become
   * zeros, or stay what they are where that would take work. Whole pages inside the range only, all
   * of which must be RAM in one region, or nothing happens.
   *
   * @return bytes that are the host's again
   */
  public long release(long address, long length) {
    long first = address + PAGE - 1 & -PAGE;
    long bytes = (address + length & -PAGE) - first;
    if (length <= 0
        || !contains(address, length)
        || bytes <= 0
        || !host.release(offsetOf(first), bytes)) {
      return 0;
    }
    notifyWritten(first, bytes);
    return bytes;
  }

  /** Tells the observers of a write to a {@link #slice}, after it; all of it must be RAM. */
  public void tellWritten(long address, long length) {
    if (length > 0) {
      notifyWritten(address, length);
    }
  }

  /**
   * Reads 2 bytes with acquire order: what a vCPU wrote before it wrote these is seen by later
   * reads.
   *
   * @param address even
   */
  public int readShortAcquire(long address) {
    long offset = offsetOf(address);
    return offset < 0 ? 0xffff : (short) SHORT.getAcquire(segment, offset) & 0xffff;
  }

  /**
   * Writes 2 bytes with release order: a vCPU that sees them sees all that was written before.
   *
   * @param address even
   */
  public void writeShortRelease(long address, int value) {
    long offset = offsetOf(address);
    if (offset >= 0) {
      SHORT.setRelease(segment, offset, (short) value);
      notifyWritten(address, 2);
    }
  }

  /** {@code observer} hears of every write made through this class (not of vCPUs' stores). */
  public void observeWrites(WriteObserver observer) {
    observers.add(observer);
  }

  /**
   * {@code observer} hears of none any more that begins after this; of one that has begun, another
   * thread may still be about to tell it.
   */
  public void ignoreWrites(WriteObserver observer) {
    observers.remove(observer);
  }

  private void notifyWritten(long address, long length) {
    for (WriteObserver observer : observers) {
      observer.written(address, length);
    }
  }

  /**
   * The whole RAM, low region first; for saving, loading and hashing while the machine is stopped.
   */
  public MemorySegment all() {
    return segment;
  }

  /** Fills RAM with zeros, as at power-on. The machine must be stopped. */
  public void clear() {
    host.clear();
  }

  @Override
  public void close() {
    host.close();
  }
}
