package dev.bothy.x86.interpret;

/**
 * Integer arithmetic with flags, for every operand size: {@code shift} is 64 less the operand's
 * bits, so that one body serves all and C2 folds it. Operands may have any bits above their size;
 * results come sign-extended. See {@link SegmentingCpu} for the form of the flags.
 */
final class Alu {
  private static final long TOP2 = 0xc000_0000_0000_0000L;

  private Alu() {}

  static long add(Processor cpu, long a, long b, int shift) {
    a <<= shift;
    b <<= shift;
    long r = a + b;
    long c = a & b | (a | b) & ~r;
    cpu.flagResult = r >> shift;
    cpu.flagAux = c & TOP2 | c >>> shift & 8;
    return r >> shift;
  }

  static long adc(Processor cpu, long a, long b, long carry, int shift) {
    a <<= shift;
    b <<= shift;
    long r = a + b + (carry << shift);
    long c = a & b | (a | b) & ~r;
    cpu.flagResult = r >> shift;
    cpu.flagAux = c & TOP2 | c >>> shift & 8;
    return r >> shift;
  }

  static long sub(Processor cpu, long a, long b, int shift) {
    a <<= shift;
    b <<= shift;
    long r = a - b;
    long c = ~a & b | (~a | b) & r;
    cpu.flagResult = r >> shift;
    cpu.flagAux = c & TOP2 | c >>> shift & 8;
    return r >> shift;
  }

  static long sbb(Processor cpu, long a, long b, long carry, int shift) {
    a <<= shift;
    b <<= shift;
    long r = a - b - (carry << shift);
    long c = ~a & b | (~a | b) & r;
    cpu.flagResult = r >> shift;
    cpu.flagAux = c & TOP2 | c >>> shift & 8;
    return r >> shift;
  }

  /** Flags of AND, OR, XOR, TEST for result {@code r}. */
  static long logic(Processor cpu, long r, int shift) {
    r = r << shift >> shift;
    cpu.flagResult = r;
    cpu.flagAux = 0;
    return r;
  }

  private static void keepCarry(Processor cpu, long old, long c, int shift) {
    long carry = old & Long.MIN_VALUE;
    long overflow = (c ^ c << 1) & Long.MIN_VALUE;
    cpu.flagAux = carry | (carry ^ overflow) >>> 1 | c >>> shift & 8;
  }

  static long inc(Processor cpu, long a, int shift) {
    a <<= shift;
    long b = 1L << shift;
    long r = a + b;
    keepCarry(cpu, cpu.flagAux, a & b | (a | b) & ~r, shift);
    cpu.flagResult = r >> shift;
    return r >> shift;
  }

  static long dec(Processor cpu, long a, int shift) {
    a <<= shift;
    long b = 1L << shift;
    long r = a - b;
    keepCarry(cpu, cpu.flagAux, ~a & b | (~a | b) & r, shift);
    cpu.flagResult = r >> shift;
    return r >> shift;
  }

  /** CF and OF given, the others from the result; AF clear. */
  private static void shiftFlags(Processor cpu, long r, boolean carry, boolean overflow) {
    cpu.flagResult = r;
    cpu.flagAux = (carry ? Long.MIN_VALUE : 0) | (carry ^ overflow ? 1L << 62 : 0);
  }

  /** {@code count} is masked already and not 0. */
  static long shl(Processor cpu, long a, int count, int shift) {
    int bits = 64 - shift;
    a = a << shift >>> shift;
    boolean carry = count <= bits && (a >>> bits - count & 1) != 0;
    long r = count >= bits ? 0 : a << count << shift >> shift;
    shiftFlags(cpu, r, carry, r < 0 ^ carry);
    return r;
  }

  static long shr(Processor cpu, long a, int count, int shift) {
    int bits = 64 - shift;
    a = a << shift >>> shift;
    boolean carry = count <= bits && (a >>> count - 1 & 1) != 0;
    boolean overflow = count == 1 && (a >>> bits - 1 & 1) != 0;
    long r = count >= bits ? 0 : a >>> count;
    r = r << shift >> shift;
    shiftFlags(cpu, r, carry, overflow);
    return r;
  }

  static long sar(Processor cpu, long a, int count, int shift) {
    a = a << shift >> shift;
    int n = Math.min(count, 63);
    boolean carry = (a >> Math.min(count - 1, 63) & 1) != 0;
    long r = a >> n;
    shiftFlags(cpu, r, carry, false);
    return r;
  }

  /** Rotates set CF and OF only. */
  private static void rotateFlags(Processor cpu, boolean carry, boolean overflow) {
    cpu.flagAux =
        cpu.flagAux & ~TOP2 | (carry ? Long.MIN_VALUE : 0) | (carry ^ overflow ? 1L << 62 : 0);
  }

  /** {@code count} is masked to 5 or 6 bits and not 0. */
  static long rol(Processor cpu, long a, int count, int shift) {
    int bits = 64 - shift;
    a = a << shift >>> shift;
    int n = count & bits - 1;
    long r = n == 0 ? a : (a << n | a >>> bits - n) << shift >>> shift;
    boolean carry = (r & 1) != 0;
    rotateFlags(cpu, carry, (r >>> bits - 1 & 1) != 0 ^ carry);
    return r;
  }

  static long ror(Processor cpu, long a, int count, int shift) {
    int bits = 64 - shift;
    a = a << shift >>> shift;
    int n = count & bits - 1;
    long r = n == 0 ? a : (a >>> n | a << bits - n) << shift >>> shift;
    boolean top = (r >>> bits - 1 & 1) != 0;
    rotateFlags(cpu, top, top ^ (r >>> bits - 2 & 1) != 0);
    return r;
  }

  static long rcl(Processor cpu, long a, int count, int shift) {
    int bits = 64 - shift;
    a = a << shift >>> shift;
    int n = count % (bits + 1);
    boolean carry = cpu.cf();
    for (int i = 0; i < n; i++) {
      boolean out = (a >>> bits - 1 & 1) != 0;
      a = (a << 1 | (carry ? 1 : 0)) << shift >>> shift;
      carry = out;
    }
    rotateFlags(cpu, carry, (a >>> bits - 1 & 1) != 0 ^ carry);
    return a;
  }

  static long rcr(Processor cpu, long a, int count, int shift) {
    int bits = 64 - shift;
    a = a << shift >>> shift;
    int n = count % (bits + 1);
    boolean carry = cpu.cf();
    for (int i = 0; i < n; i++) {
      boolean out = (a & 1) != 0;
      a = a >>> 1 | (carry ? 1L << bits - 1 : 0);
      carry = out;
    }
    rotateFlags(cpu, carry, ((a >>> bits - 1 ^ a >>> bits - 2) & 1) != 0);
    return a;
  }

  /**
   * {@code a} shifted left, bits of {@code b} coming in. 16-bit counts above 16 are undefined:
   * AMD's bring {@code b} in twice.
   */
  static long shld(Processor cpu, long a, long b, int count, int shift) {
    int bits = 64 - shift;
    a = a << shift >>> shift;
    b = b << shift >>> shift;
    long r;
    boolean carry;
    if (bits == 16) {
      long wide = a << 32 | b << 16 | b;
      // a:b:b, 48 bits: the top 16 after the shift are the result.
      r = wide >>> 32 - count & 0xffff;
      carry = count <= 16 && (wide >>> 48 - count & 1) != 0;
    } else {
      r = (a << count | b >>> bits - count) << shift >>> shift;
      carry = (a >>> bits - count & 1) != 0;
    }
    long signed = r << shift >> shift;
    shiftFlags(cpu, signed, carry, (a >>> bits - 1 & 1) != (r >>> bits - 1 & 1));
    return signed;
  }

  static long shrd(Processor cpu, long a, long b, int count, int shift) {
    int bits = 64 - shift;
    a = a << shift >>> shift;
    b = b << shift >>> shift;
    long r;
    boolean carry;
    if (bits == 16) {
      long wide = b << 32 | b << 16 | a;
      r = wide >>> count & 0xffff;
      carry = count <= 16 && (wide >>> count - 1 & 1) != 0;
    } else {
      r = (a >>> count | b << bits - count) << shift >>> shift;
      carry = (a >>> count - 1 & 1) != 0;
    }
    long signed = r << shift >> shift;
    shiftFlags(cpu, signed, carry, (a >>> bits - 1 & 1) != (r >>> bits - 1 & 1));
    return signed;
  }

  /** CF and OF of a multiplication; the others are undefined and come from the result. */
  static void multiplyFlags(Processor cpu, long low, boolean overflow) {
    shiftFlags(cpu, low, overflow, overflow);
  }
}
