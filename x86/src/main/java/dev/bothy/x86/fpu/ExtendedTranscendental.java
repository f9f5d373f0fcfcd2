package dev.bothy.x86.fpu;

import static dev.bothy.x86.fpu.Extended.BIAS;
import static dev.bothy.x86.fpu.Extended.C2;
import static dev.bothy.x86.fpu.Extended.DE;
import static dev.bothy.x86.fpu.Extended.EXPONENT;
import static dev.bothy.x86.fpu.Extended.INTEGER_BIT;
import static dev.bothy.x86.fpu.Extended.PE;
import static dev.bothy.x86.fpu.Extended.SIGN;
import static dev.bothy.x86.fpu.Extended.UE;
import static dev.bothy.x86.fpu.Extended.ZE;
import static dev.bothy.x86.fpu.Extended.isDenormal;
import static dev.bothy.x86.fpu.Extended.isInfinite;
import static dev.bothy.x86.fpu.Extended.isNan;
import static dev.bothy.x86.fpu.Extended.isUnsupported;
import static dev.bothy.x86.fpu.Extended.isZero;

import java.math.BigInteger;

/**
 * The transcendental functions of the x87 unit, computed to some 130 bits and rounded once. The
 * processors are within one unit in the last place of that, which the differential tests allow for.
 * Arguments of the circular functions are reduced with the processors' own π of 66 fraction bits.
 */
public final class ExtendedTranscendental {
  /** π as the circular functions know it, in units of 2^-66. */
  private static final BigInteger PI_66 = new BigInteger("c90fdaa22168c234c", 16);

  /** Fraction bits for numbers around 1. */
  private static final int WORK = 144;

  /** From this exponent on the circular functions set C2 and do nothing. */
  private static final int LARGEST_ANGLE = BIAS + 63;

  private ExtendedTranscendental() {}

  private static boolean isSpecial(long s, int e) {
    return isNan(s, e) || isUnsupported(s, e);
  }

  private static BigInteger unsigned(long s) {
    BigInteger value = BigInteger.valueOf(s >>> 1).shiftLeft(1);
    return (s & 1) == 0 ? value : value.add(BigInteger.ONE);
  }

  /** Exponent of the significand's last place. */
  private static int unit(int e) {
    return Math.max(e & EXPONENT, 1) - BIAS - 63;
  }

  private static void noteDenormal(Extended r, long s, int e) {
    if (isDenormal(s, e)) {
      r.flags |= DE;
    }
  }

  /** Rounds {@code value} × 2^-f, of which {@code inexact} says that bits were cut off. */
  private static void deliver(Extended r, int control, BigInteger value, int f, boolean inexact) {
    int sign = value.signum() < 0 ? SIGN : 0;
    BigInteger magnitude = value.abs();
    int length = magnitude.bitLength();
    int shift = length - 128;
    BigInteger top = shift >= 0 ? magnitude.shiftRight(shift) : magnitude.shiftLeft(-shift);
    boolean sticky = inexact || shift > 0 && magnitude.getLowestSetBit() < shift;
    Rounding.round(
        r,
        control | Extended.PRECISION_64,
        sign,
        BIAS + length - 1 - f,
        top.shiftRight(64).longValue(),
        top.longValue() | (sticky ? 1 : 0));
  }

  // Circular functions.

  /** FSIN. */
  public static void sine(Extended r, int control, long s, int e) {
    if (angleIsOrdinary(r, s, e, true)) {
      new Angle(s, e).sine(r, control);
    }
  }

  /** FCOS. */
  public static void cosine(Extended r, int control, long s, int e) {
    if (angleIsOrdinary(r, s, e, false)) {
      new Angle(s, e).cosine(r, control);
    }
  }

  /**
   * FSINCOS: the sine becomes the value, the cosine that of {@code second}; flags of both in {@code
   * r}.
   */
  public static void sineAndCosine(Extended r, Extended second, int control, long s, int e) {
    boolean ordinary = angleIsOrdinary(r, s, e, true);
    if (!ordinary) {
      boolean zero = isZero(s, e);
      second.set(zero ? INTEGER_BIT : r.significand, zero ? BIAS : r.exponent);
      return;
    }
    Angle angle = new Angle(s, e);
    second.flags = 0;
    angle.cosine(second, control);
    angle.sine(r, control);
    r.flags |= second.flags & ~Extended.C1;
  }

  /** FPTAN: the tangent becomes the value, 1 that of {@code second}. */
  public static void tangent(Extended r, Extended second, int control, long s, int e) {
    second.set(INTEGER_BIT, BIAS);
    if (angleIsOrdinary(r, s, e, true)) {
      new Angle(s, e).tangent(r, control);
    } else if (!isZero(s, e)) {
      second.set(r.significand, r.exponent);
    }
  }

  /** False if the answer is in {@code r} already. */
  private static boolean angleIsOrdinary(Extended r, long s, int e, boolean odd) {
    if (isSpecial(s, e)) {
      r.propagate(s, e);
      return false;
    }
    if (isInfinite(s, e)) {
      r.invalid();
      return false;
    }
    if ((e & EXPONENT) >= LARGEST_ANGLE) {
      r.flags |= C2;
      return false;
    }
    if (isZero(s, e)) {
      r.set(odd ? s : INTEGER_BIT, odd ? e : BIAS);
      return false;
    }
    noteDenormal(r, s, e);
    return true;
  }

  /** An angle less a multiple of π/2. */
  private static final class Angle {
    private final int quadrant;
    private final boolean negative;
    private final int f;

    /** Between -π/4 and π/4, in units of 2^-f. */
    private final BigInteger rest;

    Angle(long s, int e) {
      int unit = unit(e);
      negative = (e & SIGN) != 0;
      int fine = Math.max(67, -unit);
      BigInteger angle = unsigned(s).shiftLeft(unit + fine);
      BigInteger quarter = PI_66.shiftLeft(fine - 67);
      BigInteger turns = angle.shiftLeft(1).add(quarter).divide(quarter.shiftLeft(1));
      quadrant = turns.intValue() & 3;
      BigInteger exact = angle.subtract(turns.multiply(quarter));
      int zeros = fine - exact.bitLength();
      f = Math.max(fine, zeros + WORK);
      rest = exact.shiftLeft(f - fine);
    }

    private BigInteger sine(int q) {
      return switch (q & 3) {
        case 0 -> Transcendentals.sine(rest, f);
        case 1 -> Transcendentals.cosine(rest, f);
        case 2 -> Transcendentals.sine(rest, f).negate();
        default -> Transcendentals.cosine(rest, f).negate();
      };
    }

    void sine(Extended r, int control) {
      BigInteger sine = sine(quadrant);
      deliver(r, control, negative ? sine.negate() : sine, f, true);
    }

    void cosine(Extended r, int control) {
      deliver(r, control, sine(quadrant + 1), f, true);
    }

    void tangent(Extended r, int control) {
      BigInteger tangent = sine(quadrant).shiftLeft(f).divide(sine(quadrant + 1));
      deliver(r, control, negative ? tangent.negate() : tangent, f, true);
    }
  }

  // Arctangent.

  /** FPATAN: the angle of the point (x, y). */
  public static void arctangent(Extended r, int control, long sy, int ey, long sx, int ex) {
    if (isSpecial(sy, ey) || isSpecial(sx, ex)) {
      r.propagate(sx, ex, sy, ey);
      return;
    }
    int sign = ey & SIGN;
    boolean left = (ex & SIGN) != 0;
    noteDenormal(r, sy, ey);
    noteDenormal(r, sx, ex);
    if (isZero(sy, ey) || isInfinite(sx, ex) && !isInfinite(sy, ey)) {
      if (left) {
        angle(r, control, sign, 4);
      } else {
        r.zero(sign);
      }
      return;
    }
    if (isInfinite(sy, ey)) {
      angle(r, control, sign, !isInfinite(sx, ex) ? 2 : left ? 3 : 1);
      return;
    }
    if (isZero(sx, ex)) {
      angle(r, control, sign, 2);
      return;
    }
    BigInteger y = unsigned(sy);
    BigInteger x = unsigned(sx);
    // |y/x| is about 2^size.
    int unitY = unit(ey);
    int unitX = unit(ex);
    int size = y.bitLength() + unitY - x.bitLength() - unitX;
    if (!left && size < -WORK / 2) {
      // The ratio itself, and a little less.
      int f = WORK - size;
      BigInteger ratio = quotient(y, unitY, x, unitX, f).subtract(BigInteger.ONE);
      deliver(r, control, sign == 0 ? ratio : ratio.negate(), f, true);
      return;
    }
    int f = size < 0 && !left ? WORK - size : WORK;
    boolean steep = size > 0 || size == 0 && compare(y, unitY, x, unitX) > 0;
    BigInteger angle;
    if (Math.abs(size) > WORK) {
      angle = BigInteger.ZERO;
    } else {
      angle =
          Transcendentals.arctangent(
              steep ? quotient(x, unitX, y, unitY, f) : quotient(y, unitY, x, unitX, f), f);
    }
    BigInteger pi = Transcendentals.pi(f);
    if (steep) {
      angle = left ? pi.shiftRight(1).add(angle) : pi.shiftRight(1).subtract(angle);
    } else if (left) {
      angle = pi.subtract(angle);
    }
    deliver(r, control, sign == 0 ? angle : angle.negate(), f, true);
  }

  /** {@code quarters} of π/4. */
  private static void angle(Extended r, int control, int sign, int eighths) {
    BigInteger angle = Transcendentals.pi(WORK).multiply(BigInteger.valueOf(eighths)).shiftRight(2);
    deliver(r, control, sign == 0 ? angle : angle.negate(), WORK, true);
  }

  /** a·2^unitA / b·2^unitB in units of 2^-f. */
  private static BigInteger quotient(BigInteger a, int unitA, BigInteger b, int unitB, int f) {
    int shift = unitA - unitB + f;
    return shift >= 0 ? a.shiftLeft(shift).divide(b) : a.divide(b.shiftLeft(-shift));
  }

  private static int compare(BigInteger a, int unitA, BigInteger b, int unitB) {
    int common = Math.min(unitA, unitB);
    return a.shiftLeft(unitA - common).compareTo(b.shiftLeft(unitB - common));
  }

  // Powers and logarithms.

  /** F2XM1: 2^x - 1 for -1 <= x <= 1; beyond that x itself comes back. */
  public static void exp2Minus1(Extended r, int control, long s, int e) {
    if (isSpecial(s, e)) {
      r.propagate(s, e);
      return;
    }
    boolean negative = (e & SIGN) != 0;
    if (isInfinite(s, e)) {
      r.set(INTEGER_BIT, negative ? SIGN | BIAS : e);
      return;
    }
    if (isZero(s, e)) {
      r.set(s, e);
      return;
    }
    noteDenormal(r, s, e);
    int exponent = e & EXPONENT;
    if (exponent >= BIAS) {
      r.flags |= PE;
      if (exponent == BIAS && s == INTEGER_BIT) {
        r.set(INTEGER_BIT, negative ? SIGN | BIAS - 1 : BIAS);
      } else {
        r.set(s, e);
      }
      return;
    }
    int unit = unit(e);
    BigInteger x = unsigned(s);
    int f = WORK - (x.bitLength() + unit);
    x = x.shiftLeft(unit + f);
    BigInteger t = Transcendentals.timesLn2(negative ? x.negate() : x);
    deliver(r, control, Transcendentals.exponentialMinus1(t, f), f, true);
  }

  /** FYL2X: y · log2 x. */
  public static void yLog2(Extended r, int control, long sx, int ex, long sy, int ey) {
    if (isSpecial(sx, ex) || isSpecial(sy, ey)) {
      r.propagate(sx, ex, sy, ey);
      return;
    }
    boolean zeroX = isZero(sx, ex);
    boolean one = sx == INTEGER_BIT && ex == BIAS;
    if (!zeroX && (ex & SIGN) != 0) {
      r.invalid();
      return;
    }
    int sign = ey & SIGN;
    if (zeroX || isInfinite(sx, ex)) {
      if (isZero(sy, ey)) {
        r.invalid();
        return;
      }
      if (zeroX) {
        if (!isInfinite(sy, ey)) {
          r.flags |= ZE;
        }
      } else {
        noteDenormal(r, sy, ey);
      }
      r.infinity(zeroX ? sign ^ SIGN : sign);
      return;
    }
    if (isInfinite(sy, ey)) {
      if (one) {
        r.invalid();
        return;
      }
      noteDenormal(r, sx, ex);
      r.infinity((ex & EXPONENT) < BIAS ? sign ^ SIGN : sign);
      return;
    }
    noteDenormal(r, sx, ex);
    noteDenormal(r, sy, ey);
    boolean below = (ex & EXPONENT) < BIAS;
    if (one || isZero(sy, ey)) {
      r.zero(below ? sign ^ SIGN : sign);
      return;
    }
    yLog2(r, control, unsigned(sx), unit(ex), sy, ey);
  }

  /** y · log2(x · 2^unit), nothing special about either. */
  private static void yLog2(Extended r, int control, BigInteger x, int unit, long sy, int ey) {
    int length = x.bitLength();
    int power = length - 1 + unit;
    boolean exact = x.getLowestSetBit() == length - 1;
    BigInteger mantissa = x;
    // From 1.5 on, halve: the logarithm of what remains is then the smaller part.
    if (!exact && x.testBit(length - 2)) {
      power++;
    } else {
      mantissa = mantissa.shiftLeft(1);
    }
    // mantissa: units of 2^-length.
    BigInteger distance = mantissa.subtract(BigInteger.ONE.shiftLeft(length)).abs();
    int f = exact ? WORK : WORK + length - distance.bitLength();
    BigInteger log =
        exact
            ? BigInteger.ZERO
            : Transcendentals.overLn2(
                Transcendentals.logarithm(mantissa.shiftLeft(f).shiftRight(length), f));
    log = log.add(BigInteger.valueOf(power).shiftLeft(f));
    product(r, control, log, f, !exact, sy, ey);
    // As the processors do, even for powers of two.
    r.flags |= PE;
    if ((r.exponent & EXPONENT) == 0) {
      r.flags |= UE;
    }
  }

  /** FYL2XP1: y · log2(x + 1), for x near 0. */
  public static void yLog2Plus1(Extended r, int control, long sx, int ex, long sy, int ey) {
    if (isSpecial(sx, ex) || isSpecial(sy, ey)) {
      r.propagate(sx, ex, sy, ey);
      return;
    }
    int sign = (ex ^ ey) & SIGN;
    if (isInfinite(sx, ex)) {
      if ((ex & SIGN) != 0 || isZero(sy, ey)) {
        r.invalid();
        return;
      }
      noteDenormal(r, sy, ey);
      r.infinity(sign);
      return;
    }
    if (isInfinite(sy, ey)) {
      if (isZero(sx, ex)) {
        r.invalid();
        return;
      }
      noteDenormal(r, sx, ex);
      r.infinity(sign);
      return;
    }
    noteDenormal(r, sx, ex);
    noteDenormal(r, sy, ey);
    if (isZero(sx, ex) || isZero(sy, ey)) {
      r.zero(sign);
      return;
    }
    int exponent = ex & EXPONENT;
    boolean negative = (ex & SIGN) != 0;
    if (negative && exponent >= BIAS) {
      r.flags |= PE;
      r.set(sx, ex);
      return;
    }
    BigInteger x = unsigned(sx);
    int unit = unit(ex);
    if (exponent >= BIAS - 2) {
      // Far from 0 the general way converges faster; from 2^200 on the 1 does not show.
      if (unit < 200) {
        int fine = Math.max(-unit, 0);
        x = x.shiftLeft(unit + fine);
        BigInteger one = BigInteger.ONE.shiftLeft(fine);
        x = negative ? one.subtract(x) : one.add(x);
        unit = -fine;
      }
      yLog2(r, control, x, unit, sy, ey);
      return;
    }
    int f = WORK - (x.bitLength() + unit);
    x = x.shiftLeft(unit + f);
    if (negative) {
      x = x.negate();
    }
    // ln(1 + x) = 2 artanh(x / (2 + x))
    BigInteger s = x.shiftLeft(f).divide(BigInteger.TWO.shiftLeft(f).add(x));
    BigInteger log =
        Transcendentals.overLn2(Transcendentals.hyperbolicArctangent(s, f).shiftLeft(1));
    product(r, control, log, f, true, sy, ey);
  }

  private static void product(
      Extended r, int control, BigInteger log, int f, boolean inexact, long sy, int ey) {
    BigInteger y = unsigned(sy);
    BigInteger value = log.multiply((ey & SIGN) != 0 ? y.negate() : y);
    deliver(r, control, value, f - unit(ey), inexact);
  }
}
