package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.simd.FloatEnvironment;

/**
 * What the SSE executors share: memory operands, and the way of floating-point exceptions into
 * MXCSR.
 */
final class SseOperand {
  private SseOperand() {}

  /**
   * Linear address of a 16-byte operand of an instruction that wants it aligned: #GP(0) if it is
   * not, also where a non-canonical address would be #SS(0).
   */
  static long aligned(Cpu cpu, Instruction i) {
    boolean flatStack = i.mode == 64 && i.segment == CpuState.SS;
    if (flatStack && (cpu.offset(i) & 15) != 0) {
      throw cpu.raise(GuestFault.GP, 0);
    }
    long at = cpu.linear(i, 16);
    if ((at & 15) != 0) {
      throw cpu.raise(GuestFault.GP, 0);
    }
    return at;
  }

  /** Operand {@code n}'s low 4 bytes: XMM register or memory. */
  static int read32(Cpu cpu, Instruction i, int n) {
    return i.kind[n] == Instruction.XMM
        ? (int) cpu.xmm(i.register[n], 0)
        : cpu.load32(cpu.linear(i, 4));
  }

  /** Operand {@code n}'s low 8 bytes: XMM register or memory, without alignment. */
  static long read64(Cpu cpu, Instruction i, int n) {
    return i.kind[n] == Instruction.XMM ? cpu.xmm(i.register[n], 0) : cpu.load64(cpu.linear(i, 8));
  }

  /** Replaces the low 4 bytes of an XMM register. */
  static void setLow32(Cpu cpu, int register, int value) {
    cpu.setXmm(register, 0, cpu.xmm(register, 0) & 0xffff_ffff_0000_0000L | value & 0xffff_ffffL);
  }

  /** Starts a floating-point instruction. */
  static FloatEnvironment begin(Cpu cpu) {
    FloatEnvironment e = cpu.floats;
    e.begin(cpu.mxcsr());
    return e;
  }

  /**
   * Ends the computation of a floating-point instruction, before its result is written: records the
   * exceptions in MXCSR and raises #XM (#UD without CR4.OSXMMEXCPT) if one of them is unmasked.
   */
  static void commit(Cpu cpu, FloatEnvironment e) {
    if (e.isRaised()) {
      record(cpu, e);
    }
  }

  private static void record(Cpu cpu, FloatEnvironment e) {
    cpu.setMxcsr(cpu.mxcsr() | e.committedFlags());
    if (e.faults()) {
      throw cpu.raise(cpu.simdExceptionsEnabled() ? GuestFault.XM : GuestFault.UD);
    }
  }
}
