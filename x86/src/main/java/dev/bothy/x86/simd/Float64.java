package dev.bothy.x86.simd;

import static dev.bothy.x86.simd.FloatFormat.DOUBLE;
import static dev.bothy.x86.simd.FloatFormat.SINGLE;

/**
 * Scalar double precision as SSE2 computes it, on bit patterns. Ordinary numbers under ordinary
 * control take the host's arithmetic, with inexactness from the error-free residual; everything
 * else takes {@link SoftFloat}.
 */
public final class Float64 {
  private static final long MAGNITUDE = Long.MAX_VALUE;
  private static final long MIN_NORMAL = 1L << 52;
  private static final long INFINITY = 0x7ffL << 52;

  /** 2**-900 and 2**1000: between them no residual under- or overflows. */
  private static final long SMALL = (1023L - 900) << 52;

  private static final long LARGE = (1023L + 1000) << 52;

  private Float64() {}

  /** A normal number or zero. */
  private static boolean isOrdinary(long bits) {
    long magnitude = bits & MAGNITUDE;
    return magnitude - MIN_NORMAL >= 0 && magnitude < INFINITY || magnitude == 0;
  }

  private static boolean isModerate(long bits) {
    long magnitude = bits & MAGNITUDE;
    return magnitude >= SMALL && magnitude < LARGE;
  }

  private static boolean isZero(long bits) {
    return bits << 1 == 0;
  }

  public static long add(long a, long b, FloatEnvironment e) {
    if (e.plain && isOrdinary(a) && isOrdinary(b)) {
      double x = Double.longBitsToDouble(a);
      double y = Double.longBitsToDouble(b);
      double sum = x + y;
      long bits = Double.doubleToRawLongBits(sum);
      if (isModerate(bits)) {
        if (!e.inexactKnown && error(x, y, sum) != 0) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return bits;
      }
      if (isZero(bits)) {
        return bits;
      }
    }
    return SoftFloat.add(DOUBLE, a, b, e);
  }

  public static long subtract(long a, long b, FloatEnvironment e) {
    if (e.plain && isOrdinary(a) && isOrdinary(b)) {
      double x = Double.longBitsToDouble(a);
      double y = -Double.longBitsToDouble(b);
      double sum = x + y;
      long bits = Double.doubleToRawLongBits(sum);
      if (isModerate(bits)) {
        if (!e.inexactKnown && error(x, y, sum) != 0) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return bits;
      }
      if (isZero(bits)) {
        return bits;
      }
    }
    return SoftFloat.subtract(DOUBLE, a, b, e);
  }

  /** What rounding took away from x + y: Knuth's two-sum. */
  private static double error(double x, double y, double sum) {
    double part = sum - x;
    return (x - (sum - part)) + (y - part);
  }

  public static long multiply(long a, long b, FloatEnvironment e) {
    if (e.plain && isOrdinary(a) && isOrdinary(b)) {
      double x = Double.longBitsToDouble(a);
      double y = Double.longBitsToDouble(b);
      double product = x * y;
      long bits = Double.doubleToRawLongBits(product);
      if (isModerate(bits)) {
        if (!e.inexactKnown && Math.fma(x, y, -product) != 0) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return bits;
      }
      if (isZero(a) || isZero(b)) {
        return bits;
      }
    }
    return SoftFloat.multiply(DOUBLE, a, b, e);
  }

  public static long divide(long a, long b, FloatEnvironment e) {
    if (e.plain && isModerate(b)) {
      double x = Double.longBitsToDouble(a);
      double y = Double.longBitsToDouble(b);
      double quotient = x / y;
      long bits = Double.doubleToRawLongBits(quotient);
      if (isModerate(a) && isModerate(bits)) {
        if (!e.inexactKnown && Math.fma(quotient, y, -x) != 0) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return bits;
      }
      if (isZero(a)) {
        return bits;
      }
    }
    return SoftFloat.divide(DOUBLE, a, b, e);
  }

  /** FMA: a * b + c, the product or the addend negated first if so asked. */
  public static long multiplyAdd(
      long a, long b, long c, boolean negateProduct, boolean negateAddend, FloatEnvironment e) {
    if (e.plain && e.inexactKnown && isOrdinary(a) && isOrdinary(b) && isOrdinary(c)) {
      double x = Double.longBitsToDouble(a);
      double z = Double.longBitsToDouble(c);
      double sum =
          Math.fma(negateProduct ? -x : x, Double.longBitsToDouble(b), negateAddend ? -z : z);
      long bits = Double.doubleToRawLongBits(sum);
      if (isModerate(bits)) {
        return bits;
      }
    }
    return SoftFloat.multiplyAdd(DOUBLE, a, b, c, negateProduct, negateAddend, e);
  }

  public static long squareRoot(long a, FloatEnvironment e) {
    if (e.plain && a > 0 && isModerate(a)) {
      double x = Double.longBitsToDouble(a);
      double root = Math.sqrt(x);
      if (!e.inexactKnown && Math.fma(root, root, -x) != 0) {
        e.flags |= FloatEnvironment.INEXACT;
      }
      return Double.doubleToRawLongBits(root);
    }
    return SoftFloat.squareRoot(DOUBLE, a, e);
  }

  public static long minimum(long a, long b, FloatEnvironment e) {
    if (isOrdinary(a) && isOrdinary(b)) {
      return Double.longBitsToDouble(a) < Double.longBitsToDouble(b) ? a : b;
    }
    return SoftFloat.minimum(DOUBLE, a, b, e);
  }

  public static long maximum(long a, long b, FloatEnvironment e) {
    if (isOrdinary(a) && isOrdinary(b)) {
      return Double.longBitsToDouble(a) > Double.longBitsToDouble(b) ? a : b;
    }
    return SoftFloat.maximum(DOUBLE, a, b, e);
  }

  /** -1, 0, 1, or 2 for unordered; quiet NaNs raise invalid only if {@code signalling}. */
  public static int compare(long a, long b, boolean signalling, FloatEnvironment e) {
    if (isOrdinary(a) && isOrdinary(b)) {
      double x = Double.longBitsToDouble(a);
      double y = Double.longBitsToDouble(b);
      return x < y ? -1 : x > y ? 1 : 0;
    }
    return SoftFloat.compare(DOUBLE, a, b, signalling, e);
  }

  /** CVTSD2SS. */
  public static int toSingle(long a, FloatEnvironment e) {
    return (int) SoftFloat.convert(DOUBLE, SINGLE, a, e);
  }

  /** CVTSI2SD, CVTDQ2PD, from an integer of any width. */
  public static long fromInteger(long value, FloatEnvironment e) {
    double converted = value;
    if (Math.abs(converted) <= 0x1p53) {
      // Below 2**53 every integer is a double; at it, one that was rounded differs from its
      // conversion.
      if ((long) converted == value) {
        return Double.doubleToRawLongBits(converted);
      }
    }
    return SoftFloat.fromInteger(DOUBLE, value, e);
  }

  /** CVTSD2SI and CVTTSD2SI ({@code truncate}) to 32 bits, sign-extended. */
  public static int toInt(long a, boolean truncate, FloatEnvironment e) {
    if (truncate && isOrdinary(a)) {
      double x = Double.longBitsToDouble(a);
      int value = (int) x;
      if (value != Integer.MAX_VALUE && value != Integer.MIN_VALUE) {
        if (value != x) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return value;
      }
    }
    return (int)
        SoftFloat.toInteger(DOUBLE, a, 32, truncate ? FloatEnvironment.TRUNCATE : e.rounding, e);
  }

  /** CVTSD2SI and CVTTSD2SI ({@code truncate}) to 64 bits. */
  public static long toLong(long a, boolean truncate, FloatEnvironment e) {
    if (truncate && isOrdinary(a)) {
      double x = Double.longBitsToDouble(a);
      long value = (long) x;
      if (value != Long.MAX_VALUE && value != Long.MIN_VALUE) {
        if (value != x) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return value;
      }
    }
    return SoftFloat.toInteger(DOUBLE, a, 64, truncate ? FloatEnvironment.TRUNCATE : e.rounding, e);
  }

  /**
   * ROUNDSD: bits 0 to 2 of {@code control} choose the mode (4: that of MXCSR), bit 3 keeps inexact
   * quiet.
   */
  public static long toIntegral(long a, int control, FloatEnvironment e) {
    int rounding = (control & 4) != 0 ? e.rounding : control & 3;
    return SoftFloat.toIntegral(DOUBLE, a, rounding, (control & 8) == 0, e);
  }
}
