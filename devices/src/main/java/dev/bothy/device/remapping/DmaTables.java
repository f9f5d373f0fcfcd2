package dev.bothy.device.remapping;

import dev.bothy.core.GuestMemory;

/**
 * The tables in memory by which accesses of functions are remapped, in legacy mode: "Intel
 * Virtualization Technology for Directed I/O", revision 3.1, sections 3.4, 3.7, 9.1, 9.3 and 9.8.
 * Nothing of them is kept.
 */
final class DmaTables {
  // Reasons of faults (appendix A).
  static final int NO_ROOT = 1;
  static final int NO_CONTEXT = 2;
  static final int BAD_CONTEXT = 3;
  static final int BEYOND_WIDTH = 4;
  static final int NOT_WRITABLE = 5;
  static final int NOT_READABLE = 6;
  static final int NO_PAGE_TABLE = 7;
  static final int NO_ROOT_TABLE = 8;
  static final int NO_CONTEXT_TABLE = 9;
  static final int RESERVED_IN_ROOT = 0xa;
  static final int RESERVED_IN_CONTEXT = 0xb;
  static final int RESERVED_IN_PAGE = 0xc;

  /** Address widths of 39 and 48 bits: three and four levels, in a context entry's code. */
  static final int WIDTHS = 0b110;

  /** Where an address is in an entry; bits above are reserved for wider ones. */
  private static final long ADDRESS = (1L << RemappingUnit.ADDRESS_BITS) - 1 & ~0xfffL;

  private static final int ENTRY = 16;

  private static final int PRESENT = 1;
  private static final int SILENT = 2;
  private static final int TYPE_SHIFT = 2;
  private static final int TABLES = 0;
  private static final int PASS_THROUGH = 2;

  // Reserved: what is neither defined nor ignored.
  private static final long ROOT_RESERVED = ~(ADDRESS | PRESENT);
  private static final long CONTEXT_RESERVED = 0xff0;

  /** Of the other half: all but width, what is ignored, and the domain. */
  private static final long CONTEXT_RESERVED_HIGH = ~0xff_ff7fL;

  private static final int READABLE = 1;
  private static final int WRITABLE = 2;
  private static final int LARGE = 1 << 7;

  /** Snooping and transient entries are not offered; bits 2 to 10, 52 to 61 and 63 are ignored. */
  private static final long PAGE_RESERVED = 1L << 62 | (1L << 52) - 1 & ~ADDRESS & ~0x7ffL;

  private static final int LEVEL_BITS = 9;
  private static final int PAGE_BITS = 12;

  /** Levels at which an entry may be a page: 4 KiB, 2 MiB, 1 GiB. */
  private static final int LARGEST = 3;

  /**
   * What an access comes to.
   *
   * @param physical where it goes, if {@code reason} is 0
   * @param silent the fault is not to be recorded
   */
  record Result(long physical, int reason, boolean silent) {}

  private DmaTables() {}

  /** An access of {@code function} of bus 0, with the root table at {@code root}. */
  static Result translate(
      GuestMemory memory, long root, int function, long address, boolean write) {
    if (!memory.contains(root, ENTRY)) {
      return new Result(0, NO_ROOT_TABLE, false);
    }
    long rootEntry = memory.readLong(root);
    if ((rootEntry & PRESENT) == 0) {
      return new Result(0, NO_ROOT, false);
    }
    if ((rootEntry & ROOT_RESERVED | memory.readLong(root + 8)) != 0) {
      return new Result(0, RESERVED_IN_ROOT, false);
    }
    long at = (rootEntry & ADDRESS) + (long) function * ENTRY;
    if (!memory.contains(at, ENTRY)) {
      return new Result(0, NO_CONTEXT_TABLE, false);
    }
    long context = memory.readLong(at);
    long more = memory.readLong(at + 8);
    boolean silent = (context & SILENT) != 0;
    if ((context & PRESENT) == 0) {
      return new Result(0, NO_CONTEXT, silent);
    }
    int type = (int) (context >>> TYPE_SHIFT) & 3;
    // Nobody looks at the address of tables where accesses pass.
    long beyond = type == PASS_THROUGH ? 0 : -1L << RemappingUnit.ADDRESS_BITS;
    if ((context & (CONTEXT_RESERVED | beyond) | more & CONTEXT_RESERVED_HIGH) != 0) {
      return new Result(0, RESERVED_IN_CONTEXT, silent);
    }
    int width = (int) more & 7;
    if (type != TABLES && type != PASS_THROUGH || (WIDTHS >>> width & 1) == 0) {
      return new Result(0, BAD_CONTEXT, silent);
    }
    int levels = width + 2;
    if (address >>> PAGE_BITS + levels * LEVEL_BITS != 0) {
      return new Result(0, BEYOND_WIDTH, silent);
    }
    return type == PASS_THROUGH
        ? new Result(address, 0, silent)
        : walk(memory, context & ADDRESS, levels, address, write, silent);
  }

  private static Result walk(
      GuestMemory memory, long table, int levels, long address, boolean write, boolean silent) {
    long next = table;
    for (int level = levels; ; level--) {
      int shift = PAGE_BITS + (level - 1) * LEVEL_BITS;
      long index = address >>> shift & (1 << LEVEL_BITS) - 1;
      long at = next + 8 * index;
      if (!memory.contains(at, 8)) {
        return new Result(0, NO_PAGE_TABLE, silent);
      }
      long entry = memory.readLong(at);
      if ((entry & (write ? WRITABLE : READABLE)) == 0) {
        return new Result(0, write ? NOT_WRITABLE : NOT_READABLE, silent);
      }
      boolean page = level == 1 || level <= LARGEST && (entry & LARGE) != 0;
      long within = (1L << shift) - 1;
      long reserved = PAGE_RESERVED | (page ? within & ADDRESS : 0) | (level > LARGEST ? LARGE : 0);
      if ((entry & reserved) != 0) {
        return new Result(0, RESERVED_IN_PAGE, silent);
      }
      if (page) {
        return new Result(entry & ADDRESS | address & within, 0, silent);
      }
      next = entry & ADDRESS;
    }
  }
}
