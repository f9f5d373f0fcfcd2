package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/** Between the state block and what a running processor keeps in fields. */
final class StateTransfer {
  private StateTransfer() {}

  /** Signals of other threads that have not been looked at become part of the state. */
  static void absorbSignals(Processor cpu) {
    if (cpu.signals.any()) {
      EventDelivery.processSignals(cpu);
      store(cpu);
    }
  }

  /** Brings RFLAGS and what else is kept in fields into the state block. */
  static void store(Processor cpu) {
    long state = cpu.state;
    putLong(state + CpuState.RFLAGS, cpu.rflags() & 0xffff_ffffL);
    putInt(state + CpuState.INTERRUPT_SHADOW, cpu.shadowed() ? cpu.shadowByStack ? 2 : 1 : 0);
    putInt(state + CpuState.NMI_BLOCKED, cpu.nmiBlocked ? 1 : 0);
    putInt(state + CpuState.PENDING_DEBUG, cpu.pendingDebug);
  }

  /** Takes over a state block that was changed from outside; everything cached is dropped. */
  static void load(Processor cpu) {
    long state = cpu.state;
    int flags = getInt(state + CpuState.RFLAGS);
    cpu.setArithmeticFlags(flags);
    cpu.systemFlags = flags & ~Bits.ARITHMETIC & 0x3f_7fd7 | 2;
    int shadow = getInt(state + CpuState.INTERRUPT_SHADOW);
    cpu.shadowAt = shadow == 0 ? -1 : cpu.executed;
    cpu.shadowByStack = shadow == 2;
    cpu.nmiBlocked = getInt(state + CpuState.NMI_BLOCKED) != 0;
    cpu.pendingDebug = getInt(state + CpuState.PENDING_DEBUG);
    cpu.forgetRun();
    // Generated code loads it: the host faults for bits that are reserved.
    cpu.setMxcsr(cpu.mxcsr() & XsaveLayout.MXCSR_MASK);
    int csAttributes = cpu.segmentAttributes(CpuState.CS);
    boolean isProtected = (getLong(state + CpuState.CR0) & Bits.CR0_PE) != 0;
    cpu.cpl =
        !isProtected
            ? 0
            : cpu.virtual8086() ? 3 : Descriptor.dpl(cpu.segmentAttributes(CpuState.SS));
    if (isProtected && (csAttributes & Descriptor.CONFORMING) == 0 && !cpu.virtual8086()) {
      cpu.cpl = Descriptor.dpl(csAttributes);
    }
    cpu.svm.load();
    cpu.updatePaging(true);
    cpu.updateEnforcement();
    cpu.updateMode();
    DebugRegisters.update(cpu);
    CpuidAnswers.forget(cpu);
    cpu.setAttention(CpuState.ATTENTION_ENGINE);
  }
}
