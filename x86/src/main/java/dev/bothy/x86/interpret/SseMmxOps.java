package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.simd.FloatEnvironment;
import dev.bothy.x86.simd.PackedFloat;

/**
 * SSE instructions between MMX and XMM registers: CVTPI2PS and kin, MOVQ2DQ, MOVDQ2Q (AMD64 APM
 * volume 5).
 */
final class SseMmxOps {
  /** TOP in the x87 status word. */
  private static final int TOP = 7 << 11;

  private SseMmxOps() {}

  static void execute(Cpu cpu, Instruction i) {
    cpu.requireSse();
    if (i.kind[0] == Instruction.MMX || i.kind[1] == Instruction.MMX) {
      cpu.requireMmx();
    }
    switch (i.op) {
      case CVTPI2PS -> {
        long source = mmxOrMemory(cpu, i);
        FloatEnvironment e = SseOperand.begin(cpu);
        long result = PackedFloat.intsToSingles(source, e);
        // With a memory operand the x87 registers stay as they are.
        if (i.kind[1] == Instruction.MMX) {
          useMmx(cpu);
        }
        SseOperand.commit(cpu, e);
        cpu.setXmm(i.register[0], 0, result);
      }
      case CVTPI2PD -> {
        long source = mmxOrMemory(cpu, i);
        FloatEnvironment e = SseOperand.begin(cpu);
        long low = PackedFloat.intToDouble(source, 0, e);
        long high = PackedFloat.intToDouble(source, 1, e);
        if (i.kind[1] == Instruction.MMX) {
          useMmx(cpu);
        }
        cpu.setXmm(i.register[0], 0, low);
        cpu.setXmm(i.register[0], 1, high);
      }
      case CVTPS2PI -> singles(cpu, i, false);
      case CVTTPS2PI -> singles(cpu, i, true);
      case CVTPD2PI -> doubles(cpu, i, false);
      case CVTTPD2PI -> doubles(cpu, i, true);
      case MOVQ2DQ -> {
        useMmx(cpu);
        cpu.setXmm(i.register[0], 0, mmx(cpu, i.register[1]));
        cpu.setXmm(i.register[0], 1, 0);
      }
      case MOVDQ2Q -> setMmx(cpu, i.register[0], cpu.xmm(i.register[1], 0));
      default -> throw cpu.raise(GuestFault.UD);
    }
  }

  private static void singles(Cpu cpu, Instruction i, boolean truncate) {
    long source = SseOperand.read64(cpu, i, 1);
    FloatEnvironment e = SseOperand.begin(cpu);
    long result = PackedFloat.singlesToInts(source, truncate, e);
    // AMD's processors are in MMX mode by the time the exception is raised.
    useMmx(cpu);
    SseOperand.commit(cpu, e);
    setMmx(cpu, i.register[0], result);
  }

  private static void doubles(Cpu cpu, Instruction i, boolean truncate) {
    long low;
    long high;
    if (i.kind[1] == Instruction.XMM) {
      low = cpu.xmm(i.register[1], 0);
      high = cpu.xmm(i.register[1], 1);
    } else {
      long at = SseOperand.aligned(cpu, i);
      low = cpu.load64(at);
      high = cpu.load64(at + 8);
    }
    FloatEnvironment e = SseOperand.begin(cpu);
    long result = PackedFloat.doublesToInts(low, high, truncate, e);
    useMmx(cpu);
    SseOperand.commit(cpu, e);
    setMmx(cpu, i.register[0], result);
  }

  private static long mmxOrMemory(Cpu cpu, Instruction i) {
    return i.kind[1] == Instruction.MMX ? mmx(cpu, i.register[1]) : cpu.load64(cpu.linear(i, 8));
  }

  static long mmx(Cpu cpu, int register) {
    return getLong(cpu.state + CpuState.X87_REGISTERS + 16L * register);
  }

  /** Writes an MMX register: exponent and sign above it become ones. */
  static void setMmx(Cpu cpu, int register, long value) {
    useMmx(cpu);
    long at = cpu.state + CpuState.X87_REGISTERS + 16L * register;
    putLong(at, value);
    putLong(at + 8, 0xffff);
  }

  /**
   * What every MMX instruction does to the x87: the stack's top is register 0, and all registers
   * are in use.
   */
  static void useMmx(Cpu cpu) {
    long status = cpu.state + CpuState.X87_STATUS;
    putInt(status, getInt(status) & ~TOP);
    putInt(cpu.state + CpuState.X87_TAGS, 0xff);
  }
}
