package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/** The processor after RESET and INIT: AMD64 APM volume 2, section 14.1.3. */
final class ResetState {
  private ResetState() {}

  /** Power-on and RESET. */
  static void reset(Processor cpu, CpuState state) {
    state.clear();
    architectural(cpu);
    putInt(cpu.state + CpuState.MXCSR, 0x1f80);
    putInt(cpu.state + CpuState.X87_CONTROL, 0x37f);
    putLong(cpu.state + CpuState.XCR0, 1);
    // Fast strings.
    putLong(cpu.state + CpuState.MISC_ENABLE, 1);
    putLong(cpu.state + CpuState.PAT, 0x0007_0406_0007_0406L);
    putLong(cpu.state + CpuState.RANDOM, 0x9e37_79b9_7f4a_7c15L * (cpu.index + 1));
    putLong(cpu.state + CpuState.CR0, Bits.CR0_ET | Bits.CR0_NW | Bits.CR0_CD);
    putInt(
        cpu.state + CpuState.ACTIVITY,
        cpu.index == 0 ? CpuState.ACTIVITY_RUNNING : CpuState.ACTIVITY_WAIT_STARTUP);
    cpu.engineSignals.set(0);
    StateTransfer.load(cpu);
  }

  /** INIT: FPU, SSE state, caches and most MSRs stay. */
  static void init(Processor cpu) {
    long cr0 = getLong(cpu.state + CpuState.CR0) & (Bits.CR0_NW | Bits.CR0_CD) | Bits.CR0_ET;
    for (int i = 0; i < 16; i++) {
      cpu.setGpr(i, 0);
    }
    architectural(cpu);
    putLong(cpu.state + CpuState.CR0, cr0);
    putLong(cpu.state + CpuState.CR2, 0);
    putLong(cpu.state + CpuState.CR3, 0);
    putLong(cpu.state + CpuState.CR4, 0);
    putLong(cpu.state + CpuState.EFER, 0);
    putInt(cpu.state + CpuState.NMI_PENDING, 0);
    putInt(cpu.state + CpuState.NMI_BLOCKED, 0);
    putInt(cpu.state + CpuState.PENDING_DEBUG, 0);
    putInt(cpu.state + CpuState.INTERRUPT_SHADOW, 0);
    putInt(cpu.state + CpuState.STARTUP_PENDING, 0);
    putInt(
        cpu.state + CpuState.ACTIVITY,
        cpu.index == 0 ? CpuState.ACTIVITY_RUNNING : CpuState.ACTIVITY_WAIT_STARTUP);
    cpu.apic.init();
    StateTransfer.load(cpu);
  }

  private static void architectural(Processor cpu) {
    putLong(cpu.state + CpuState.RIP, 0xfff0);
    putLong(cpu.state + CpuState.RFLAGS, 2);
    // Family, model, stepping as CPUID says.
    cpu.setGpr(CpuState.RDX, 0x0083_0f10);
    cpu.setSegment(CpuState.CS, 0xf000, 0xffff_0000L, 0xffff, 0x9b);
    for (int s : new int[] {CpuState.ES, CpuState.SS, CpuState.DS, CpuState.FS, CpuState.GS}) {
      cpu.setSegment(s, 0, 0, 0xffff, 0x93);
    }
    cpu.setSegment(CpuState.LDTR, 0, 0, 0xffff, 0x82);
    cpu.setSegment(CpuState.TR, 0, 0, 0xffff, 0x8b);
    putLong(cpu.state + CpuState.GDTR_BASE, 0);
    putInt(cpu.state + CpuState.GDTR_LIMIT, 0xffff);
    putLong(cpu.state + CpuState.IDTR_BASE, 0);
    putInt(cpu.state + CpuState.IDTR_LIMIT, 0xffff);
    DebugRegisters.reset(cpu);
  }
}
