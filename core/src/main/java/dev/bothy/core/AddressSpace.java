package dev.bothy.core;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;

/**
 * Which device answers at which port or guest-physical address. Look-ups are lock-free and O(log
 * n); registration may change while the machine runs (PCI BARs) and takes effect at the next
 * look-up. Where ranges overlap, the one mapped last wins. Nothing there: reads give all ones,
 * writes are dropped. Thread-safe.
 */
public final class AddressSpace {
  private final String name;
  private final List<Mapping> mappings = new ArrayList<>();
  private volatile Mapping[] sorted = {};
  private final LongAdder unclaimedReads = new LongAdder();
  private final LongAdder unclaimedWrites = new LongAdder();

  /**
   * @param name for messages and statistics: "ports", "mmio"
   */
  public AddressSpace(String name) {
    this.name = name;
  }

  /** One registered range. */
  public final class Mapping {
    private final String device;
    private final BusDevice target;
    private final long length;
    private final LongAdder reads = new LongAdder();
    private final LongAdder writes = new LongAdder();
    private volatile long base;
    private long order;

    private Mapping(String device, BusDevice target, long base, long length) {
      this.device = device;
      this.target = target;
      this.base = base;
      this.length = length;
    }

    public String device() {
      return device;
    }

    public long base() {
      return base;
    }

    public long length() {
      return length;
    }

    /** Accesses so far. */
    public long reads() {
      return reads.sum();
    }

    public long writes() {
      return writes.sum();
    }

    /** Takes the range away; harmless when it is gone. */
    public void unmap() {
      synchronized (mappings) {
        mappings.remove(this);
        publish();
      }
    }

    /** Moves the range, mapping it if it was not. */
    public void moveTo(long newBase) {
      synchronized (mappings) {
        mappings.remove(this);
        requireRange(newBase, length);
        base = newBase;
        mappings.add(this);
        publish();
      }
    }

    private boolean contains(long address) {
      return Long.compareUnsigned(address - base, length) < 0;
    }
  }

  /**
   * Registers {@code target} at {@code base}.
   *
   * @throws IllegalArgumentException if the range is empty or wraps around
   */
  public Mapping map(String device, long base, long length, BusDevice target) {
    requireRange(base, length);
    Mapping mapping = new Mapping(device, target, base, length);
    synchronized (mappings) {
      mappings.add(mapping);
      publish();
    }
    return mapping;
  }

  private static void requireRange(long base, long length) {
    if (length <= 0 || base < 0 || base + length < 0) {
      throw new IllegalArgumentException(
          "bad range 0x" + Long.toHexString(base) + "+0x" + Long.toHexString(length));
    }
  }

  private void publish() {
    for (int i = 0; i < mappings.size(); i++) {
      mappings.get(i).order = i;
    }
    Mapping[] array = mappings.toArray(Mapping[]::new);
    java.util.Arrays.sort(array, (a, b) -> Long.compare(a.base, b.base));
    sorted = array;
  }

  /** The mapping that answers at {@code address}, or null. */
  public Mapping find(long address) {
    Mapping[] all = sorted;
    int low = 0;
    int high = all.length - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      if (all[middle].base <= address) {
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    Mapping best = null;
    // Ranges that start at or below the address; few overlap, but a wide early one may.
    for (int i = high; i >= 0; i--) {
      Mapping candidate = all[i];
      if (candidate.contains(address) && (best == null || candidate.order > best.order)) {
        best = candidate;
      }
    }
    return best;
  }

  /**
   * Reads {@code size} bytes (1, 2, 4 or 8); an access that leaves its device's range is made byte
   * by byte.
   */
  public long read(long address, int size) {
    Mapping mapping = find(address);
    if (mapping == null) {
      if (size > 1 && overlapsAny(address, size)) {
        return readBytes(address, size);
      }
      unclaimedReads.increment();
      return allOnes(size);
    }
    long offset = address - mapping.base;
    if (offset + size > mapping.length) {
      return readBytes(address, size);
    }
    mapping.reads.increment();
    return mapping.target.read(offset, size) & allOnes(size);
  }

  /**
   * Writes {@code size} bytes (1, 2, 4 or 8); an access that leaves its device's range is made byte
   * by byte.
   */
  public void write(long address, int size, long value) {
    Mapping mapping = find(address);
    if (mapping == null && !(size > 1 && overlapsAny(address, size))) {
      unclaimedWrites.increment();
      return;
    }
    if (mapping == null || address - mapping.base + size > mapping.length) {
      for (int i = 0; i < size; i++) {
        write(address + i, 1, value >>> (8 * i) & 0xff);
      }
      return;
    }
    mapping.writes.increment();
    mapping.target.write(address - mapping.base, size, value & allOnes(size));
  }

  private boolean overlapsAny(long address, int size) {
    return find(address + size - 1) != null;
  }

  private long readBytes(long address, int size) {
    long value = 0;
    for (int i = 0; i < size; i++) {
      value |= read(address + i, 1) << (8 * i);
    }
    return value;
  }

  private static long allOnes(int size) {
    return size == 8 ? -1L : (1L << (8 * size)) - 1;
  }

  /** All ranges by address, for statistics and {@code info}. */
  public List<Mapping> mappings() {
    return List.of(sorted);
  }

  public long unclaimedReads() {
    return unclaimedReads.sum();
  }

  public long unclaimedWrites() {
    return unclaimedWrites.sum();
  }

  public String name() {
    return name;
  }
}
