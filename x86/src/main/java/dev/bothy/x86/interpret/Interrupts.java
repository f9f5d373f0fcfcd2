package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.putInt;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;

/**
 * Which interrupt is taken between two instructions, by what runs or by its host: AMD64 APM volume
 * 2, sections 8.5, 15.13, 15.17 and 15.21.
 */
final class Interrupts {
  private Interrupts() {}

  /** Takes what may be taken now, if anything: at most one. */
  static void take(Processor cpu) {
    Svm svm = cpu.svm;
    if (svm.held()) {
      return;
    }
    takeSignals(cpu);
    if (getInt(cpu.state + CpuState.NMI_PENDING) != 0) {
      svm.leaveIf(VirtualExit.NMI);
      if (!cpu.nmiBlocked) {
        int waiting = getInt(cpu.state + CpuState.NMI_PENDING);
        putInt(cpu.state + CpuState.NMI_PENDING, waiting > 1 ? 1 : 0);
        cpu.nmiBlocked = true;
        cpu.wake();
        EventDelivery.interrupt(cpu, GuestFault.NMI);
        return;
      }
    }
    if (svm.interruptsEnabled() && cpu.apic.interruptPending()) {
      svm.leaveIf(VirtualExit.INTERRUPT);
      int vector = cpu.apic.acknowledge();
      if (vector >= 0) {
        if (cpu.hyperv != null) {
          cpu.hyperv.interrupts.delivered(vector);
        }
        deliver(cpu, vector);
        if (cpu.apic.interruptPending()) {
          cpu.requestAttention();
        }
      }
    } else if ((cpu.systemFlags & Bits.IF) != 0 && svm.virtualInterruptPending()) {
      svm.leaveIf(VirtualExit.VIRTUAL_INTERRUPT);
      deliver(cpu, svm.takeVirtualInterrupt());
    }
  }

  private static void deliver(Processor cpu, int vector) {
    cpu.wake();
    cpu.interrupts++;
    EventDelivery.interrupt(cpu, vector);
  }

  /** SMI and INIT that came while they could not be taken, or that a guest leaves for. */
  private static void takeSignals(Processor cpu) {
    if (getInt(cpu.state + SvmState.SMI_PENDING) != 0) {
      cpu.svm.leaveIf(VirtualExit.SMI);
      // There is no system management mode to enter.
      putInt(cpu.state + SvmState.SMI_PENDING, 0);
    }
    if (getInt(cpu.state + SvmState.INIT_PENDING) != 0) {
      cpu.svm.leaveIf(VirtualExit.INIT);
      ResetState.init(cpu);
    }
  }

  /** True if a halted processor has something to wake for. */
  static boolean wake(Processor cpu) {
    return !cpu.svm.held()
        && (cpu.svm.interruptsEnabled() && cpu.apic.interruptPending()
            || (cpu.systemFlags & Bits.IF) != 0 && cpu.svm.virtualInterruptPending());
  }
}
