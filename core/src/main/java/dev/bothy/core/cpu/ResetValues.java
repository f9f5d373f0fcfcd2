package dev.bothy.core.cpu;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

/**
 * The registers after RESET and INIT, the same for every engine: AMD64 APM volume 2, section
 * 14.1.3. The local APIC and what an engine keeps elsewhere are theirs.
 */
public final class ResetValues {
  private static final long CR0_ET = 1 << 4;
  private static final long CR0_NW = 1 << 29;
  private static final long CR0_CD = 1 << 30;
  private static final long DR6_FIXED = 0xffff_0ff0L;
  private static final long DR7_FIXED = 0x400;

  private ResetValues() {}

  /** Power-on and RESET of vCPU {@code index}, whose state is at {@code state}. */
  public static void reset(CpuState cpu, int index) {
    cpu.clear();
    long state = cpu.address();
    architectural(state);
    putInt(state + CpuState.MXCSR, 0x1f80);
    putInt(state + CpuState.X87_CONTROL, 0x37f);
    putLong(state + CpuState.XCR0, 1);
    // Fast strings.
    putLong(state + CpuState.MISC_ENABLE, 1);
    putLong(state + CpuState.PAT, 0x0007_0406_0007_0406L);
    putLong(state + CpuState.RANDOM, 0x9e37_79b9_7f4a_7c15L * (index + 1));
    putLong(state + CpuState.CR0, CR0_ET | CR0_NW | CR0_CD);
    putActivity(state, index);
  }

  /**
   * INIT of vCPU {@code index}: FPU, SSE state, caches and most MSRs stay.
   *
   * @param state the address of its {@link CpuState}
   */
  public static void init(long state, int index) {
    long cr0 = getLong(state + CpuState.CR0) & (CR0_NW | CR0_CD) | CR0_ET;
    for (int i = 0; i < 16; i++) {
      putLong(state + CpuState.GPR + 8L * i, 0);
    }
    architectural(state);
    putLong(state + CpuState.CR0, cr0);
    putLong(state + CpuState.CR2, 0);
    putLong(state + CpuState.CR3, 0);
    putLong(state + CpuState.CR4, 0);
    putLong(state + CpuState.EFER, 0);
    // Unlike most MSRs.
    for (int at = CpuState.U_CET; at <= CpuState.SSP; at += 8) {
      putLong(state + at, 0);
    }
    putInt(state + CpuState.NMI_PENDING, 0);
    putInt(state + CpuState.NMI_BLOCKED, 0);
    putInt(state + CpuState.PENDING_DEBUG, 0);
    putInt(state + CpuState.INTERRUPT_SHADOW, 0);
    putInt(state + CpuState.STARTUP_PENDING, 0);
    putActivity(state, index);
  }

  private static void putActivity(long state, int index) {
    putInt(
        state + CpuState.ACTIVITY,
        index == 0 ? CpuState.ACTIVITY_RUNNING : CpuState.ACTIVITY_WAIT_STARTUP);
  }

  private static void architectural(long state) {
    putLong(state + CpuState.RIP, 0xfff0);
    putLong(state + CpuState.RFLAGS, 2);
    // Family, model, stepping as CPUID says.
    putLong(state + CpuState.GPR + 8 * CpuState.RDX, 0x0083_0f10);
    putSegment(state, CpuState.CS, 0xf000, 0xffff_0000L, 0x9b);
    for (int s : new int[] {CpuState.ES, CpuState.SS, CpuState.DS, CpuState.FS, CpuState.GS}) {
      putSegment(state, s, 0, 0, 0x93);
    }
    putSegment(state, CpuState.LDTR, 0, 0, 0x82);
    putSegment(state, CpuState.TR, 0, 0, 0x8b);
    putLong(state + CpuState.GDTR_BASE, 0);
    putInt(state + CpuState.GDTR_LIMIT, 0xffff);
    putLong(state + CpuState.IDTR_BASE, 0);
    putInt(state + CpuState.IDTR_LIMIT, 0xffff);
    for (int i = 0; i < 4; i++) {
      putLong(state + CpuState.DR + 8 * i, 0);
    }
    putLong(state + CpuState.DR + 8 * 6, DR6_FIXED);
    putLong(state + CpuState.DR + 8 * 7, DR7_FIXED);
  }

  private static void putSegment(long state, int segment, int selector, long base, int attributes) {
    long at = state + CpuState.segment(segment, 0);
    putLong(at + CpuState.SEGMENT_BASE, base);
    putInt(at + CpuState.SEGMENT_LIMIT, 0xffff);
    putInt(at + CpuState.SEGMENT_SELECTOR, selector);
    putInt(at + CpuState.SEGMENT_ATTRIBUTES, attributes);
  }
}
