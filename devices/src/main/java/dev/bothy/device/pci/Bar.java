package dev.bothy.device.pci;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;

/**
 * A range of ports or memory behind one or two base address registers (PCI Local Bus specification
 * 3.0, 6.2.5). Not thread-safe: guarded by its function.
 */
final class Bar {
  static final int IO = 1;
  static final int WIDE = 4;
  static final int PREFETCHABLE = 8;

  private static final long PORT_END = 0x1_0000;

  /** No range reaches into the ROM, where sizing a register looks as if it did. */
  private static final long LOW_MEMORY_END = 0xffff_0000L;

  private static final long MEMORY_END = 1L << 52;

  private final int flags;
  private final long size;
  private final BusDevice target;
  private AddressSpace.Mapping mapping;

  /**
   * @param size a power of two: ports from 4 to 256, memory from 16
   */
  Bar(int flags, long size, BusDevice target) {
    this.flags = flags;
    this.size = size;
    this.target = target;
    boolean fits = io() ? size >= 4 && size <= 256 : size >= 16 && (wide() || size <= 1L << 31);
    if (Long.bitCount(size) != 1 || !fits) {
      throw new IllegalArgumentException("size of a base address register: " + size);
    }
  }

  boolean io() {
    return (flags & IO) != 0;
  }

  boolean wide() {
    return (flags & WIDE) != 0;
  }

  long size() {
    return size;
  }

  int flags() {
    return flags;
  }

  /** Bytes of the register, or of both. */
  int registerBytes() {
    return wide() ? 8 : 4;
  }

  /** The bits of the register that the guest may write; the others tell the range's size. */
  long addressMask() {
    return -size;
  }

  /** Neither unset nor in the middle of being sized. */
  private boolean decodes(long base) {
    long end = base + size;
    long limit = io() ? PORT_END : wide() ? MEMORY_END : LOW_MEMORY_END;
    return base > 0 && end > 0 && end <= limit;
  }

  /**
   * Maps the range where its register puts it, or nowhere.
   *
   * @param rank below 0, so that no range hides a device of the board
   */
  void place(String name, AddressSpace space, boolean enabled, long register, int rank) {
    long base = register & addressMask();
    if (!enabled || !decodes(base)) {
      if (mapping != null) {
        mapping.unmap();
        mapping = null;
      }
    } else if (mapping == null) {
      mapping = space.map(name, base, size, target, rank);
    } else if (mapping.base() != base) {
      mapping.moveTo(base);
    }
  }
}
