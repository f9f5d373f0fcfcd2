package dev.bothy.x86.fpu;

/** Unsigned arithmetic on 128-bit numbers given as two longs. */
final class Wide {
  private static final long LOW_HALF = 0xffff_ffffL;
  private static final double TWO_64 = 0x1p64;

  private Wide() {}

  /**
   * ⌊(high·2^64 + low) / divisor⌋, in base 2^32 (Knuth, The Art of Computer Programming, 4.3.1 D).
   *
   * @param high below the divisor, so that the quotient fits
   * @param divisor with its highest bit set
   */
  static long divide(long high, long low, long divisor) {
    long d1 = divisor >>> 32;
    long d0 = divisor & LOW_HALF;
    long q1 = digit(high, low >>> 32, d1, d0);
    long rest = (high << 32 | low >>> 32) - q1 * divisor;
    long q0 = digit(rest, low & LOW_HALF, d1, d0);
    return (q1 << 32) + q0;
  }

  /** One digit of 32 bits: (high·2^32 + next) / (d1·2^32 + d0). */
  private static long digit(long high, long next, long d1, long d0) {
    long q = Long.divideUnsigned(high, d1);
    long rest = high - q * d1;
    while (q >>> 32 != 0 || Long.compareUnsigned(q * d0, rest << 32 | next) > 0) {
      q--;
      rest += d1;
      if (rest >>> 32 != 0) {
        break;
      }
    }
    return q;
  }

  /** High word of {@code a << n}, n from 0 to 63. */
  static long shiftedHigh(long a, int n) {
    return n == 0 ? 0 : a >>> 64 - n;
  }

  /** ⌊√(high·2^64 + low)⌋ of a number of at least 2^126. */
  static long squareRoot(long high, long low) {
    double estimate = Math.sqrt(toDouble(high, low));
    // Good to 53 bits; one step of Newton's in doubles corrects the other 11 but for the last unit.
    long root = estimate >= TWO_64 ? -1 : (long) (estimate * 0.5) << 1;
    long restLow = low - root * root;
    long restHigh =
        high
            - Math.unsignedMultiplyHigh(root, root)
            - (Long.compareUnsigned(low, root * root) < 0 ? 1 : 0);
    double rest = restHigh * TWO_64 + toDouble(restLow);
    long correction = (long) Math.floor(rest / (2 * toDouble(root)));
    long corrected = root + correction;
    if (correction > 0 && Long.compareUnsigned(corrected, root) < 0) {
      corrected = -1;
    }
    root = corrected;
    while (compareSquare(root, high, low) > 0) {
      root--;
    }
    while (root != -1 && compareSquare(root + 1, high, low) <= 0) {
      root++;
    }
    return root;
  }

  private static int compareSquare(long root, long high, long low) {
    int order = Long.compareUnsigned(Math.unsignedMultiplyHigh(root, root), high);
    return order != 0 ? order : Long.compareUnsigned(root * root, low);
  }

  private static double toDouble(long unsigned) {
    return (unsigned >>> 1) * 2.0 + (unsigned & 1);
  }

  private static double toDouble(long high, long low) {
    return toDouble(high) * TWO_64 + toDouble(low);
  }
}
