package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;

/** MUL, IMUL, DIV, IDIV and MULX. */
final class MultiplyOps {
  private MultiplyOps() {}

  static void execute(Processor cpu, Instruction i) {
    switch (i.op) {
      case MUL -> multiply(cpu, i, false);
      case IMUL -> {
        if (i.operands == 1) {
          multiply(cpu, i, true);
        } else {
          truncating(cpu, i);
        }
      }
      case DIV -> divide(cpu, i);
      case IDIV -> signedDivide(cpu, i);
      default -> mulx(cpu, i);
    }
  }

  private static void multiply(Processor cpu, Instruction i, boolean signed) {
    int size = i.size[0];
    long a = Operands.mask(cpu.gpr(CpuState.RAX), size);
    long b = Operands.read(cpu, i, 0);
    if (signed) {
      a = IntegerOps.signExtend(a, size);
      b = IntegerOps.signExtend(b, size);
    }
    long low = a * b;
    if (size == 8) {
      long high = signed ? Math.multiplyHigh(a, b) : Math.unsignedMultiplyHigh(a, b);
      cpu.setGpr(CpuState.RAX, low);
      cpu.setGpr(CpuState.RDX, high);
      Alu.multiplyFlags(cpu, low, signed ? high != low >> 63 : high != 0);
      return;
    }
    int shift = 64 - 8 * size;
    boolean overflow = signed ? low << shift >> shift != low : low >>> 8 * size != 0;
    switch (size) {
      case 1 -> Operands.setGpr(cpu, CpuState.RAX, 2, low);
      default -> {
        Operands.setGpr(cpu, CpuState.RAX, size, low);
        Operands.setGpr(cpu, CpuState.RDX, size, low >>> 8 * size);
      }
    }
    Alu.multiplyFlags(cpu, low << shift >> shift, overflow);
  }

  private static void truncating(Processor cpu, Instruction i) {
    int size = i.size[0];
    long a;
    long b;
    if (i.operands == 3) {
      a = IntegerOps.signExtend(Operands.read(cpu, i, 1), size);
      b = IntegerOps.signExtend(i.immediate, size);
    } else {
      a = IntegerOps.signExtend(Operands.read(cpu, i, 0), size);
      b = IntegerOps.signExtend(Operands.read(cpu, i, 1), size);
    }
    long low = a * b;
    boolean overflow =
        size == 8 ? Math.multiplyHigh(a, b) != low >> 63 : IntegerOps.signExtend(low, size) != low;
    Operands.write(cpu, i, 0, low);
    Alu.multiplyFlags(cpu, IntegerOps.signExtend(low, size), overflow);
  }

  private static void divide(Processor cpu, Instruction i) {
    int size = i.size[0];
    long d = Operands.read(cpu, i, 0);
    if (d == 0) {
      throw cpu.raise(GuestFault.DE);
    }
    long a = cpu.gpr(CpuState.RAX);
    long high = cpu.gpr(CpuState.RDX);
    switch (size) {
      case 1 -> {
        long n = a & 0xffff;
        store8(cpu, n / d, n % d, 0xff);
      }
      case 2, 4 -> {
        long n = Operands.mask(high, size) << 8 * size | Operands.mask(a, size);
        long q = Long.divideUnsigned(n, d);
        if (q >>> 8 * size != 0) {
          throw cpu.raise(GuestFault.DE);
        }
        long r = Long.remainderUnsigned(n, d);
        Operands.setGpr(cpu, CpuState.RAX, size, q);
        Operands.setGpr(cpu, CpuState.RDX, size, r);
      }
      default -> {
        if (Long.compareUnsigned(high, d) >= 0) {
          throw cpu.raise(GuestFault.DE);
        }
        long q = high == 0 ? Long.divideUnsigned(a, d) : divide128(high, a, d);
        cpu.setGpr(CpuState.RAX, q);
        cpu.setGpr(CpuState.RDX, a - q * d);
      }
    }
  }

  private static void store8(Processor cpu, long quotient, long remainder, long most) {
    if (quotient > most) {
      throw cpu.raise(GuestFault.DE);
    }
    Operands.setGpr(cpu, CpuState.RAX, 2, quotient & 0xff | (remainder & 0xff) << 8);
  }

  /**
   * Quotient of the 128-bit {@code high:low} by {@code d}, where {@code high < d}, all unsigned
   * (Knuth's algorithm D).
   */
  static long divide128(long high, long low, long d) {
    int shift = Long.numberOfLeadingZeros(d);
    d <<= shift;
    long dHigh = d >>> 32;
    long dLow = d & 0xffff_ffffL;
    long n = shift == 0 ? high : high << shift | low >>> 64 - shift;
    long rest = low << shift;
    long n1 = rest >>> 32;
    long n0 = rest & 0xffff_ffffL;
    long q1 = digit(n, dHigh, dLow, n1);
    long middle = (n << 32 | n1) - q1 * d;
    long q0 = digit(middle, dHigh, dLow, n0);
    return q1 << 32 | q0 & 0xffff_ffffL;
  }

  private static long digit(long n, long dHigh, long dLow, long next) {
    long q = Long.divideUnsigned(n, dHigh);
    long r = n - q * dHigh;
    while (q >>> 32 != 0 || Long.compareUnsigned(q * dLow, r << 32 | next) > 0) {
      q--;
      r += dHigh;
      if (r >>> 32 != 0) {
        break;
      }
    }
    return q;
  }

  private static void signedDivide(Processor cpu, Instruction i) {
    int size = i.size[0];
    long d = IntegerOps.signExtend(Operands.read(cpu, i, 0), size);
    if (d == 0) {
      throw cpu.raise(GuestFault.DE);
    }
    long a = cpu.gpr(CpuState.RAX);
    long high = cpu.gpr(CpuState.RDX);
    switch (size) {
      case 1 -> {
        long n = (short) a;
        long q = n / d;
        if (q != (byte) q) {
          throw cpu.raise(GuestFault.DE);
        }
        store8(cpu, q & 0xff, n % d, 0xff);
      }
      case 2, 4 -> {
        long n = Operands.mask(high, size) << 8 * size | Operands.mask(a, size);
        n = IntegerOps.signExtend(n, 2 * size);
        if (n == Long.MIN_VALUE && d == -1) {
          throw cpu.raise(GuestFault.DE);
        }
        long q = n / d;
        if (q != IntegerOps.signExtend(q, size)) {
          throw cpu.raise(GuestFault.DE);
        }
        Operands.setGpr(cpu, CpuState.RAX, size, q);
        Operands.setGpr(cpu, CpuState.RDX, size, n % d);
      }
      default -> signedDivide128(cpu, high, a, d);
    }
  }

  private static void signedDivide128(Processor cpu, long high, long low, long d) {
    boolean negative = high < 0;
    long nHigh = high;
    long nLow = low;
    if (negative) {
      nLow = -low;
      nHigh = ~high + (nLow == 0 ? 1 : 0);
    }
    long divisor = d < 0 ? -d : d;
    if (Long.compareUnsigned(nHigh, divisor) >= 0) {
      throw cpu.raise(GuestFault.DE);
    }
    long q = nHigh == 0 ? Long.divideUnsigned(nLow, divisor) : divide128(nHigh, nLow, divisor);
    long r = nLow - q * divisor;
    boolean negativeQuotient = negative ^ d < 0;
    if (negativeQuotient ? Long.compareUnsigned(q, Long.MIN_VALUE) > 0 : q < 0) {
      throw cpu.raise(GuestFault.DE);
    }
    cpu.setGpr(CpuState.RAX, negativeQuotient ? -q : q);
    cpu.setGpr(CpuState.RDX, negative ? -r : r);
  }

  private static void mulx(Processor cpu, Instruction i) {
    int size = i.size[0];
    long a = Operands.mask(cpu.gpr(CpuState.RDX), size);
    long b = Operands.read(cpu, i, 2);
    long low = a * b;
    long high = size == 8 ? Math.unsignedMultiplyHigh(a, b) : low >>> 32;
    // The low half is written first: where both go to one register, it keeps the high half.
    Operands.write(cpu, i, 1, low);
    Operands.write(cpu, i, 0, high);
  }
}
