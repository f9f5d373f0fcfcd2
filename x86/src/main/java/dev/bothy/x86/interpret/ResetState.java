package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.ResetValues;

/** The processor after RESET and INIT. */
final class ResetState {
  private ResetState() {}

  /** Power-on and RESET. */
  static void reset(Processor cpu, CpuState state) {
    ResetValues.reset(state, cpu.index);
    cpu.signals.take();
    if (cpu.hyperv != null) {
      cpu.hyperv.reset();
    }
    StateTransfer.load(cpu);
  }

  static void init(Processor cpu) {
    cpu.svm.reset();
    ResetValues.init(cpu.state, cpu.index);
    cpu.apic.init();
    StateTransfer.load(cpu);
  }
}
