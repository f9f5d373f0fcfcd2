package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * VEX forms of SSE's integer instructions, which do in each 128-bit lane what the SSE form does,
 * and AVX2's shifts by a count for each element (AMD64 APM volume 4). {@code base} is the SSE
 * instruction of the same name.
 */
final class AvxIntegerOps {
  private AvxIntegerOps() {}

  /** Reads the last vector operand into B, and the one before it into A if there is one. */
  private static void sources(Cpu cpu, Instruction i) {
    int last = i.operands - 1;
    if (i.kind[last] == Instruction.IMMEDIATE) {
      last--;
    }
    AvxOperand.read(cpu, i, last, cpu.vectorB);
    if (last > 1) {
      AvxOperand.register(cpu, i.register[last - 1], cpu.vectorA);
    }
  }

  private static void finish(Cpu cpu, Instruction i) {
    AvxOperand.write(cpu, i.register[0], cpu.vectorResult, AvxOperand.width(i));
  }

  /** What does the same to every 64 bits. */
  static void execute(Cpu cpu, Instruction i, Op base) {
    sources(cpu, i);
    for (int n = 0; n < AvxOperand.width(i); n++) {
      cpu.vectorResult[n] = SseIntegerOps.half(base, cpu.vectorA[n], cpu.vectorB[n]);
    }
    finish(cpu, i);
  }

  /** VPSLLW to VPSRLQ: the count is an immediate or the low 64 bits of 16 bytes. */
  static void shift(Cpu cpu, Instruction i, Op base) {
    long count;
    if (i.kind[2] == Instruction.IMMEDIATE) {
      count = i.immediate & 0xff;
    } else {
      AvxOperand.read(cpu, i, 2, cpu.vectorB);
      count = cpu.vectorB[0];
    }
    AvxOperand.register(cpu, i.register[1], cpu.vectorA);
    for (int n = 0; n < AvxOperand.width(i); n++) {
      cpu.vectorResult[n] = SseIntegerOps.shifted(base, cpu.vectorA[n], count);
    }
    finish(cpu, i);
  }

  /** What moves data within lanes of 128 bits. */
  static void shuffle(Cpu cpu, Instruction i, Op base) {
    long[] a = cpu.vectorA;
    long[] b = cpu.vectorB;
    long[] mask = null;
    switch (base) {
      case PSRLDQ, PSLLDQ -> AvxOperand.register(cpu, i.register[1], a);
      case PBLENDVB, BLENDVPS, BLENDVPD -> {
        AvxOperand.read(cpu, i, 2, b);
        AvxOperand.register(cpu, i.register[1], a);
        mask = cpu.vectorC;
        AvxOperand.register(cpu, i.register[3], mask);
      }
      default -> sources(cpu, i);
    }
    long[] lane = cpu.vector;
    for (int n = 0; n < AvxOperand.width(i); n += 2) {
      int control = (int) i.immediate & 0xff;
      if (n > 0) {
        // Some have bits of their own for the second lane.
        control >>=
            switch (base) {
              case BLENDPS -> 4;
              case MPSADBW -> 3;
              case BLENDPD, SHUFPD -> 2;
              default -> 0;
            };
      }
      boolean known =
          mask == null
              ? SseShuffleOps.lane(base, a[n], a[n + 1], b[n], b[n + 1], control, lane)
              : SseShuffleOps.blend(
                  base, a[n], a[n + 1], b[n], b[n + 1], mask[n], mask[n + 1], lane);
      if (!known) {
        throw cpu.raise(GuestFault.UD);
      }
      cpu.vectorResult[n] = lane[0];
      cpu.vectorResult[n + 1] = lane[1];
    }
    finish(cpu, i);
  }

  /** AES and VPCLMULQDQ on 128 bits. */
  static void crypto(Cpu cpu, Instruction i, Op base) {
    sources(cpu, i);
    long[] a = cpu.vectorA;
    long[] b = cpu.vectorB;
    int control = (int) i.immediate & 0xff;
    if (!CryptoOps.lane(base, a[0], a[1], b[0], b[1], control, cpu.vector)) {
      throw cpu.raise(GuestFault.UD);
    }
    AvxOperand.write(cpu, i.register[0], cpu.vector[0], cpu.vector[1]);
  }

  static void variableShift(Cpu cpu, Instruction i) {
    sources(cpu, i);
    for (int n = 0; n < AvxOperand.width(i); n++) {
      long a = cpu.vectorA[n];
      long count = cpu.vectorB[n];
      cpu.vectorResult[n] =
          switch (i.op) {
            case VPSLLVQ -> Long.compareUnsigned(count, 64) < 0 ? a << count : 0;
            case VPSRLVQ -> Long.compareUnsigned(count, 64) < 0 ? a >>> count : 0;
            default ->
                shifted(i.op, (int) a, (int) count) & 0xffff_ffffL
                    | (long) shifted(i.op, (int) (a >>> 32), (int) (count >>> 32)) << 32;
          };
    }
    finish(cpu, i);
  }

  private static int shifted(Op op, int a, int count) {
    boolean all = Integer.compareUnsigned(count, 32) >= 0;
    return switch (op) {
      case VPSLLVD -> all ? 0 : a << count;
      case VPSRLVD -> all ? 0 : a >>> count;
      default -> a >> (all ? 31 : count);
    };
  }

  /** VTESTPS and VTESTPD. */
  static void testSigns(Cpu cpu, Instruction i) {
    AvxOperand.read(cpu, i, 1, cpu.vectorB);
    AvxOperand.register(cpu, i.register[0], cpu.vectorA);
    long common = 0;
    long missing = 0;
    for (int n = 0; n < AvxOperand.width(i); n++) {
      common |= cpu.vectorA[n] & cpu.vectorB[n];
      missing |= ~cpu.vectorA[n] & cpu.vectorB[n];
    }
    long signs = i.op == Op.VTESTPS ? 0x8000_0000_8000_0000L : Long.MIN_VALUE;
    cpu.setArithmeticFlags(
        ((common & signs) == 0 ? 0x40 : 0) | ((missing & signs) == 0 ? 0x01 : 0));
  }
}
