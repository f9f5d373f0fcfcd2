package dev.bothy.x86.simd;

/**
 * A binary interchange format of IEEE 754-2019, section 3.4; values travel as bit patterns,
 * zero-extended to 64 bits.
 */
public enum FloatFormat {
  HALF(10, 5),
  SINGLE(23, 8),
  DOUBLE(52, 11);

  /** Bits of the trailing significand. */
  final int fractionBits;

  final int bias;

  /** The biased exponent of infinities and NaNs. */
  final int maxExponent;

  final long fractionMask;
  final long sign;
  final long infinity;

  /** The bit that tells a quiet NaN from a signalling one. */
  final long quiet;

  /** The quiet NaN that invalid operations give: negative, fraction zero but for the quiet bit. */
  final long indefinite;

  FloatFormat(int fractionBits, int exponentBits) {
    this.fractionBits = fractionBits;
    bias = (1 << (exponentBits - 1)) - 1;
    maxExponent = (1 << exponentBits) - 1;
    fractionMask = (1L << fractionBits) - 1;
    sign = 1L << (fractionBits + exponentBits);
    infinity = (long) maxExponent << fractionBits;
    quiet = 1L << (fractionBits - 1);
    indefinite = sign | infinity | quiet;
  }

  boolean isNegative(long bits) {
    return (bits & sign) != 0;
  }

  long magnitude(long bits) {
    return bits & (sign - 1);
  }

  boolean isNan(long bits) {
    return magnitude(bits) > infinity;
  }

  boolean isSignalling(long bits) {
    return isNan(bits) && (bits & quiet) == 0;
  }

  boolean isInfinite(long bits) {
    return magnitude(bits) == infinity;
  }

  boolean isZero(long bits) {
    return magnitude(bits) == 0;
  }

  boolean isDenormal(long bits) {
    long magnitude = magnitude(bits);
    return magnitude != 0 && magnitude <= fractionMask;
  }

  /** The greatest finite magnitude. */
  long largest() {
    return infinity - 1;
  }

  /** Unbiased exponent of a finite non-zero number, as if its significand were normalised. */
  int exponent(long bits) {
    long magnitude = magnitude(bits);
    int biased = (int) (magnitude >>> fractionBits);
    if (biased == 0) {
      return 1 - bias - (Long.numberOfLeadingZeros(magnitude) - (63 - fractionBits));
    }
    return biased - bias;
  }

  /** Significand of a finite non-zero number with its leading one at bit 62. */
  long significand(long bits) {
    long fraction = bits & fractionMask;
    if ((magnitude(bits) >>> fractionBits) == 0) {
      return fraction << (Long.numberOfLeadingZeros(fraction) - 1);
    }
    return (fraction | 1L << fractionBits) << (62 - fractionBits);
  }
}
