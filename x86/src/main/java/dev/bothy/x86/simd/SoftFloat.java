package dev.bothy.x86.simd;

import static dev.bothy.x86.simd.FloatEnvironment.DENORMAL;
import static dev.bothy.x86.simd.FloatEnvironment.DOWN;
import static dev.bothy.x86.simd.FloatEnvironment.INEXACT;
import static dev.bothy.x86.simd.FloatEnvironment.INVALID;
import static dev.bothy.x86.simd.FloatEnvironment.NEAREST;
import static dev.bothy.x86.simd.FloatEnvironment.OVERFLOW;
import static dev.bothy.x86.simd.FloatEnvironment.TRUNCATE;
import static dev.bothy.x86.simd.FloatEnvironment.UNDERFLOW;
import static dev.bothy.x86.simd.FloatEnvironment.UP;
import static dev.bothy.x86.simd.FloatEnvironment.ZERO_DIVIDE;

/**
 * SSE arithmetic in integers, complete: every rounding mode, denormal handling, exception and NaN
 * rule (AMD64 APM volume 1, sections 4.7 and 4.10). {@link Float32} and {@link Float64} answer the
 * ordinary cases faster and come here for the rest.
 *
 * <p>Exceptions go to the {@link FloatEnvironment}; when one of them is unmasked the value returned
 * has no meaning.
 */
final class SoftFloat {
  private SoftFloat() {}

  // Operands.

  /** The operand with DAZ applied. */
  static long flushed(FloatFormat f, long bits, FloatEnvironment e) {
    return e.denormalsAreZeros && f.isDenormal(bits) ? bits & f.sign : bits;
  }

  /** Raises the denormal exception if an operand (DAZ applied) is denormal. */
  static void checkDenormal(FloatFormat f, long a, long b, FloatEnvironment e) {
    if (f.isDenormal(a) || f.isDenormal(b)) {
      e.raise(DENORMAL);
    }
  }

  static boolean eitherNan(FloatFormat f, long a, long b) {
    return f.isNan(a) || f.isNan(b);
  }

  /**
   * The NaN that an operation on {@code a} and {@code b} gives if one of them is a NaN: the first,
   * made quiet.
   */
  static long propagate(FloatFormat f, long a, long b, FloatEnvironment e) {
    if (f.isSignalling(a) || f.isSignalling(b)) {
      e.raise(INVALID);
    }
    return (f.isNan(a) ? a : b) | f.quiet;
  }

  private static long invalid(FloatFormat f, FloatEnvironment e) {
    e.raise(INVALID);
    return f.indefinite;
  }

  // Rounding.

  /** Shifts right, keeping in bit 0 whether anything was lost. */
  static long shiftRightSticky(long value, int count) {
    if (count <= 0) {
      return value;
    }
    if (count > 63) {
      return value != 0 ? 1 : 0;
    }
    return value >>> count | ((value & ((1L << count) - 1)) != 0 ? 1 : 0);
  }

  /**
   * {@code significand >>> drop}, rounded. {@code drop} is 1 to 62 and bit 63 of the significand
   * clear.
   */
  static long rounded(boolean negative, long significand, int drop, int rounding) {
    long kept = significand >>> drop;
    long rest = significand & ((1L << drop) - 1);
    long half = 1L << (drop - 1);
    boolean away =
        switch (rounding) {
          case NEAREST -> rest > half || rest == half && (kept & 1) != 0;
          case DOWN -> negative && rest != 0;
          case UP -> !negative && rest != 0;
          default -> false;
        };
    return away ? kept + 1 : kept;
  }

  /**
   * The number nearest to {@code significand * 2**(exponent - 62)} as the environment rounds. The
   * significand's leading one is bit 62; bit 0 is sticky.
   */
  static long pack(
      FloatFormat f, boolean negative, int exponent, long significand, FloatEnvironment e) {
    long sign = negative ? f.sign : 0;
    int drop = 62 - f.fractionBits;
    boolean inexact = (significand & ((1L << drop) - 1)) != 0;
    long kept = rounded(negative, significand, drop, e.rounding);
    int biased = exponent + f.bias;
    boolean carry = kept >>> (f.fractionBits + 1) != 0;
    if (carry) {
      kept >>>= 1;
    }
    int finalExponent = carry ? biased + 1 : biased;
    if (finalExponent >= f.maxExponent) {
      return overflow(f, negative, inexact, e);
    }
    if (finalExponent <= 0) {
      return tiny(f, negative, biased, significand, inexact, e);
    }
    if (inexact) {
      e.raise(INEXACT);
    }
    return sign | (long) finalExponent << f.fractionBits | kept & f.fractionMask;
  }

  private static long overflow(
      FloatFormat f, boolean negative, boolean inexact, FloatEnvironment e) {
    e.raise(OVERFLOW);
    if (inexact || (e.unmasked & OVERFLOW) == 0) {
      e.raise(INEXACT);
    }
    boolean toLargest = e.rounding == TRUNCATE || e.rounding == (negative ? UP : DOWN);
    return (negative ? f.sign : 0) | (toLargest ? f.largest() : f.infinity);
  }

  /** Less than the smallest normal number after rounding as if exponents had no lower bound. */
  private static long tiny(
      FloatFormat f,
      boolean negative,
      int biased,
      long significand,
      boolean inexact,
      FloatEnvironment e) {
    long sign = negative ? f.sign : 0;
    if ((e.unmasked & UNDERFLOW) != 0) {
      e.raise(UNDERFLOW | (inexact ? INEXACT : 0));
      return sign;
    }
    if (e.flushToZero) {
      e.raise(UNDERFLOW | INEXACT);
      return sign;
    }
    int drop = 62 - f.fractionBits;
    long shifted = shiftRightSticky(significand, 1 - biased);
    if ((shifted & ((1L << drop) - 1)) != 0) {
      e.raise(UNDERFLOW | INEXACT);
    }
    return sign | rounded(negative, shifted, drop, e.rounding);
  }

  // Arithmetic.

  static long add(FloatFormat f, long a, long b, FloatEnvironment e) {
    a = flushed(f, a, e);
    b = flushed(f, b, e);
    return eitherNan(f, a, b) ? propagate(f, a, b, e) : sum(f, a, b, e);
  }

  static long subtract(FloatFormat f, long a, long b, FloatEnvironment e) {
    a = flushed(f, a, e);
    b = flushed(f, b, e);
    return eitherNan(f, a, b) ? propagate(f, a, b, e) : sum(f, a, b ^ f.sign, e);
  }

  private static long sum(FloatFormat f, long a, long b, FloatEnvironment e) {
    if (f.isInfinite(a)) {
      if (f.isInfinite(b) && a != b) {
        return invalid(f, e);
      }
      checkDenormal(f, a, b, e);
      return a;
    }
    checkDenormal(f, a, b, e);
    if (f.isInfinite(b)) {
      return b;
    }
    if (f.isZero(a) && f.isZero(b)) {
      return a == b ? a : e.rounding == DOWN ? f.sign : 0;
    }
    if (f.isZero(a)) {
      return pack(f, f.isNegative(b), f.exponent(b), f.significand(b), e);
    }
    if (f.isZero(b)) {
      return pack(f, f.isNegative(a), f.exponent(a), f.significand(a), e);
    }
    if (f.magnitude(a) < f.magnitude(b)) {
      long swap = a;
      a = b;
      b = swap;
    }
    boolean negative = f.isNegative(a);
    int exponent = f.exponent(a);
    // Leading one at bit 61, for room to carry.
    long high = f.significand(a) >>> 1;
    long low = shiftRightSticky(f.significand(b) >>> 1, exponent - f.exponent(b));
    long total = negative == f.isNegative(b) ? high + low : high - low;
    if (total == 0) {
      return e.rounding == DOWN ? f.sign : 0;
    }
    int shift = Long.numberOfLeadingZeros(total) - 1;
    return pack(f, negative, exponent + 1 - shift, total << shift, e);
  }

  static long multiply(FloatFormat f, long a, long b, FloatEnvironment e) {
    a = flushed(f, a, e);
    b = flushed(f, b, e);
    if (eitherNan(f, a, b)) {
      return propagate(f, a, b, e);
    }
    long sign = (a ^ b) & f.sign;
    if (f.isInfinite(a) || f.isInfinite(b)) {
      if (f.isZero(a) || f.isZero(b)) {
        return invalid(f, e);
      }
      checkDenormal(f, a, b, e);
      return sign | f.infinity;
    }
    checkDenormal(f, a, b, e);
    if (f.isZero(a) || f.isZero(b)) {
      return sign;
    }
    long x = f.significand(a) << 1;
    long y = f.significand(b) << 1;
    long high = Math.unsignedMultiplyHigh(x, y);
    long product = high | (x * y != 0 ? 1 : 0);
    int exponent = f.exponent(a) + f.exponent(b);
    if (product < 0) {
      product = shiftRightSticky(product, 1);
      exponent++;
    }
    return pack(f, sign != 0, exponent, product, e);
  }

  /**
   * a * b + c with one rounding; the product or the addend is negated first if so asked, but not if
   * it is a NaN.
   */
  static long multiplyAdd(
      FloatFormat f,
      long a,
      long b,
      long c,
      boolean negateProduct,
      boolean negateAddend,
      FloatEnvironment e) {
    a = flushed(f, a, e);
    b = flushed(f, b, e);
    c = flushed(f, c, e);
    boolean undefined = f.isInfinite(a) && f.isZero(b) || f.isZero(a) && f.isInfinite(b);
    if (eitherNan(f, a, b) || f.isNan(c)) {
      if (f.isSignalling(c)) {
        e.raise(INVALID);
      }
      return eitherNan(f, a, b) ? propagate(f, a, b, e) : c | f.quiet;
    }
    if (undefined) {
      return invalid(f, e);
    }
    boolean negative = f.isNegative(a) ^ f.isNegative(b) ^ negateProduct;
    if (negateAddend) {
      c ^= f.sign;
    }
    if (f.isInfinite(a) || f.isInfinite(b)) {
      if (f.isInfinite(c) && f.isNegative(c) != negative) {
        return invalid(f, e);
      }
      checkDenormal(f, a, b, e);
      checkDenormal(f, c, c, e);
      return (negative ? f.sign : 0) | f.infinity;
    }
    checkDenormal(f, a, b, e);
    checkDenormal(f, c, c, e);
    if (f.isInfinite(c)) {
      return c;
    }
    if (f.isZero(a) || f.isZero(b)) {
      if (!f.isZero(c)) {
        return pack(f, f.isNegative(c), f.exponent(c), f.significand(c), e);
      }
      return negative == f.isNegative(c) ? c : e.rounding == DOWN ? f.sign : 0;
    }
    // The product's leading one is bit 60 or 61 of the upper of two longs; the addend's, bit 60.
    long x = f.significand(a);
    long y = f.significand(b);
    long high = Math.multiplyHigh(x, y);
    long low = x * y;
    int exponent = f.exponent(a) + f.exponent(b);
    if (f.isZero(c)) {
      return packWide(f, negative, exponent, high, low, e);
    }
    long addendHigh = f.significand(c) >>> 2;
    long addendLow = f.significand(c) << 62;
    int behind = exponent - f.exponent(c);
    if (behind >= 0) {
      long shifted = shiftLow(addendHigh, addendLow, behind);
      addendHigh = behind > 63 ? 0 : addendHigh >>> behind;
      addendLow = shifted;
    } else {
      long shifted = shiftLow(high, low, -behind);
      high = -behind > 63 ? 0 : high >>> -behind;
      low = shifted;
      exponent -= behind;
    }
    if (negative == f.isNegative(c)) {
      long sum = low + addendLow;
      high += addendHigh + (Long.compareUnsigned(sum, low) < 0 ? 1 : 0);
      return packWide(f, negative, exponent, high, sum, e);
    }
    int order = Long.compare(high, addendHigh);
    if (order == 0) {
      order = Long.compareUnsigned(low, addendLow);
    }
    if (order == 0) {
      return e.rounding == DOWN ? f.sign : 0;
    }
    if (order < 0) {
      long swapHigh = high;
      long swapLow = low;
      high = addendHigh;
      low = addendLow;
      addendHigh = swapHigh;
      addendLow = swapLow;
      negative = !negative;
    }
    high -= addendHigh + (Long.compareUnsigned(low, addendLow) < 0 ? 1 : 0);
    return packWide(f, negative, exponent, high, low - addendLow, e);
  }

  /** The lower long of two shifted right, keeping in bit 0 whether anything was lost. */
  private static long shiftLow(long high, long low, int count) {
    if (count == 0) {
      return low;
    }
    if (count < 64) {
      return low >>> count | high << 64 - count | (low << 64 - count != 0 ? 1 : 0);
    }
    long rest = low != 0 ? 1 : 0;
    return shiftRightSticky(high, count - 64) | rest;
  }

  /** As {@link #pack}, of two longs that are not zero, where bit 60 of the upper one counts one. */
  private static long packWide(
      FloatFormat f, boolean negative, int exponent, long high, long low, FloatEnvironment e) {
    if (high == 0) {
      high = low;
      low = 0;
      exponent -= 64;
      if (high < 0) {
        // One too high for the sign bit to stay clear.
        return pack(f, negative, exponent + 3, shiftRightSticky(high, 1), e);
      }
    }
    int shift = Long.numberOfLeadingZeros(high) - 1;
    long significand = high;
    long rest = low;
    if (shift > 0) {
      significand = high << shift | low >>> 64 - shift;
      rest = low << shift;
    }
    return pack(f, negative, exponent + 2 - shift, significand | (rest != 0 ? 1 : 0), e);
  }

  static long divide(FloatFormat f, long a, long b, FloatEnvironment e) {
    a = flushed(f, a, e);
    b = flushed(f, b, e);
    if (eitherNan(f, a, b)) {
      return propagate(f, a, b, e);
    }
    long sign = (a ^ b) & f.sign;
    if (f.isInfinite(a)) {
      if (f.isInfinite(b)) {
        return invalid(f, e);
      }
      checkDenormal(f, a, b, e);
      return sign | f.infinity;
    }
    if (f.isInfinite(b)) {
      checkDenormal(f, a, b, e);
      return sign;
    }
    if (f.isZero(b)) {
      if (f.isZero(a)) {
        return invalid(f, e);
      }
      e.raise(ZERO_DIVIDE);
      return sign | f.infinity;
    }
    checkDenormal(f, a, b, e);
    if (f.isZero(a)) {
      return sign;
    }
    int exponent = f.exponent(a) - f.exponent(b);
    long rest = f.significand(a) >>> 10;
    long divisor = f.significand(b) >>> 10;
    if (rest < divisor) {
      rest <<= 1;
      exponent--;
    }
    // One bit before the point, then six times ten bits; both operands are below 2**53.
    long quotient = 1;
    rest -= divisor;
    for (int i = 0; i < 6; i++) {
      rest <<= 10;
      long digit = rest / divisor;
      rest -= digit * divisor;
      quotient = quotient << 10 | digit;
    }
    return pack(f, sign != 0, exponent, quotient << 2 | (rest != 0 ? 1 : 0), e);
  }

  static long squareRoot(FloatFormat f, long a, FloatEnvironment e) {
    a = flushed(f, a, e);
    if (f.isNan(a)) {
      return propagate(f, a, a, e);
    }
    if (f.isZero(a)) {
      return a;
    }
    if (f.isNegative(a)) {
      return invalid(f, e);
    }
    checkDenormal(f, a, a, e);
    if (f.isInfinite(a)) {
      return a;
    }
    int exponent = f.exponent(a);
    int odd = exponent & 1;
    // In [1, 4): exact, since a significand has at most 53 bits.
    double x = (double) f.significand(a) * 0x1p-62 * (1 + odd);
    double root = Math.sqrt(x);
    double residual = Math.fma(root, root, -x);
    long significand =
        (Double.doubleToRawLongBits(root) & FloatFormat.DOUBLE.fractionMask | 1L << 52) << 10;
    if (residual > 0) {
      significand--;
    } else if (residual < 0) {
      significand |= 1;
    }
    return pack(f, false, (exponent - odd) / 2, significand, e);
  }

  // Conversions.

  /** To another format. */
  static long convert(FloatFormat from, FloatFormat to, long a, FloatEnvironment e) {
    a = flushed(from, a, e);
    long sign = from.isNegative(a) ? to.sign : 0;
    if (from.isNan(a)) {
      if (from.isSignalling(a)) {
        e.raise(INVALID);
      }
      long fraction = a & from.fractionMask;
      int shift = to.fractionBits - from.fractionBits;
      return sign | to.infinity | to.quiet | (shift >= 0 ? fraction << shift : fraction >>> -shift);
    }
    if (from.isInfinite(a)) {
      return sign | to.infinity;
    }
    if (from.isZero(a)) {
      return sign;
    }
    checkDenormal(from, a, a, e);
    return pack(to, sign != 0, from.exponent(a), from.significand(a), e);
  }

  /** From a signed integer. */
  static long fromInteger(FloatFormat to, long value, FloatEnvironment e) {
    if (value == 0) {
      return 0;
    }
    boolean negative = value < 0;
    long magnitude = negative ? -value : value;
    if (magnitude < 0) {
      return pack(to, negative, 63, 1L << 62, e);
    }
    int shift = Long.numberOfLeadingZeros(magnitude) - 1;
    return pack(to, negative, 62 - shift, magnitude << shift, e);
  }

  /**
   * To a signed integer of {@code width} bits (32 or 64), sign-extended. NaNs and numbers out of
   * range raise invalid and give the least integer. No denormal exception here.
   */
  static long toInteger(FloatFormat f, long a, int width, int rounding, FloatEnvironment e) {
    a = flushed(f, a, e);
    if (f.isZero(a)) {
      return 0;
    }
    long least = -1L << (width - 1);
    boolean negative = f.isNegative(a);
    if (f.isNan(a) || f.isInfinite(a)) {
      e.raise(INVALID);
      return least;
    }
    int exponent = f.exponent(a);
    if (exponent >= width) {
      e.raise(INVALID);
      return least;
    }
    long magnitude;
    boolean inexact;
    long significand = f.significand(a);
    if (exponent >= 62) {
      // 62 or 63; the significand's low bits are zero.
      magnitude = significand << (exponent - 62);
      inexact = false;
    } else {
      // At least one bit is kept for rounding; below one half only the sticky bit counts.
      int drop = Math.min(62 - exponent, 62);
      long shifted = exponent < 0 ? shiftRightSticky(significand, -exponent) : significand;
      inexact = (shifted & ((1L << drop) - 1)) != 0;
      magnitude = rounded(negative, shifted, drop, rounding);
    }
    long limit = negative ? least : -(least + 1);
    long value = negative ? -magnitude : magnitude;
    if (magnitude < 0 && !(negative && value == least)
        || (negative ? value < limit : value > limit)) {
      e.raise(INVALID);
      return least;
    }
    if (inexact) {
      e.raise(INEXACT);
    }
    return value;
  }

  /** To an integral number of the same format; inexactness is raised only if asked. */
  static long toIntegral(
      FloatFormat f, long a, int rounding, boolean raiseInexact, FloatEnvironment e) {
    a = flushed(f, a, e);
    if (f.isNan(a)) {
      return propagate(f, a, a, e);
    }
    if (f.isZero(a) || f.isInfinite(a) || f.exponent(a) >= f.fractionBits) {
      return a;
    }
    boolean negative = f.isNegative(a);
    long sign = a & f.sign;
    int exponent = f.exponent(a);
    long significand = f.significand(a);
    long shifted = exponent < 0 ? shiftRightSticky(significand, -exponent) : significand;
    int drop = Math.min(62 - exponent, 62);
    if ((shifted & ((1L << drop) - 1)) == 0) {
      return a;
    }
    if (raiseInexact) {
      e.raise(INEXACT);
    }
    long integer = rounded(negative, shifted, drop, rounding);
    if (integer == 0) {
      return sign;
    }
    int zeros = Long.numberOfLeadingZeros(integer);
    int biased = 63 - zeros + f.bias;
    long fraction = integer << (zeros + 1) >>> (64 - f.fractionBits);
    return sign | (long) biased << f.fractionBits | fraction;
  }

  // Comparisons.

  /** {@link #compare}'s answers. */
  static final int LESS = -1;

  static final int EQUAL = 0;
  static final int GREATER = 1;
  static final int UNORDERED = 2;

  /** Compares; quiet NaNs raise invalid only if {@code signalling}. */
  static int compare(FloatFormat f, long a, long b, boolean signalling, FloatEnvironment e) {
    a = flushed(f, a, e);
    b = flushed(f, b, e);
    if (eitherNan(f, a, b)) {
      if (signalling || f.isSignalling(a) || f.isSignalling(b)) {
        e.raise(INVALID);
      }
      return UNORDERED;
    }
    checkDenormal(f, a, b, e);
    long x = f.isNegative(a) ? -f.magnitude(a) : f.magnitude(a);
    long y = f.isNegative(b) ? -f.magnitude(b) : f.magnitude(b);
    return Long.compare(x, y);
  }

  /** MINSS and kin: the second operand if either is a NaN or both are zeros. */
  static long minimum(FloatFormat f, long a, long b, FloatEnvironment e) {
    int order = compare(f, a, b, true, e);
    return flushed(f, order == LESS ? a : b, e);
  }

  /** MAXSS and kin: the second operand if either is a NaN or both are zeros. */
  static long maximum(FloatFormat f, long a, long b, FloatEnvironment e) {
    int order = compare(f, a, b, true, e);
    return flushed(f, order == GREATER ? a : b, e);
  }
}
