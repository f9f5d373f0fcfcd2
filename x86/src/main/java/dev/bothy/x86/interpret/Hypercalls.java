package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;

/**
 * VMCALL and VMMCALL: hypercalls as Linux's documentation of KVM has them
 * (Documentation/virt/kvm/x86/hypercalls.rst). The number is in RAX, arguments are in RBX, RCX, RDX
 * and RSI, the answer goes to RAX. Outside of 64-bit code all are 32 bits wide.
 */
final class Hypercalls {
  private static final int SEND_IPI = 10;

  private static final int NOT_PERMITTED = -1;
  private static final int INVALID = -22;
  private static final int UNKNOWN = -1000;

  /** Of an interrupt command: logical destination, and the destination shorthand. */
  private static final long NOT_PHYSICAL = 0xc_0800;

  private Hypercalls() {}

  static void execute(Processor cpu) {
    if (cpu.hyperv != null && cpu.hyperv.callsAllowed()) {
      cpu.hyperv.call();
      return;
    }
    cpu.setGpr(CpuState.RAX, cpu.cpl == 0 ? answer(cpu) : NOT_PERMITTED);
  }

  private static long argument(Processor cpu, int register) {
    return Operands.mask(cpu.gpr(register), cpu.codeBits == 64 ? 8 : 4);
  }

  private static long answer(Processor cpu) {
    return argument(cpu, CpuState.RAX) == SEND_IPI ? sendIpi(cpu) : UNKNOWN;
  }

  /**
   * One interrupt to many processors: RBX and RCX are a bitmap, of as many bits as they have, RDX
   * the APIC id of its first bit, RSI the interrupt command. Answers how many there were.
   */
  private static long sendIpi(Processor cpu) {
    long command = argument(cpu, CpuState.RSI);
    if ((command & NOT_PHYSICAL) != 0) {
      return INVALID;
    }
    int bits = cpu.codeBits == 64 ? 64 : 32;
    long first = argument(cpu, CpuState.RDX) & 0xffff_ffffL;
    int sent = 0;
    for (int bit = 0; bit < 2 * bits; bit++) {
      long word = argument(cpu, bit < bits ? CpuState.RBX : CpuState.RCX);
      if ((word >>> bit % bits & 1) != 0 && first + bit < cpu.machine.cpus()) {
        cpu.apic.sendCommand((int) command, (int) first + bit);
        sent++;
      }
    }
    cpu.requestAttention();
    return sent;
  }
}
