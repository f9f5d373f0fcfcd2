package dev.bothy.x86.fpu;

import static dev.bothy.x86.fpu.Extended.BIAS;
import static dev.bothy.x86.fpu.Extended.C1;
import static dev.bothy.x86.fpu.Extended.DE;
import static dev.bothy.x86.fpu.Extended.EXPONENT;
import static dev.bothy.x86.fpu.Extended.IE;
import static dev.bothy.x86.fpu.Extended.INTEGER_BIT;
import static dev.bothy.x86.fpu.Extended.OE;
import static dev.bothy.x86.fpu.Extended.PE;
import static dev.bothy.x86.fpu.Extended.QUIET_BIT;
import static dev.bothy.x86.fpu.Extended.SIGN;
import static dev.bothy.x86.fpu.Extended.UE;

/**
 * Conversions between double-extended values and the formats of memory: single and double
 * precision, integers and packed decimals. Flags are added to those of {@code r}.
 */
public final class ExtendedConversion {
  private static final long DECIMAL_LIMIT = 999_999_999_999_999_999L;

  /**
   * Sign and exponent word of the packed decimal indefinite, its significand being {@link
   * Extended#INDEFINITE}.
   */
  private static final int DECIMAL_INDEFINITE = 0xffff;

  private ExtendedConversion() {}

  // From memory.

  /** Exact. A signaling NaN stays one; a denormal raises DE. What operands of arithmetic need. */
  public static void fromSingle(Extended r, int bits) {
    int exponent = bits >>> 23 & 0xff;
    long fraction = (long) bits << 41 >>> 1;
    from(r, bits >>> 16 & SIGN, exponent, 0xff, BIAS - 0x7f, fraction);
  }

  /** Exact. A signaling NaN stays one; a denormal raises DE. What operands of arithmetic need. */
  public static void fromDouble(Extended r, long bits) {
    int exponent = (int) (bits >>> 52) & 0x7ff;
    from(r, (int) (bits >>> 48) & SIGN, exponent, 0x7ff, BIAS - 0x3ff, bits << 12 >>> 1);
  }

  /** {@code fraction}: the bits after the integer bit, in place. */
  private static void from(
      Extended r, int sign, int exponent, int largest, int rebias, long fraction) {
    if (exponent == 0) {
      if (fraction == 0) {
        r.zero(sign);
      } else {
        int shift = Long.numberOfLeadingZeros(fraction);
        r.flags |= DE;
        r.set(fraction << shift, sign | rebias + 1 - shift);
      }
    } else if (exponent == largest) {
      r.set(INTEGER_BIT | fraction, sign | EXPONENT);
    } else {
      r.set(INTEGER_BIT | fraction, sign | exponent + rebias);
    }
  }

  /** As FLD: a signaling NaN is invalid and becomes quiet. Call after a conversion from memory. */
  public static void quiet(Extended r) {
    if (Extended.isSignaling(r.significand, r.exponent)) {
      r.flags |= IE;
      r.significand |= QUIET_BIT;
    }
  }

  /** Exact. */
  public static void fromLong(Extended r, long value) {
    if (value == 0) {
      r.zero(0);
      return;
    }
    int sign = value < 0 ? SIGN : 0;
    long magnitude = Math.abs(value);
    int shift = Long.numberOfLeadingZeros(magnitude);
    r.set(magnitude << shift, sign | BIAS + 63 - shift);
  }

  /**
   * Packed decimal: eighteen digits in {@code low} and the low byte of {@code high}, the sign in
   * bit 15 of {@code high}. Nibbles above nine count as they would in a carry.
   */
  public static void fromDecimal(Extended r, long low, int high) {
    long value = 0;
    for (int i = 4; i >= 0; i -= 4) {
      value = value * 10 + (high >>> i & 15);
    }
    for (int i = 60; i >= 0; i -= 4) {
      value = value * 10 + (low >>> i & 15);
    }
    fromLong(r, value);
    r.exponent |= high & SIGN;
  }

  // To memory.

  /**
   * Rounds to single precision as the control word's rounding says.
   *
   * @return the bits; where an unmasked exception forbids the store they mean nothing
   */
  public static int toSingle(Extended r, int control, long s, int e) {
    return (int) to(r, control, s, e, 23, 8);
  }

  /** As {@link #toSingle} for double precision. */
  public static long toDouble(Extended r, int control, long s, int e) {
    return to(r, control, s, e, 52, 11);
  }

  private static long to(
      Extended r, int control, long s, int e, int fractionBits, int exponentBits) {
    int largest = (1 << exponentBits) - 1;
    int sign = e & SIGN;
    long signBit = sign == 0 ? 0 : 1L << fractionBits + exponentBits;
    int drop = 63 - fractionBits;
    int exponent = e & EXPONENT;
    if (exponent == EXPONENT || s >= 0) {
      if (Extended.isUnsupported(s, e)) {
        r.flags |= IE;
        return ~0L << fractionBits - 1 & ~0L >>> 63 - fractionBits - exponentBits;
      }
      if (s == 0) {
        return signBit;
      }
      if (exponent == EXPONENT) {
        long infinity = signBit | (long) largest << fractionBits;
        if (s == INTEGER_BIT) {
          return infinity;
        }
        if ((s & QUIET_BIT) == 0) {
          r.flags |= IE;
        }
        return infinity | (s | QUIET_BIT) << 1 >>> drop + 1;
      }
    }
    exponent = Math.max(exponent, 1);
    int target = exponent - BIAS + (largest >>> 1);
    long kept = s >>> drop;
    long rest = s << 64 - drop;
    boolean up = rest != 0 && Rounding.roundsUp(control, sign, (kept & 1) != 0, rest);
    if (target <= 0 && !(target == 0 && up && kept + 1 == 2L << fractionBits)) {
      // Tiny after rounding.
      int shift = Math.min(drop + 1 - target, 66);
      boolean exact = shift < 64 && s << 64 - shift == 0;
      if ((control & UE) == 0) {
        r.flags |= UE;
        return 0;
      }
      if (exact) {
        return signBit | s >>> shift;
      }
      long tiny = shift < 64 ? s >>> shift : 0;
      long below = shift < 64 ? s << 64 - shift : shift == 64 ? s : 1;
      r.flags |= UE | PE;
      if (Rounding.roundsUp(control, sign, (tiny & 1) != 0, below)) {
        r.flags |= C1;
        tiny++;
      }
      return signBit | tiny;
    }
    if (target <= 0) {
      // Rounds up to the smallest normal number.
      r.flags |= PE | C1;
      return signBit | 1L << fractionBits;
    }
    if (up) {
      kept++;
      if (kept == 2L << fractionBits) {
        kept >>>= 1;
        target++;
      }
    }
    if (target >= largest) {
      if ((control & OE) == 0) {
        r.flags |= OE;
        return 0;
      }
      r.flags |= OE | PE;
      if (Rounding.roundsUp(control, sign, true, -1)) {
        r.flags |= C1;
        return signBit | (long) largest << fractionBits;
      }
      return signBit | ((long) largest << fractionBits) - 1;
    }
    if (rest != 0) {
      r.flags |= PE | (up ? C1 : 0);
    }
    return signBit | (long) target << fractionBits | kept & (1L << fractionBits) - 1;
  }

  /**
   * Rounds to a signed integer of {@code bits} (16, 32 or 64) as the control word's rounding says.
   * Out of range is invalid and gives the most negative integer.
   */
  public static long toInteger(Extended r, int control, int bits, long s, int e) {
    long indefinite = -1L << bits - 1;
    int exponent = e & EXPONENT;
    if (Extended.isUnsupported(s, e) || exponent >= BIAS + 64) {
      r.flags |= IE;
      return indefinite;
    }
    if (s == 0) {
      return 0;
    }
    int sign = e & SIGN;
    int fractionBits = BIAS + 63 - exponent;
    long whole;
    long fraction;
    if (fractionBits <= 0) {
      whole = s;
      fraction = 0;
    } else if (fractionBits < 64) {
      whole = s >>> fractionBits;
      fraction = s << 64 - fractionBits;
    } else {
      whole = 0;
      fraction = fractionBits == 64 ? s : 1;
    }
    boolean up = fraction != 0 && Rounding.roundsUp(control, sign, (whole & 1) != 0, fraction);
    if (up) {
      whole++;
    }
    // A wrap of whole to 0 cannot be: with a fraction it has at most 63 bits.
    long limit = (1L << bits - 1) - (sign == 0 ? 1 : 0);
    if (Long.compareUnsigned(whole, limit) > 0) {
      r.flags |= IE;
      return indefinite;
    }
    if (fraction != 0) {
      r.flags |= PE | (up ? C1 : 0);
    }
    return sign == 0 ? whole : -whole;
  }

  /**
   * Rounds to a packed decimal, left in {@code r.significand} and {@code r.exponent} as the low
   * eight and high two bytes.
   */
  public static void toDecimal(Extended r, int control, long s, int e) {
    int flags = r.flags;
    long value = toInteger(r, control, 64, s, e);
    long magnitude = Math.abs(value);
    if ((r.flags & IE) != 0 || Long.compareUnsigned(magnitude, DECIMAL_LIMIT) > 0) {
      r.flags = flags | IE;
      r.significand = 0xc000_0000_0000_0000L;
      r.exponent = DECIMAL_INDEFINITE;
      return;
    }
    long low = 0;
    for (int i = 0; i < 64; i += 4) {
      low |= magnitude % 10 << i;
      magnitude /= 10;
    }
    r.significand = low;
    r.exponent = e & SIGN | (int) (magnitude % 10 | magnitude / 10 << 4);
  }
}
