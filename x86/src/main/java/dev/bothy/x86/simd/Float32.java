package dev.bothy.x86.simd;

import static dev.bothy.x86.simd.FloatFormat.DOUBLE;
import static dev.bothy.x86.simd.FloatFormat.SINGLE;

/**
 * Scalar single precision as SSE computes it, on bit patterns. Ordinary numbers under ordinary
 * control take the host's arithmetic, with inexactness found in double precision; everything else
 * takes {@link SoftFloat}.
 */
public final class Float32 {
  private static final int MAGNITUDE = Integer.MAX_VALUE;
  private static final int MIN_NORMAL = 1 << 23;
  private static final int INFINITY = 0xff << 23;
  private static final int LARGE = 0xfe << 23;

  private Float32() {}

  private static long wide(int bits) {
    return bits & 0xffff_ffffL;
  }

  /** A normal number or zero. */
  private static boolean isOrdinary(int bits) {
    int magnitude = bits & MAGNITUDE;
    return magnitude >= MIN_NORMAL && magnitude < INFINITY || magnitude == 0;
  }

  /** Also before rounding not tiny, and below 2**127, so that no residual overflows. */
  private static boolean isNormalResult(int bits) {
    int magnitude = bits & MAGNITUDE;
    return magnitude > MIN_NORMAL && magnitude < LARGE;
  }

  private static boolean isZero(int bits) {
    return bits << 1 == 0;
  }

  public static int add(int a, int b, FloatEnvironment e) {
    if (e.plain && isOrdinary(a) && isOrdinary(b)) {
      float x = Float.intBitsToFloat(a);
      float y = Float.intBitsToFloat(b);
      float sum = x + y;
      int bits = Float.floatToRawIntBits(sum);
      if (isNormalResult(bits)) {
        if (!e.inexactKnown && error(x, y, sum) != 0) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return bits;
      }
      if (isZero(bits)) {
        return bits;
      }
    }
    return (int) SoftFloat.add(SINGLE, wide(a), wide(b), e);
  }

  public static int subtract(int a, int b, FloatEnvironment e) {
    if (e.plain && isOrdinary(a) && isOrdinary(b)) {
      float x = Float.intBitsToFloat(a);
      float y = -Float.intBitsToFloat(b);
      float sum = x + y;
      int bits = Float.floatToRawIntBits(sum);
      if (isNormalResult(bits)) {
        if (!e.inexactKnown && error(x, y, sum) != 0) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return bits;
      }
      if (isZero(bits)) {
        return bits;
      }
    }
    return (int) SoftFloat.subtract(SINGLE, wide(a), wide(b), e);
  }

  /** What rounding took away from x + y: Knuth's two-sum. */
  private static float error(float x, float y, float sum) {
    float part = sum - x;
    return (x - (sum - part)) + (y - part);
  }

  public static int multiply(int a, int b, FloatEnvironment e) {
    if (e.plain && isOrdinary(a) && isOrdinary(b)) {
      float x = Float.intBitsToFloat(a);
      float y = Float.intBitsToFloat(b);
      float product = x * y;
      int bits = Float.floatToRawIntBits(product);
      if (isNormalResult(bits)) {
        if (!e.inexactKnown && (double) x * y != product) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return bits;
      }
      if (isZero(a) || isZero(b)) {
        return bits;
      }
    }
    return (int) SoftFloat.multiply(SINGLE, wide(a), wide(b), e);
  }

  public static int divide(int a, int b, FloatEnvironment e) {
    if (e.plain && isOrdinary(a) && isOrdinary(b) && !isZero(b)) {
      float x = Float.intBitsToFloat(a);
      float y = Float.intBitsToFloat(b);
      float quotient = x / y;
      int bits = Float.floatToRawIntBits(quotient);
      if (isNormalResult(bits)) {
        if (!e.inexactKnown && (double) quotient * y != x) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return bits;
      }
      if (isZero(a)) {
        return bits;
      }
    }
    return (int) SoftFloat.divide(SINGLE, wide(a), wide(b), e);
  }

  /** FMA: a * b + c, the product or the addend negated first if so asked. */
  public static int multiplyAdd(
      int a, int b, int c, boolean negateProduct, boolean negateAddend, FloatEnvironment e) {
    if (e.plain && e.inexactKnown && isOrdinary(a) && isOrdinary(b) && isOrdinary(c)) {
      float x = Float.intBitsToFloat(a);
      float z = Float.intBitsToFloat(c);
      float sum = Math.fma(negateProduct ? -x : x, Float.intBitsToFloat(b), negateAddend ? -z : z);
      int bits = Float.floatToRawIntBits(sum);
      if (isNormalResult(bits)) {
        return bits;
      }
    }
    return (int)
        SoftFloat.multiplyAdd(SINGLE, wide(a), wide(b), wide(c), negateProduct, negateAddend, e);
  }

  public static int squareRoot(int a, FloatEnvironment e) {
    if (e.plain && a > 0 && isOrdinary(a)) {
      float x = Float.intBitsToFloat(a);
      float root = (float) Math.sqrt(x);
      if (!e.inexactKnown && (double) root * root != x) {
        e.flags |= FloatEnvironment.INEXACT;
      }
      return Float.floatToRawIntBits(root);
    }
    return (int) SoftFloat.squareRoot(SINGLE, wide(a), e);
  }

  public static int minimum(int a, int b, FloatEnvironment e) {
    if (isOrdinary(a) && isOrdinary(b)) {
      return Float.intBitsToFloat(a) < Float.intBitsToFloat(b) ? a : b;
    }
    return (int) SoftFloat.minimum(SINGLE, wide(a), wide(b), e);
  }

  public static int maximum(int a, int b, FloatEnvironment e) {
    if (isOrdinary(a) && isOrdinary(b)) {
      return Float.intBitsToFloat(a) > Float.intBitsToFloat(b) ? a : b;
    }
    return (int) SoftFloat.maximum(SINGLE, wide(a), wide(b), e);
  }

  /** -1, 0, 1, or 2 for unordered; quiet NaNs raise invalid only if {@code signalling}. */
  public static int compare(int a, int b, boolean signalling, FloatEnvironment e) {
    if (isOrdinary(a) && isOrdinary(b)) {
      float x = Float.intBitsToFloat(a);
      float y = Float.intBitsToFloat(b);
      return x < y ? -1 : x > y ? 1 : 0;
    }
    return SoftFloat.compare(SINGLE, wide(a), wide(b), signalling, e);
  }

  /** CVTSS2SD. */
  public static long toDouble(int a, FloatEnvironment e) {
    if (isOrdinary(a)) {
      return Double.doubleToRawLongBits(Float.intBitsToFloat(a));
    }
    return SoftFloat.convert(SINGLE, DOUBLE, wide(a), e);
  }

  /** CVTSI2SS, CVTDQ2PS, CVTPI2PS, from an integer of any width. */
  public static int fromInteger(long value, FloatEnvironment e) {
    if (value > -(1 << 24) && value < 1 << 24) {
      return Float.floatToRawIntBits(value);
    }
    return (int) SoftFloat.fromInteger(SINGLE, value, e);
  }

  /** CVTSS2SI, CVTPS2DQ, CVTPS2PI and their truncating forms to 32 bits. */
  public static int toInt(int a, boolean truncate, FloatEnvironment e) {
    if (truncate && isOrdinary(a)) {
      float x = Float.intBitsToFloat(a);
      int value = (int) x;
      if (value != Integer.MAX_VALUE && value != Integer.MIN_VALUE) {
        if ((double) value != x) {
          e.flags |= FloatEnvironment.INEXACT;
        }
        return value;
      }
    }
    return (int)
        SoftFloat.toInteger(
            SINGLE, wide(a), 32, truncate ? FloatEnvironment.TRUNCATE : e.rounding, e);
  }

  /** CVTSS2SI and CVTTSS2SI ({@code truncate}) to 64 bits. */
  public static long toLong(int a, boolean truncate, FloatEnvironment e) {
    return SoftFloat.toInteger(
        SINGLE, wide(a), 64, truncate ? FloatEnvironment.TRUNCATE : e.rounding, e);
  }

  /**
   * ROUNDSS: bits 0 to 2 of {@code control} choose the mode (4: that of MXCSR), bit 3 keeps inexact
   * quiet.
   */
  public static int toIntegral(int a, int control, FloatEnvironment e) {
    int rounding = (control & 4) != 0 ? e.rounding : control & 3;
    return (int) SoftFloat.toIntegral(SINGLE, wide(a), rounding, (control & 8) == 0, e);
  }
}
