package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.simd.Float16;
import dev.bothy.x86.simd.Float32;
import dev.bothy.x86.simd.Float64;
import dev.bothy.x86.simd.FloatEnvironment;
import dev.bothy.x86.simd.PackedFloat;

/**
 * VEX forms of the SSE conversions, and F16C (AMD64 APM volume 4). {@code base} is the SSE
 * instruction of the same name.
 */
final class AvxConvertOps {
  private AvxConvertOps() {}

  static void execute(Cpu cpu, Instruction i, Op base) {
    switch (base) {
      case CVTSS2SI -> SseConvertOps.singleToInteger(cpu, i, false);
      case CVTTSS2SI -> SseConvertOps.singleToInteger(cpu, i, true);
      case CVTSD2SI -> SseConvertOps.doubleToInteger(cpu, i, false);
      case CVTTSD2SI -> SseConvertOps.doubleToInteger(cpu, i, true);
      case CVTSI2SS -> {
        long source = SseConvertOps.integer(cpu, i, 2);
        FloatEnvironment e = SseOperand.begin(cpu);
        AvxFloatOps.finishScalar(cpu, i, e, Float32.fromInteger(source, e), false);
      }
      case CVTSI2SD -> {
        long source = SseConvertOps.integer(cpu, i, 2);
        FloatEnvironment e = SseOperand.begin(cpu);
        AvxFloatOps.finishScalar(cpu, i, e, Float64.fromInteger(source, e), true);
      }
      case CVTSS2SD -> {
        int source = SseOperand.read32(cpu, i, 2);
        FloatEnvironment e = SseOperand.begin(cpu);
        AvxFloatOps.finishScalar(cpu, i, e, Float32.toDouble(source, e), true);
      }
      case CVTSD2SS -> {
        long source = SseOperand.read64(cpu, i, 2);
        FloatEnvironment e = SseOperand.begin(cpu);
        AvxFloatOps.finishScalar(cpu, i, e, Float64.toSingle(source, e), false);
      }
      default -> packed(cpu, i, base);
    }
  }

  private static void packed(Cpu cpu, Instruction i, Op base) {
    long[] b = cpu.vectorB;
    long[] result = cpu.vectorResult;
    AvxOperand.read(cpu, i, 1, b);
    FloatEnvironment e = SseOperand.begin(cpu);
    int width = AvxOperand.width(i);
    int longs = width;
    switch (base) {
      case CVTPS2PD -> {
        for (int n = 0; n < width; n++) {
          result[n] = PackedFloat.singleToDouble(b[n >> 1], n & 1, e);
        }
      }
      case CVTDQ2PD -> {
        for (int n = 0; n < width; n++) {
          result[n] = PackedFloat.intToDouble(b[n >> 1], n & 1, e);
        }
      }
      case CVTPD2PS, CVTPD2DQ, CVTTPD2DQ -> {
        longs = width / 2;
        for (int n = 0; n < width; n += 2) {
          result[n >> 1] =
              base == Op.CVTPD2PS
                  ? PackedFloat.doublesToSingles(b[n], b[n + 1], e)
                  : PackedFloat.doublesToInts(b[n], b[n + 1], base == Op.CVTTPD2DQ, e);
        }
      }
      default -> {
        for (int n = 0; n < width; n++) {
          result[n] =
              switch (base) {
                case CVTDQ2PS -> PackedFloat.intsToSingles(b[n], e);
                case CVTPS2DQ -> PackedFloat.singlesToInts(b[n], false, e);
                case CVTTPS2DQ -> PackedFloat.singlesToInts(b[n], true, e);
                default -> throw cpu.raise(GuestFault.UD);
              };
        }
      }
    }
    SseOperand.commit(cpu, e);
    AvxOperand.write(cpu, i.register[0], result, longs);
  }

  /** VCVTPH2PS and VCVTPS2PH. */
  static void half(Cpu cpu, Instruction i) {
    long[] result = cpu.vectorResult;
    int width = AvxOperand.width(i);
    if (i.op == Op.VCVTPH2PS) {
      AvxOperand.read(cpu, i, 1, cpu.vectorB);
      FloatEnvironment e = SseOperand.begin(cpu);
      for (int n = 0; n < width; n++) {
        int halves = (int) (cpu.vectorB[n >> 1] >>> 32 * (n & 1));
        result[n] =
            Float16.toSingle(halves & 0xffff, e) & 0xffff_ffffL
                | (long) Float16.toSingle(halves >>> 16, e) << 32;
      }
      SseOperand.commit(cpu, e);
      AvxOperand.write(cpu, i.register[0], result, width);
      return;
    }
    AvxOperand.register(cpu, i.register[1], cpu.vectorB);
    int size = 4 * width;
    long at = i.isMemory(0) ? cpu.linear(i, size) : 0;
    if (i.isMemory(0)) {
      cpu.probeStore(at, size);
    }
    FloatEnvironment e = SseOperand.begin(cpu);
    int control = (int) i.immediate & 7;
    for (int n = 0; n < width / 2; n++) {
      result[n] =
          halves(cpu.vectorB[2 * n], control, e) | halves(cpu.vectorB[2 * n + 1], control, e) << 32;
    }
    SseOperand.commit(cpu, e);
    if (i.isMemory(0)) {
      AvxOperand.store(cpu, at, size, result);
    } else {
      AvxOperand.write(cpu, i.register[0], result, width / 2);
    }
  }

  /** Two singles as halves. */
  private static long halves(long singles, int control, FloatEnvironment e) {
    return Float16.fromSingle((int) singles, control, e)
        | (long) Float16.fromSingle((int) (singles >>> 32), control, e) << 16;
  }
}
