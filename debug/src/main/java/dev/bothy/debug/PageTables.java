package dev.bothy.debug;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.cpu.CpuState;

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

  private PageTables() {}

  /**
   * Where {@code linear} is in guest-physical memory for the processor with this state, or {@link
   * #UNMAPPED}. What is there need not be RAM.
   */
  static long physical(CpuState cpu, GuestMemory memory, long linear) {
    if ((cpu.get(CpuState.CR0) & PAGING) == 0) {
      return linear & 0xffff_ffffL;
    }
    long cr4 = cpu.get(CpuState.CR4);
    long cr3 = cpu.get(CpuState.CR3);
    if ((cpu.get(CpuState.EFER) & LONG_MODE_ACTIVE) != 0) {
      int levels = (cr4 & FIVE_LEVELS) != 0 ? 5 : 4;
      int unused = 64 - 12 - 9 * levels;
      return linear << unused >> unused == linear
          ? walk(memory, cr3 & FRAME, levels, linear)
          : UNMAPPED;
    }
    long low = linear & 0xffff_ffffL;
    if ((cr4 & PHYSICAL_ADDRESS_EXTENSIONS) != 0) {
      // The four entries of the first level are no table of their own page.
      long pointer = entry(memory, (cr3 & 0xffff_ffe0L) + (low >>> 30) * 8);
      return (pointer & PRESENT) == 0 ? UNMAPPED : walk(memory, pointer & FRAME, 2, low);
    }
    return walk32(memory, cr3, (cr4 & PAGE_SIZE_EXTENSIONS) != 0, low);
  }

  /** 0, which is not present, for tables outside RAM. */
  private static long entry(GuestMemory memory, long at) {
    return memory.contains(at, 8) ? memory.readLong(at) : 0;
  }

  private static long walk(GuestMemory memory, long table, int levels, long linear) {
    long at = table;
    for (int level = levels; ; level--) {
      int shift = 12 + 9 * (level - 1);
      long entry = entry(memory, at + (linear >>> shift & 511) * 8);
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

  private static long walk32(GuestMemory memory, long cr3, boolean largePages, long linear) {
    long directoryAt = (cr3 & 0xffff_f000L) + (linear >>> 22) * 4;
    int directory = memory.contains(directoryAt, 4) ? memory.readInt(directoryAt) : 0;
    if ((directory & PRESENT) == 0) {
      return UNMAPPED;
    }
    if (largePages && (directory & LARGE) != 0) {
      return directory & 0xffc0_0000L | (long) (directory >>> 13 & 0xff) << 32 | linear & 0x3f_ffff;
    }
    long tableAt = (directory & 0xffff_f000L) + (linear >>> 12 & 1023) * 4;
    int table = memory.contains(tableAt, 4) ? memory.readInt(tableAt) : 0;
    return (table & PRESENT) == 0 ? UNMAPPED : table & 0xffff_f000L | linear & 0xfff;
  }
}
