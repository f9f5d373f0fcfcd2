package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.simd.Float32;
import dev.bothy.x86.simd.Float64;
import dev.bothy.x86.simd.FloatEnvironment;
import dev.bothy.x86.simd.PackedFloat;

/**
 * VEX forms of SSE's floating-point arithmetic and comparison (AMD64 APM volume 4). Scalar forms
 * take what is above the element from their second operand. {@code base} is the SSE instruction of
 * the same name. The exceptions of all elements are one instruction's.
 */
final class AvxFloatOps {
  /** By the numbers of {@link PackedFloat}. */
  private static final String[] FUNCTIONS = {
    "ADD", "SUB", "MUL", "DIV", "MIN", "MAX", "SQRT", "RCP", "RSQRT"
  };

  private static final String[] SHAPES = {"PS", "PD", "SS", "SD"};
  private static final int PACKED_SINGLE = 0;
  private static final int PACKED_DOUBLE = 1;
  private static final int SCALAR_SINGLE = 2;

  /** By {@link Op}: index in {@link #FUNCTIONS}, and in {@link #SHAPES} 4 bits above; or -1. */
  private static final byte[] FORM = new byte[Op.values().length];

  static {
    for (Op op : Op.values()) {
      FORM[op.ordinal()] = -1;
      for (int f = 0; f < FUNCTIONS.length; f++) {
        for (int s = 0; s < SHAPES.length; s++) {
          if (op.name().equals(FUNCTIONS[f].concat(SHAPES[s]))) {
            FORM[op.ordinal()] = (byte) (s << 4 | f);
          }
        }
      }
    }
  }

  private AvxFloatOps() {}

  /** Reads the operand {@code last} into B, and the one before it into A if there is one. */
  private static void sources(Cpu cpu, Instruction i, int last) {
    AvxOperand.read(cpu, i, last, cpu.vectorB);
    if (last > 1) {
      AvxOperand.register(cpu, i.register[last - 1], cpu.vectorA);
    }
  }

  private static void finish(Cpu cpu, Instruction i, FloatEnvironment e) {
    SseOperand.commit(cpu, e);
    AvxOperand.write(cpu, i.register[0], cpu.vectorResult, AvxOperand.width(i));
  }

  /** The low single or double in place of operand 1's, zeros above 16 bytes. */
  static void finishScalar(Cpu cpu, Instruction i, FloatEnvironment e, long value, boolean wide) {
    SseOperand.commit(cpu, e);
    long low = cpu.xmm(i.register[1], 0);
    long merged = wide ? value : low & ~0xffff_ffffL | value & 0xffff_ffffL;
    AvxOperand.write(cpu, i.register[0], merged, cpu.xmm(i.register[1], 1));
  }

  static void execute(Cpu cpu, Instruction i, Op base) {
    int form = FORM[base.ordinal()];
    int function = form & 15;
    sources(cpu, i, i.operands - 1);
    FloatEnvironment e = SseOperand.begin(cpu);
    long[] a = cpu.vectorA;
    long[] b = cpu.vectorB;
    switch (form >> 4) {
      case PACKED_SINGLE -> {
        for (int n = 0; n < AvxOperand.width(i); n++) {
          cpu.vectorResult[n] = PackedFloat.singles(function, a[n], b[n], e);
        }
        finish(cpu, i, e);
      }
      case PACKED_DOUBLE -> {
        for (int n = 0; n < AvxOperand.width(i); n++) {
          cpu.vectorResult[n] = PackedFloat.doubles(function, a[n], b[n], e);
        }
        finish(cpu, i, e);
      }
      case SCALAR_SINGLE ->
          finishScalar(cpu, i, e, PackedFloat.single(function, (int) a[0], (int) b[0], e), false);
      default -> finishScalar(cpu, i, e, PackedFloat.doubles(function, a[0], b[0], e), true);
    }
  }

  static void executeRare(Cpu cpu, Instruction i, Op base) {
    int control = (int) i.immediate & 0xff;
    switch (base) {
      case UCOMISS, COMISS, UCOMISD, COMISD -> {
        sources(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        boolean signalling = base == Op.COMISS || base == Op.COMISD;
        long a = cpu.xmm(i.register[0], 0);
        long b = cpu.vectorB[0];
        int order =
            base == Op.UCOMISS || base == Op.COMISS
                ? Float32.compare((int) a, (int) b, signalling, e)
                : Float64.compare(a, b, signalling, e);
        SseOperand.commit(cpu, e);
        cpu.setArithmeticFlags(PackedFloat.orderFlags(order));
      }
      case CMPSS, CMPSD, ROUNDSS, ROUNDSD -> {
        sources(cpu, i, 2);
        FloatEnvironment e = SseOperand.begin(cpu);
        long a = cpu.vectorA[0];
        long b = cpu.vectorB[0];
        long result =
            switch (base) {
              case CMPSS -> PackedFloat.compareSingle((int) a, (int) b, control & 31, e);
              case CMPSD -> PackedFloat.compareDouble(a, b, control & 31, e);
              case ROUNDSS -> Float32.toIntegral((int) b, control & 15, e);
              default -> Float64.toIntegral(b, control & 15, e);
            };
        finishScalar(cpu, i, e, result, base == Op.CMPSD || base == Op.ROUNDSD);
      }
      default -> packedRare(cpu, i, base, control);
    }
  }

  private static void packedRare(Cpu cpu, Instruction i, Op base, int control) {
    int last = i.operands - 1;
    sources(cpu, i, i.kind[last] == Instruction.IMMEDIATE ? last - 1 : last);
    FloatEnvironment e = SseOperand.begin(cpu);
    long[] a = cpu.vectorA;
    long[] b = cpu.vectorB;
    long[] result = cpu.vectorResult;
    int width = AvxOperand.width(i);
    switch (base) {
      case DPPS -> PackedFloat.dotSingles(a, b, width, control, e, result);
      case DPPD -> {
        long sum = PackedFloat.dotDoubles(a[0], a[1], b[0], b[1], control, e);
        result[0] = (control & 1) != 0 ? sum : 0;
        result[1] = (control & 2) != 0 ? sum : 0;
      }
      case HADDPS, HADDPD, HSUBPS, HSUBPD -> {
        for (int n = 0; n < width; n += 2) {
          result[n] = neighbours(base, a[n], a[n + 1], e);
          result[n + 1] = neighbours(base, b[n], b[n + 1], e);
        }
      }
      default -> {
        for (int n = 0; n < width; n++) {
          result[n] =
              switch (base) {
                case CMPPS -> PackedFloat.compareSingles(a[n], b[n], control & 31, e);
                case CMPPD -> PackedFloat.compareDouble(a[n], b[n], control & 31, e);
                case ROUNDPS -> PackedFloat.roundSingles(b[n], control & 15, e);
                case ROUNDPD -> Float64.toIntegral(b[n], control & 15, e);
                case ADDSUBPS -> PackedFloat.subtractAdd(a[n], b[n], e);
                case ADDSUBPD ->
                    (n & 1) == 0 ? Float64.subtract(a[n], b[n], e) : Float64.add(a[n], b[n], e);
                default -> throw cpu.raise(GuestFault.UD);
              };
        }
      }
    }
    finish(cpu, i, e);
  }

  private static long neighbours(Op base, long low, long high, FloatEnvironment e) {
    return switch (base) {
      case HADDPS -> PackedFloat.addNeighbours(low, high, e);
      case HSUBPS -> PackedFloat.subtractNeighbours(low, high, e);
      case HADDPD -> Float64.add(low, high, e);
      default -> Float64.subtract(low, high, e);
    };
  }
}
