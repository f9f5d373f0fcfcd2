package dev.bothy.debug;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;

/**
 * A guest's page tables for somebody who only looks: no bit is set, no right asked for. AMD64 APM
 * volume 2, chapter 5.
 */
final class PageTables {
  private static final long PAGING = 1L << 31;
  private static final long PAGE_SIZE_EXTENSIONS = 1 << 4;
  private static final long PHYSICAL_ADDRESS_EXTENSIONS = 1 << 5;
  private static final long FIVE_LEVELS = 1 << 12;
  private static final long LONG_MODE_ACTIVE = 1 << 10;

  private static final int PRESENT = 1;
  private static final int LARGE = 0x80;
  private static final long FRAME = 0x000f_ffff_ffff_f000L;

  /** No address. */
  static final long UNMAPPED = -1;

  private final GuestMemory memory;
  private final long cr0;
  private final long cr3;
  private final long cr4;
  private final long efer;

  /** Lead on from the addresses that these tables have and lead to; or null. */
  private final PageTables nested;

  private PageTables(
      GuestMemory memory, long cr0, long cr3, long cr4, long efer, PageTables nested) {
    this.memory = memory;
    this.cr0 = cr0;
    this.cr3 = cr3;
    this.cr4 = cr4;
    this.efer = efer;
    this.nested = nested;
  }

  /** The present ones of the processor with this state, whose guest's guest may be what runs. */
  private static PageTables of(CpuState cpu, GuestMemory memory) {
    boolean nests =
        cpu.getInt32(SvmState.GUEST) != 0 && (cpu.get(SvmState.NESTED_CONTROL) & PRESENT) != 0;
    PageTables nested =
        nests
            ? new PageTables(
                memory,
                cpu.get(SvmState.HOST_CR0),
                cpu.get(SvmState.NESTED_CR3),
                cpu.get(SvmState.HOST_CR4),
                cpu.get(SvmState.HOST_EFER),
                null)
            : null;
    return new PageTables(
        memory,
        cpu.get(CpuState.CR0),
        cpu.get(CpuState.CR3),
        cpu.get(CpuState.CR4),
        cpu.get(CpuState.EFER),
        nested);
  }

  /**
   * Where {@code linear} is in guest-physical memory for the processor with this state, or {@link
   * #UNMAPPED}. What is there need not be RAM.
   */
  static long physical(CpuState cpu, GuestMemory memory, long linear) {
    return of(cpu, memory).physical(linear);
  }

  private long physical(long linear) {
    return place(find(linear));
  }

  /** Where that address of these tables is. */
  private long place(long physical) {
    return nested == null || physical == UNMAPPED ? physical : nested.physical(physical);
  }

  private long find(long linear) {
    if ((cr0 & PAGING) == 0) {
      return linear & 0xffff_ffffL;
    }
    if ((efer & LONG_MODE_ACTIVE) != 0) {
      int levels = (cr4 & FIVE_LEVELS) != 0 ? 5 : 4;
      int unused = 64 - 12 - 9 * levels;
      return linear << unused >> unused == linear ? walk(cr3 & FRAME, levels, linear) : UNMAPPED;
    }
    long low = linear & 0xffff_ffffL;
    if ((cr4 & PHYSICAL_ADDRESS_EXTENSIONS) != 0) {
      // The four entries of the first level are no table of their own page.
      long pointer = entry((cr3 & 0xffff_ffe0L) + (low >>> 30) * 8);
      return (pointer & PRESENT) == 0 ? UNMAPPED : walk(pointer & FRAME, 2, low);
    }
    return walk32(low);
  }

  /** 0, which is not present, for tables outside RAM. */
  private long entry(long physical) {
    long at = place(physical);
    return memory.contains(at, 8) ? memory.readLong(at) : 0;
  }

  private int entry32(long physical) {
    long at = place(physical);
    return memory.contains(at, 4) ? memory.readInt(at) : 0;
  }

  private long walk(long table, int levels, long linear) {
    long at = table;
    for (int level = levels; ; level--) {
      int shift = 12 + 9 * (level - 1);
      long entry = entry(at + (linear >>> shift & 511) * 8);
      if ((entry & PRESENT) == 0) {
        return UNMAPPED;
      }
      if (level == 1 || (level == 2 || level == 3) && (entry & LARGE) != 0) {
        long inPage = (1L << shift) - 1;
        return entry & FRAME & ~inPage | linear & inPage;
      }
      at = entry & FRAME;
    }
  }

  private long walk32(long linear) {
    int directory = entry32((cr3 & 0xffff_f000L) + (linear >>> 22) * 4);
    if ((directory & PRESENT) == 0) {
      return UNMAPPED;
    }
    if ((cr4 & PAGE_SIZE_EXTENSIONS) != 0 && (directory & LARGE) != 0) {
      return directory & 0xffc0_0000L | (long) (directory >>> 13 & 0xff) << 32 | linear & 0x3f_ffff;
    }
    int table = entry32((directory & 0xffff_f000L) + (linear >>> 12 & 1023) * 4);
    return (table & PRESENT) == 0 ? UNMAPPED : table & 0xffff_f000L | linear & 0xfff;
  }
}
