package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.simd.Float32;
import dev.bothy.x86.simd.Float64;
import dev.bothy.x86.simd.FloatEnvironment;

/** FMA: fused multiplication and addition with one rounding (AMD64 APM volume 4, VFMADDPD...). */
final class FusedOps {
  // What a name says, as bits.
  private static final int DOUBLE = 1;
  private static final int SCALAR = 2;
  private static final int NEGATE_PRODUCT = 4;

  /** Subtracts in elements 0, 2..., and in 1, 3... */
  private static final int SUBTRACT_EVEN = 8;

  private static final int SUBTRACT_ODD = 0x10;
  private static final int FUSED = 0x20;

  /** Which operands are multiplied: 132, 213 or 231, in that order. */
  private static final int ORDER_SHIFT = 6;

  /** By {@link Op}. */
  private static final short[] FORM = new short[Op.values().length];

  static {
    String[] orders = {"132", "213", "231"};
    String[] names = {"VFMADD", "VFMSUB", "VFNMADD", "VFNMSUB", "VFMADDSUB", "VFMSUBADD"};
    int both = SUBTRACT_EVEN | SUBTRACT_ODD;
    int[] signs = {0, both, NEGATE_PRODUCT, NEGATE_PRODUCT | both, SUBTRACT_EVEN, SUBTRACT_ODD};
    for (Op op : Op.values()) {
      String name = op.name();
      int digits = name.length() - 5;
      if (!name.startsWith("VF") || digits < 0) {
        continue;
      }
      for (int n = 0; n < names.length; n++) {
        for (int o = 0; o < orders.length; o++) {
          if (name.startsWith(names[n].concat(orders[o])) && names[n].length() == digits) {
            FORM[op.ordinal()] =
                (short)
                    (FUSED
                        | signs[n]
                        | o << ORDER_SHIFT
                        | (name.endsWith("D") ? DOUBLE : 0)
                        | (name.charAt(digits + 3) == 'S' ? SCALAR : 0));
          }
        }
      }
    }
  }

  private FusedOps() {}

  static boolean isFused(Op op) {
    return FORM[op.ordinal()] != 0;
  }

  static void execute(Cpu cpu, Instruction i) {
    int form = FORM[i.op.ordinal()];
    AvxOperand.read(cpu, i, 2, cpu.vectorC);
    AvxOperand.register(cpu, i.register[0], cpu.vectorA);
    AvxOperand.register(cpu, i.register[1], cpu.vectorB);
    long[] x;
    long[] y;
    long[] z;
    switch (form >> ORDER_SHIFT) {
      case 0 -> {
        x = cpu.vectorA;
        y = cpu.vectorC;
        z = cpu.vectorB;
      }
      case 1 -> {
        x = cpu.vectorB;
        y = cpu.vectorA;
        z = cpu.vectorC;
      }
      default -> {
        x = cpu.vectorB;
        y = cpu.vectorC;
        z = cpu.vectorA;
      }
    }
    FloatEnvironment e = SseOperand.begin(cpu);
    boolean scalar = (form & SCALAR) != 0;
    int longs = scalar ? 1 : AvxOperand.width(i);
    for (int n = 0; n < longs; n++) {
      if ((form & DOUBLE) != 0) {
        int subtract = (n & 1) == 0 ? SUBTRACT_EVEN : SUBTRACT_ODD;
        cpu.vectorResult[n] = doubles(form, subtract, x[n], y[n], z[n], e);
      } else {
        int low = singles(form, SUBTRACT_EVEN, (int) x[n], (int) y[n], (int) z[n], e);
        // Of a scalar the upper element stays.
        int high =
            scalar
                ? (int) (cpu.vectorA[0] >>> 32)
                : singles(form, SUBTRACT_ODD, high(x[n]), high(y[n]), high(z[n]), e);
        cpu.vectorResult[n] = low & 0xffff_ffffL | (long) high << 32;
      }
    }
    SseOperand.commit(cpu, e);
    if (scalar) {
      AvxOperand.write(cpu, i.register[0], cpu.vectorResult[0], cpu.vectorA[1]);
    } else {
      AvxOperand.write(cpu, i.register[0], cpu.vectorResult, longs);
    }
  }

  private static int high(long pair) {
    return (int) (pair >>> 32);
  }

  private static long doubles(int form, int subtract, long x, long y, long z, FloatEnvironment e) {
    return Float64.multiplyAdd(x, y, z, (form & NEGATE_PRODUCT) != 0, (form & subtract) != 0, e);
  }

  private static int singles(int form, int subtract, int x, int y, int z, FloatEnvironment e) {
    return Float32.multiplyAdd(x, y, z, (form & NEGATE_PRODUCT) != 0, (form & subtract) != 0, e);
  }
}
