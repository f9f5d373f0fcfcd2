package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.simd.Float32;
import dev.bothy.x86.simd.Float64;
import dev.bothy.x86.simd.FloatEnvironment;
import dev.bothy.x86.simd.PackedFloat;

/**
 * SSE conversions between XMM registers and from and to general registers (AMD64 APM volume 4,
 * CVTDQ2PD to CVTTSS2SI).
 */
final class SseConvertOps {
  private SseConvertOps() {}

  static void execute(Cpu cpu, Instruction i) {
    cpu.requireSse();
    switch (i.op) {
      case CVTSI2SS -> {
        long source = integer(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        int result = Float32.fromInteger(source, e);
        SseOperand.commit(cpu, e);
        SseOperand.setLow32(cpu, i.register[0], result);
      }
      case CVTSI2SD -> {
        long source = integer(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        long result = Float64.fromInteger(source, e);
        SseOperand.commit(cpu, e);
        cpu.setXmm(i.register[0], 0, result);
      }
      case CVTSS2SI -> singleToInteger(cpu, i, false);
      case CVTTSS2SI -> singleToInteger(cpu, i, true);
      case CVTSD2SI -> doubleToInteger(cpu, i, false);
      case CVTTSD2SI -> doubleToInteger(cpu, i, true);
      case CVTSS2SD -> {
        int source = SseOperand.read32(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        long result = Float32.toDouble(source, e);
        SseOperand.commit(cpu, e);
        cpu.setXmm(i.register[0], 0, result);
      }
      case CVTSD2SS -> {
        long source = SseOperand.read64(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        int result = Float64.toSingle(source, e);
        SseOperand.commit(cpu, e);
        SseOperand.setLow32(cpu, i.register[0], result);
      }
      case CVTPS2PD -> {
        long source = SseOperand.read64(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        long low = PackedFloat.singleToDouble(source, 0, e);
        long high = PackedFloat.singleToDouble(source, 1, e);
        finish(cpu, i, low, high, e);
      }
      case CVTDQ2PD -> {
        long source = SseOperand.read64(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        long low = PackedFloat.intToDouble(source, 0, e);
        long high = PackedFloat.intToDouble(source, 1, e);
        finish(cpu, i, low, high, e);
      }
      default -> packed(cpu, i);
    }
  }

  private static void packed(Cpu cpu, Instruction i) {
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
    switch (i.op) {
      case CVTPD2PS -> {
        low = PackedFloat.doublesToSingles(low, high, e);
        high = 0;
      }
      case CVTPD2DQ -> {
        low = PackedFloat.doublesToInts(low, high, false, e);
        high = 0;
      }
      case CVTTPD2DQ -> {
        low = PackedFloat.doublesToInts(low, high, true, e);
        high = 0;
      }
      case CVTDQ2PS -> {
        low = PackedFloat.intsToSingles(low, e);
        high = PackedFloat.intsToSingles(high, e);
      }
      case CVTPS2DQ -> {
        low = PackedFloat.singlesToInts(low, false, e);
        high = PackedFloat.singlesToInts(high, false, e);
      }
      case CVTTPS2DQ -> {
        low = PackedFloat.singlesToInts(low, true, e);
        high = PackedFloat.singlesToInts(high, true, e);
      }
      default -> throw cpu.raise(GuestFault.UD);
    }
    finish(cpu, i, low, high, e);
  }

  private static void finish(Cpu cpu, Instruction i, long low, long high, FloatEnvironment e) {
    SseOperand.commit(cpu, e);
    cpu.setXmm(i.register[0], 0, low);
    cpu.setXmm(i.register[0], 1, high);
  }

  /** The general register or memory operand, 4 or 8 bytes, sign-extended. */
  static long integer(Cpu cpu, Instruction i, int n) {
    if (i.kind[n] == Instruction.MEMORY) {
      return i.size[n] == 8 ? cpu.load64(cpu.linear(i, 8)) : cpu.load32(cpu.linear(i, 4));
    }
    long value = cpu.gpr(i.register[n]);
    return i.size[n] == 8 ? value : (int) value;
  }

  static void singleToInteger(Cpu cpu, Instruction i, boolean truncate) {
    int source = SseOperand.read32(cpu, i, 1);
    FloatEnvironment e = SseOperand.begin(cpu);
    if (i.size[0] == 8) {
      long result = Float32.toLong(source, truncate, e);
      SseOperand.commit(cpu, e);
      cpu.setGpr(i.register[0], result);
    } else {
      int result = Float32.toInt(source, truncate, e);
      SseOperand.commit(cpu, e);
      cpu.setGpr32(i.register[0], result);
    }
  }

  static void doubleToInteger(Cpu cpu, Instruction i, boolean truncate) {
    long source = SseOperand.read64(cpu, i, 1);
    FloatEnvironment e = SseOperand.begin(cpu);
    if (i.size[0] == 8) {
      long result = Float64.toLong(source, truncate, e);
      SseOperand.commit(cpu, e);
      cpu.setGpr(i.register[0], result);
    } else {
      int result = Float64.toInt(source, truncate, e);
      SseOperand.commit(cpu, e);
      cpu.setGpr32(i.register[0], result);
    }
  }
}
