package dev.bothy.x86.fpu;

import static dev.bothy.x86.fpu.Extended.BIAS;
import static dev.bothy.x86.fpu.Extended.C0;
import static dev.bothy.x86.fpu.Extended.C1;
import static dev.bothy.x86.fpu.Extended.C2;
import static dev.bothy.x86.fpu.Extended.C3;
import static dev.bothy.x86.fpu.Extended.DE;
import static dev.bothy.x86.fpu.Extended.EXPONENT;
import static dev.bothy.x86.fpu.Extended.IE;
import static dev.bothy.x86.fpu.Extended.INTEGER_BIT;
import static dev.bothy.x86.fpu.Extended.PE;
import static dev.bothy.x86.fpu.Extended.ROUNDING;
import static dev.bothy.x86.fpu.Extended.ROUND_DOWN;
import static dev.bothy.x86.fpu.Extended.SIGN;
import static dev.bothy.x86.fpu.Extended.ZE;
import static dev.bothy.x86.fpu.Extended.isDenormal;
import static dev.bothy.x86.fpu.Extended.isInfinite;
import static dev.bothy.x86.fpu.Extended.isNan;
import static dev.bothy.x86.fpu.Extended.isNormal;
import static dev.bothy.x86.fpu.Extended.isUnsupported;
import static dev.bothy.x86.fpu.Extended.isZero;

/**
 * Exact arithmetic on double-extended values, rounded as a control word says. Every operation
 * leaves a value and adds flags to {@code r}; the caller clears the flags before, or leaves DE
 * there if converting an operand from memory raised it. Values are what the masked responses are;
 * whether an unmasked exception keeps the value from its destination is the caller's business.
 * Follows AMD64 APM volume 1, chapter 6, and the host processors where that leaves a choice.
 */
public final class ExtendedArithmetic {
  private ExtendedArithmetic() {}

  /**
   * Significand of a denormal or normal operand with its integer bit moved to the top; the exponent
   * moves along.
   */
  private static long normalized(long s) {
    return s << Long.numberOfLeadingZeros(s);
  }

  /** Exponent, unbounded, of an operand after {@link #normalized}. */
  private static int normalizedExponent(long s, int e) {
    int exponent = e & EXPONENT;
    return exponent == 0 ? 1 - Long.numberOfLeadingZeros(s) : exponent;
  }

  private static boolean isSpecial(long s, int e) {
    return isNan(s, e) || isUnsupported(s, e);
  }

  // Addition and subtraction.

  /** a + b. */
  public static void add(Extended r, int control, long sa, int ea, long sb, int eb) {
    if (isNormal(sa, ea) && isNormal(sb, eb)) {
      addFinite(r, control, sa, ea & EXPONENT, ea & SIGN, sb, eb & EXPONENT, eb & SIGN);
    } else {
      addSpecial(r, control, sa, ea, sb, eb);
    }
  }

  /** a - b. */
  public static void subtract(Extended r, int control, long sa, int ea, long sb, int eb) {
    if (isNormal(sa, ea) && isNormal(sb, eb)) {
      addFinite(r, control, sa, ea & EXPONENT, ea & SIGN, sb, eb & EXPONENT, eb & SIGN ^ SIGN);
    } else if (isSpecial(sa, ea) || isSpecial(sb, eb)) {
      r.propagate(sa, ea, sb, eb);
    } else {
      addSpecial(r, control, sa, ea, sb, eb ^ SIGN);
    }
  }

  private static void addSpecial(Extended r, int control, long sa, int ea, long sb, int eb) {
    if (isSpecial(sa, ea) || isSpecial(sb, eb)) {
      r.propagate(sa, ea, sb, eb);
      return;
    }
    boolean infiniteA = isInfinite(sa, ea);
    boolean infiniteB = isInfinite(sb, eb);
    if (infiniteA && infiniteB && ea != eb) {
      r.invalid();
      return;
    }
    if (isDenormal(sa, ea) || isDenormal(sb, eb)) {
      r.flags |= DE;
    }
    if (infiniteA || infiniteB) {
      r.set(INTEGER_BIT, infiniteA ? ea : eb);
    } else if (sa == 0 && sb == 0) {
      r.zero(ea == eb ? ea : zeroSign(control));
    } else if (sa == 0) {
      Rounding.round(r, control, eb & SIGN, normalizedExponent(sb, eb), normalized(sb), 0);
    } else if (sb == 0) {
      Rounding.round(r, control, ea & SIGN, normalizedExponent(sa, ea), normalized(sa), 0);
    } else {
      addFinite(
          r,
          control,
          normalized(sa),
          normalizedExponent(sa, ea),
          ea & SIGN,
          normalized(sb),
          normalizedExponent(sb, eb),
          eb & SIGN);
    }
  }

  /** Sign of an exact zero sum. */
  private static int zeroSign(int control) {
    return (control & ROUNDING) == ROUND_DOWN ? SIGN : 0;
  }

  private static void addFinite(
      Extended r, int control, long sa, int ea, int signA, long sb, int eb, int signB) {
    if (ea < eb || ea == eb && Long.compareUnsigned(sa, sb) < 0) {
      addOrdered(r, control, sb, eb, signB, sa, ea, signA);
    } else {
      addOrdered(r, control, sa, ea, signA, sb, eb, signB);
    }
  }

  /** Normalized significands, |a| >= |b|. */
  private static void addOrdered(
      Extended r, int control, long sa, int ea, int signA, long sb, int eb, int signB) {
    int distance = ea - eb;
    long high;
    long low;
    if (distance == 0) {
      high = sb;
      low = 0;
    } else if (distance < 64) {
      high = sb >>> distance;
      low = sb << 64 - distance;
    } else {
      high = 0;
      int rest = distance - 64;
      low = rest == 0 ? sb : rest < 64 ? sb >>> rest | (sb << 64 - rest != 0 ? 1 : 0) : 1;
    }
    if (signA == signB) {
      long sum = sa + high;
      if (Long.compareUnsigned(sum, sa) < 0) {
        Rounding.round(
            r, control, signA, ea + 1, sum >>> 1 | INTEGER_BIT, sum << 63 | low >>> 1 | low & 1);
      } else {
        Rounding.round(r, control, signA, ea, sum, low);
      }
      return;
    }
    long difference = sa - high - (low != 0 ? 1 : 0);
    low = -low;
    if (difference < 0) {
      Rounding.round(r, control, signA, ea, difference, low);
    } else if ((difference | low) == 0) {
      r.zero(zeroSign(control));
    } else {
      Rounding.normalizeAndRound(r, control, signA, ea, difference, low);
    }
  }

  // Multiplication and division.

  /** a × b. */
  public static void multiply(Extended r, int control, long sa, int ea, long sb, int eb) {
    int sign = (ea ^ eb) & SIGN;
    if (isNormal(sa, ea) && isNormal(sb, eb)) {
      multiplyFinite(r, control, sign, sa, ea & EXPONENT, sb, eb & EXPONENT);
      return;
    }
    if (isSpecial(sa, ea) || isSpecial(sb, eb)) {
      r.propagate(sa, ea, sb, eb);
      return;
    }
    boolean infinite = isInfinite(sa, ea) || isInfinite(sb, eb);
    boolean zero = isZero(sa, ea) || isZero(sb, eb);
    if (infinite && zero) {
      r.invalid();
      return;
    }
    if (isDenormal(sa, ea) || isDenormal(sb, eb)) {
      r.flags |= DE;
    }
    if (infinite) {
      r.infinity(sign);
    } else if (zero) {
      r.zero(sign);
    } else {
      multiplyFinite(
          r,
          control,
          sign,
          normalized(sa),
          normalizedExponent(sa, ea),
          normalized(sb),
          normalizedExponent(sb, eb));
    }
  }

  private static void multiplyFinite(
      Extended r, int control, int sign, long sa, int ea, long sb, int eb) {
    long high = Math.unsignedMultiplyHigh(sa, sb);
    long low = sa * sb;
    int e = ea + eb - BIAS;
    if (high < 0) {
      e++;
    } else {
      high = high << 1 | low >>> 63;
      low <<= 1;
    }
    Rounding.round(r, control, sign, e, high, low);
  }

  /** a / b. */
  public static void divide(Extended r, int control, long sa, int ea, long sb, int eb) {
    int sign = (ea ^ eb) & SIGN;
    if (isNormal(sa, ea) && isNormal(sb, eb)) {
      divideFinite(r, control, sign, sa, ea & EXPONENT, sb, eb & EXPONENT);
      return;
    }
    if (isSpecial(sa, ea) || isSpecial(sb, eb)) {
      r.propagate(sa, ea, sb, eb);
      return;
    }
    boolean infiniteA = isInfinite(sa, ea);
    boolean infiniteB = isInfinite(sb, eb);
    boolean zeroA = isZero(sa, ea);
    boolean zeroB = isZero(sb, eb);
    if (infiniteA && infiniteB || zeroA && zeroB) {
      r.invalid();
      return;
    }
    if (zeroB && !infiniteA) {
      r.flags = r.flags & ~DE | ZE;
      r.infinity(sign);
      return;
    }
    if (isDenormal(sa, ea) || isDenormal(sb, eb)) {
      r.flags |= DE;
    }
    if (infiniteA) {
      r.infinity(sign);
    } else if (infiniteB || zeroA) {
      r.zero(sign);
    } else {
      divideFinite(
          r,
          control,
          sign,
          normalized(sa),
          normalizedExponent(sa, ea),
          normalized(sb),
          normalizedExponent(sb, eb));
    }
  }

  private static void divideFinite(
      Extended r, int control, int sign, long sa, int ea, long sb, int eb) {
    int e = ea - eb + BIAS;
    long high = sa;
    long low = 0;
    if (Long.compareUnsigned(sa, sb) >= 0) {
      high = sa >>> 1;
      low = sa << 63;
    } else {
      e--;
    }
    long quotient = Wide.divide(high, low, sb);
    long remainder = low - quotient * sb;
    long fraction = 0;
    if (remainder != 0) {
      // The next bit of the quotient, then "something follows".
      fraction = remainder < 0 || Long.compareUnsigned(remainder << 1, sb) >= 0 ? INTEGER_BIT : 0;
      boolean half = remainder << 1 == sb && remainder >= 0;
      fraction |= half ? 0 : 1;
    }
    Rounding.round(r, control, sign, e, quotient, fraction);
  }

  /** √a. */
  public static void squareRoot(Extended r, int control, long s, int e) {
    if (isSpecial(s, e)) {
      r.propagate(s, e);
      return;
    }
    if (isZero(s, e)) {
      r.set(s, e);
      return;
    }
    if ((e & SIGN) != 0) {
      r.invalid();
      return;
    }
    if (isInfinite(s, e)) {
      r.set(s, e);
      return;
    }
    if (isDenormal(s, e)) {
      r.flags |= DE;
    }
    int exponent = normalizedExponent(s, e) - BIAS;
    long significand = normalized(s);
    // Radicand in [2^126, 2^128): its root has 64 bits.
    boolean odd = (exponent & 1) != 0;
    long high = odd ? significand : significand >>> 1;
    long low = odd ? 0 : significand << 63;
    long root = Wide.squareRoot(high, low);
    // remainder = radicand - root², at most 2·root: above root, the root's next bit is set.
    long remainderLow = low - root * root;
    long remainderHigh =
        high
            - Math.unsignedMultiplyHigh(root, root)
            - (Long.compareUnsigned(low, root * root) < 0 ? 1 : 0);
    long fraction = 0;
    if ((remainderHigh | remainderLow) != 0) {
      boolean above = remainderHigh != 0 || Long.compareUnsigned(remainderLow, root) > 0;
      fraction = above ? INTEGER_BIT | 1 : 1;
    }
    Rounding.round(r, control, 0, (exponent >> 1) + BIAS, root, fraction);
  }

  // Remainders.

  /**
   * FPREM ({@code nearest} false) and FPREM1: the remainder, with the low three bits of the
   * quotient in C0, C3, C1; or, if the exponents are 64 or more apart, a partial remainder, with
   * C2.
   */
  public static void remainder(
      Extended r, int control, boolean nearest, long sa, int ea, long sb, int eb) {
    if (isSpecial(sa, ea) || isSpecial(sb, eb)) {
      r.propagate(sa, ea, sb, eb);
      return;
    }
    if (isInfinite(sa, ea) || isZero(sb, eb)) {
      r.invalid();
      return;
    }
    if (isDenormal(sa, ea) || isDenormal(sb, eb)) {
      r.flags |= DE;
    }
    if (isZero(sa, ea)) {
      r.set(sa, ea);
      return;
    }
    int sign = ea & SIGN;
    long a = normalized(sa);
    int exponentA = normalizedExponent(sa, ea);
    if (isInfinite(sb, eb)) {
      Rounding.round(r, control | Extended.PRECISION_64, sign, exponentA, a, 0);
      return;
    }
    long b = normalized(sb);
    int exponentB = normalizedExponent(sb, eb);
    int distance = exponentA - exponentB;
    if (distance >= 64) {
      // Reduces by 33 to 64 bits of quotient, as the processors do, so that a multiple of 32 are
      // left.
      int left = (distance & ~31) - 32;
      int by = distance - left;
      long rest = (a << by) - Wide.divide(Wide.shiftedHigh(a, by), a << by, b) * b;
      r.flags |= C2;
      deliver(r, control, sign, exponentB + left, rest);
      return;
    }
    if (distance < 0) {
      // The quotient is below 1; for FPREM1 it may round up to it.
      boolean up = nearest && distance == -1 && Long.compareUnsigned(a, b) > 0;
      if (up) {
        // a - b = (a - 2b) in units of a's last place, negated.
        r.flags |= C1;
        long difference = (b - a) + b;
        deliver(r, control, sign ^ SIGN, exponentA, difference);
      } else {
        Rounding.round(r, control | Extended.PRECISION_64, sign, exponentA, a, 0);
      }
      return;
    }
    long quotient = Wide.divide(Wide.shiftedHigh(a, distance), a << distance, b);
    long rest = (a << distance) - quotient * b;
    if (nearest) {
      boolean above = rest < 0 || Long.compareUnsigned(rest << 1, b) > 0;
      boolean tie = rest >= 0 && rest << 1 == b;
      if (above || tie && (quotient & 1) != 0) {
        quotient++;
        rest = b - rest;
        sign ^= SIGN;
        if (rest == 0) {
          sign ^= SIGN;
        }
      }
    }
    r.flags |=
        ((quotient & 1) != 0 ? C1 : 0)
            | ((quotient & 2) != 0 ? C3 : 0)
            | ((quotient & 4) != 0 ? C0 : 0);
    if (rest == 0) {
      r.zero(ea & SIGN);
    } else {
      deliver(r, control, sign, exponentB, rest);
    }
  }

  /** An exact value that may need normalizing. */
  private static void deliver(Extended r, int control, int sign, int exponent, long significand) {
    Rounding.normalizeAndRound(r, control | Extended.PRECISION_64, sign, exponent, significand, 0);
  }

  // Taking apart and scaling.

  /** Rounds to an integer (FRNDINT). */
  public static void roundToInteger(Extended r, int control, long s, int e) {
    if (isSpecial(s, e)) {
      r.propagate(s, e);
      return;
    }
    int exponent = e & EXPONENT;
    if (isZero(s, e) || exponent >= BIAS + 63) {
      r.set(s, e);
      return;
    }
    if (isDenormal(s, e)) {
      r.flags |= DE;
    }
    int sign = e & SIGN;
    // Bits below the binary point, 1 and more.
    int fractionBits = BIAS + 63 - exponent;
    long whole;
    long fraction;
    if (fractionBits < 64) {
      whole = s >>> fractionBits;
      fraction = s << 64 - fractionBits;
    } else {
      whole = 0;
      fraction = fractionBits == 64 ? s : 1;
    }
    if (fraction == 0) {
      r.set(s, e);
      return;
    }
    r.flags |= PE;
    if (Rounding.roundsUp(control, sign, (whole & 1) != 0, fraction)) {
      r.flags |= C1;
      whole++;
    }
    if (whole == 0) {
      r.zero(sign);
    } else {
      int shift = Long.numberOfLeadingZeros(whole);
      r.set(whole << shift, sign | BIAS + 63 - shift);
    }
  }

  /** a × 2^⌊b⌋, b rounded to zero (FSCALE). */
  public static void scale(Extended r, int control, long sa, int ea, long sb, int eb) {
    if (isSpecial(sa, ea) || isSpecial(sb, eb)) {
      r.propagate(sa, ea, sb, eb);
      return;
    }
    if (isInfinite(sb, eb)) {
      boolean down = (eb & SIGN) != 0;
      if (down ? isInfinite(sa, ea) : isZero(sa, ea)) {
        r.invalid();
        return;
      }
      if (isDenormal(sa, ea)) {
        r.flags |= DE;
      }
      if (isInfinite(sa, ea) || isZero(sa, ea)) {
        r.set(sa, ea);
      } else if (down) {
        r.zero(ea & SIGN);
      } else {
        r.infinity(ea & SIGN);
      }
      return;
    }
    if (isDenormal(sa, ea) || isDenormal(sb, eb)) {
      r.flags |= DE;
    }
    if (isInfinite(sa, ea) || isZero(sa, ea)) {
      r.set(sa, ea);
      return;
    }
    int size = (eb & EXPONENT) - BIAS;
    int by;
    if (size < 0) {
      by = 0;
    } else if (size > 16) {
      by = 1 << 17;
    } else {
      by = (int) (sb >>> 63 - size);
    }
    if ((eb & SIGN) != 0) {
      by = -by;
    }
    Rounding.round(
        r,
        control | Extended.PRECISION_64,
        ea & SIGN,
        normalizedExponent(sa, ea) + by,
        normalized(sa),
        0);
  }

  /**
   * FXTRACT: the value becomes the significand, {@code exponentOut} the exponent, which both get
   * what a masked exception leaves.
   */
  public static void extract(Extended r, Extended exponentOut, long s, int e) {
    exponentOut.flags = 0;
    if (isSpecial(s, e)) {
      r.propagate(s, e);
      exponentOut.set(r.significand, r.exponent);
    } else if (isInfinite(s, e)) {
      r.set(s, e);
      exponentOut.set(s, EXPONENT);
    } else if (isZero(s, e)) {
      r.flags |= ZE;
      r.set(s, e);
      exponentOut.infinity(SIGN);
    } else {
      if (isDenormal(s, e)) {
        r.flags |= DE;
      }
      r.set(normalized(s), e & SIGN | BIAS);
      ExtendedConversion.fromLong(exponentOut, normalizedExponent(s, e) - BIAS);
    }
  }

  // Comparison.

  /**
   * Compares a with b: C3, C2 and C0 in the flags say equal (C3), a below b (C0) or unordered (all
   * three).
   *
   * @param quiet only a signaling NaN is invalid (FUCOM), not any NaN (FCOM)
   */
  public static void compare(Extended r, boolean quiet, long sa, int ea, long sb, int eb) {
    if (isSpecial(sa, ea) || isSpecial(sb, eb)) {
      boolean invalid =
          !quiet
              || isUnsupported(sa, ea)
              || isUnsupported(sb, eb)
              || Extended.isSignaling(sa, ea)
              || Extended.isSignaling(sb, eb);
      r.flags = r.flags & ~DE | C3 | C2 | C0 | (invalid ? IE : 0);
      return;
    }
    if (isDenormal(sa, ea) || isDenormal(sb, eb)) {
      r.flags |= DE;
    }
    int order = order(sa, ea, sb, eb);
    r.flags |= order == 0 ? C3 : order < 0 ? C0 : 0;
  }

  private static int order(long sa, int ea, long sb, int eb) {
    if ((sa | sb) == 0) {
      return 0;
    }
    boolean negativeA = (ea & SIGN) != 0;
    boolean negativeB = (eb & SIGN) != 0;
    if (negativeA != negativeB) {
      return negativeA ? -1 : 1;
    }
    // A pseudo-denormal weighs as much as a normal number of exponent 1.
    int exponentA = sa < 0 ? Math.max(ea & EXPONENT, 1) : ea & EXPONENT;
    int exponentB = sb < 0 ? Math.max(eb & EXPONENT, 1) : eb & EXPONENT;
    int order =
        exponentA != exponentB
            ? Integer.compare(exponentA, exponentB)
            : Long.compareUnsigned(sa, sb);
    return negativeA ? -order : order;
  }

  /** FXAM's class of a register: C3, C2, C0 and the sign in C1. */
  public static int examine(long s, int e, boolean empty) {
    int sign = (e & SIGN) != 0 ? C1 : 0;
    if (empty) {
      return sign | C3 | C0;
    }
    if (isUnsupported(s, e)) {
      return sign;
    }
    if (isNan(s, e)) {
      return sign | C0;
    }
    if (isInfinite(s, e)) {
      return sign | C2 | C0;
    }
    if (isZero(s, e)) {
      return sign | C3;
    }
    return isDenormal(s, e) ? sign | C3 | C2 : sign | C2;
  }
}
