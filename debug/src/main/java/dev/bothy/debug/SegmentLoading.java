package dev.bothy.debug;

import static dev.bothy.core.cpu.CpuState.SEGMENT_ATTRIBUTES;
import static dev.bothy.core.cpu.CpuState.SEGMENT_BASE;
import static dev.bothy.core.cpu.CpuState.SEGMENT_LIMIT;
import static dev.bothy.core.cpu.CpuState.SEGMENT_SELECTOR;
import static dev.bothy.core.cpu.CpuState.segment;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.cpu.CpuState;

/** Segment registers as a debugger loads them: as MOV would at the present privilege level. */
final class SegmentLoading {
  private static final long PROTECTED = 1;
  private static final long VIRTUAL_8086 = 1 << 17;
  private static final int IN_LOCAL_TABLE = 4;

  private static final int WRITABLE = 2;
  private static final int CODE = 8;
  private static final int CODE_OR_DATA = 0x10;
  private static final int LEVEL = 0x60;
  private static final int PRESENT = 0x80;
  private static final int PAGES = 1 << 15;

  private SegmentLoading() {}

  /** Loads segment register {@code s}, one of the first six; false if it cannot be that. */
  static boolean load(CpuState cpu, GuestMemory memory, int s, int selector) {
    boolean real =
        (cpu.get(CpuState.CR0) & PROTECTED) == 0 || (cpu.get(CpuState.RFLAGS) & VIRTUAL_8086) != 0;
    if (real) {
      cpu.setInt32(segment(s, SEGMENT_SELECTOR), selector);
      cpu.set(segment(s, SEGMENT_BASE), (long) selector << 4);
      return true;
    }
    if (selector >>> 2 == 0) {
      if (s == CpuState.CS || s == CpuState.SS) {
        return false;
      }
      cpu.setSegment(s, selector, 0, 0, 0);
      return true;
    }
    return loadFromTable(cpu, memory, s, selector);
  }

  private static boolean loadFromTable(CpuState cpu, GuestMemory memory, int s, int selector) {
    boolean local = (selector & IN_LOCAL_TABLE) != 0;
    long table =
        cpu.get(local ? segment(CpuState.LDTR, SEGMENT_BASE) : CpuState.GDTR_BASE)
            + (selector & ~7);
    long limit =
        cpu.getInt32(local ? segment(CpuState.LDTR, SEGMENT_LIMIT) : CpuState.GDTR_LIMIT)
            & 0xffff_ffffL;
    byte[] bytes =
        (selector | 7) > limit
            ? new byte[0]
            : new MemoryView(memory, cpu, false).read(table, Long.BYTES);
    if (bytes.length != Long.BYTES) {
      return false;
    }
    long descriptor = 0;
    for (int i = 0; i < Long.BYTES; i++) {
      descriptor |= (bytes[i] & 0xffL) << 8 * i;
    }
    int attributes = (int) (descriptor >>> 40) & 0xf0ff;
    if (!fits(cpu, s, selector, attributes)) {
      return false;
    }
    int inUnits = (int) (descriptor & 0xffff | descriptor >>> 32 & 0xf_0000);
    cpu.setSegment(
        s,
        selector,
        descriptor >>> 16 & 0xff_ffff | descriptor >>> 32 & 0xff00_0000L,
        (attributes & PAGES) != 0 ? inUnits << 12 | 0xfff : inUnits,
        attributes);
    return true;
  }

  /** The level stays what it is, whatever is loaded. */
  private static boolean fits(CpuState cpu, int s, int selector, int attributes) {
    if ((attributes & CODE_OR_DATA) == 0 || (attributes & PRESENT) == 0) {
      return false;
    }
    int present = cpu.getInt32(segment(s, SEGMENT_ATTRIBUTES));
    boolean sameLevel =
        ((attributes ^ present) & LEVEL) == 0
            && (selector & 3) == (cpu.getInt32(segment(s, SEGMENT_SELECTOR)) & 3);
    boolean code = (attributes & CODE) != 0;
    return switch (s) {
      case CpuState.CS -> code && sameLevel && ((attributes ^ present) & 1 << 13) == 0;
      case CpuState.SS -> !code && (attributes & WRITABLE) != 0 && sameLevel;
      default -> !code || (attributes & WRITABLE) != 0;
    };
  }
}
