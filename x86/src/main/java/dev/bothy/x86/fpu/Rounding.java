package dev.bothy.x86.fpu;

import static dev.bothy.x86.fpu.Extended.C1;
import static dev.bothy.x86.fpu.Extended.EXPONENT;
import static dev.bothy.x86.fpu.Extended.INTEGER_BIT;
import static dev.bothy.x86.fpu.Extended.OE;
import static dev.bothy.x86.fpu.Extended.PE;
import static dev.bothy.x86.fpu.Extended.UE;

/**
 * Rounding of exact intermediate results to the double-extended format: AMD64 APM volume 1,
 * sections 6.4 and 6.8.
 */
final class Rounding {
  /** Unmasked overflow and underflow move the exponent by this. */
  private static final int EXPONENT_ADJUSTMENT = 24576;

  private Rounding() {}

  /**
   * True if the fraction {@code low} (of 2^64) below a last place of parity {@code odd} rounds up
   * in magnitude.
   */
  static boolean roundsUp(int control, int sign, boolean odd, long low) {
    return switch (control & Extended.ROUNDING) {
      case Extended.ROUND_NEAREST -> low < 0 && (low << 1 != 0 || odd);
      case Extended.ROUND_DOWN -> low != 0 && sign != 0;
      case Extended.ROUND_UP -> low != 0 && sign == 0;
      default -> false;
    };
  }

  /** Bits that the precision control takes from the end of the significand. */
  private static int dropped(int control) {
    return switch (control & Extended.PRECISION) {
      case Extended.PRECISION_24 -> 40;
      case Extended.PRECISION_53 -> 11;
      default -> 0;
    };
  }

  /**
   * Rounds to the precision of the control word and delivers, with OE, UE, PE and C1.
   *
   * @param sign 0 or {@link Extended#SIGN}
   * @param exponent biased, of any size
   * @param high significand, integer bit set
   * @param low what follows it; the last bit stands for everything below
   */
  static void round(Extended r, int control, int sign, int exponent, long high, long low) {
    int drop = dropped(control);
    long h = high;
    long l = low;
    if (drop != 0) {
      l = h << 64 - drop | l >>> drop | (l != 0 ? 1 : 0);
      h &= -1L << drop;
    }
    int e = exponent;
    int flags = 0;
    if (l != 0) {
      flags = PE;
      if (roundsUp(control, sign, (h >>> drop & 1) != 0, l)) {
        flags |= C1;
        h += 1L << drop;
        if (h == 0) {
          h = INTEGER_BIT;
          e++;
        }
      }
    }
    if (e > 0 && e < EXPONENT) {
      r.significand = h;
      r.exponent = sign | e;
      r.flags |= flags;
    } else if (e <= 0) {
      underflow(r, control, sign, exponent, high, low, e, h, flags);
    } else {
      overflow(r, control, sign, e, h, flags);
    }
  }

  private static void overflow(Extended r, int control, int sign, int e, long h, int flags) {
    if ((control & OE) == 0) {
      r.flags |= flags | OE;
      if (e - EXPONENT_ADJUSTMENT >= EXPONENT) {
        r.flags |= PE | C1;
        r.infinity(sign);
      } else {
        r.set(h, sign | e - EXPONENT_ADJUSTMENT);
      }
      return;
    }
    r.flags |= OE | PE;
    if (roundsUp(control, sign, true, -1)) {
      r.flags |= C1;
      r.infinity(sign);
    } else {
      r.set(-1L << dropped(control), sign | EXPONENT - 1);
    }
  }

  /** Tiny after rounding with unbounded exponent. */
  private static void underflow(
      Extended r,
      int control,
      int sign,
      int exponent,
      long high,
      long low,
      int roundedExponent,
      long rounded,
      int roundedFlags) {
    if ((control & UE) == 0) {
      r.flags |= roundedFlags | UE;
      if (roundedExponent + EXPONENT_ADJUSTMENT <= 0) {
        r.flags |= PE;
        r.zero(sign);
      } else {
        r.set(rounded, sign | roundedExponent + EXPONENT_ADJUSTMENT);
      }
      return;
    }
    int shift = Math.min(1 - exponent, 130);
    long h;
    long l;
    if (shift < 64) {
      h = high >>> shift;
      l = high << 64 - shift | low >>> shift | (low << 64 - shift != 0 ? 1 : 0);
    } else {
      h = 0;
      int rest = shift - 64;
      l = rest == 0 ? high : rest < 64 ? high >>> rest : 0;
      boolean sticky = low != 0 || rest >= 64 || rest != 0 && high << 64 - rest != 0;
      l |= sticky ? 1 : 0;
    }
    int drop = dropped(control);
    if (drop != 0) {
      l = h << 64 - drop | l >>> drop | (l != 0 ? 1 : 0);
      h &= -1L << drop;
    }
    if (l != 0) {
      r.flags |= UE | PE;
      if (roundsUp(control, sign, (h >>> drop & 1) != 0, l)) {
        r.flags |= C1;
        h += 1L << drop;
      }
    }
    r.set(h, sign | (h < 0 ? 1 : 0));
  }

  /** Delivers a value whose integer bit may be anywhere. */
  static void normalizeAndRound(
      Extended r, int control, int sign, int exponent, long high, long low) {
    long h = high;
    long l = low;
    int e = exponent;
    if (h == 0) {
      if (l == 0) {
        r.zero(sign);
        return;
      }
      h = l;
      l = 0;
      e -= 64;
    }
    int shift = Long.numberOfLeadingZeros(h);
    if (shift != 0) {
      h = h << shift | l >>> 64 - shift;
      l <<= shift;
      e -= shift;
    }
    round(r, control, sign, e, h, l);
  }
}
