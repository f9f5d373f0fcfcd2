package dev.bothy.x86.fpu;

import java.math.BigInteger;

/**
 * Series for elementary functions in fixed point: numbers are integers that count units of 2^-f,
 * where f is given with each call. Results are good to about f - 8 fraction bits.
 */
final class Transcendentals {
  /** Fraction bits of the constants below. */
  static final int CONSTANT_BITS = 320;

  /** Steps of the arctangent table in [0, 1]. */
  private static final int ARCTANGENT_STEPS = 16;

  private static final BigInteger[] ARCTANGENTS = arctangents();
  private static final BigInteger PI_CONSTANT = ARCTANGENTS[ARCTANGENT_STEPS].shiftLeft(2);

  /** ln 2 = 2 artanh(1/3). */
  static final BigInteger LN_2 =
      hyperbolicArctangent(ratio(1, 3, CONSTANT_BITS), CONSTANT_BITS).shiftLeft(1);

  /** 1 / ln 2. */
  private static final BigInteger LOG2_E = BigInteger.ONE.shiftLeft(2 * CONSTANT_BITS).divide(LN_2);

  private static final BigInteger[] LOGARITHMS = logarithms();

  private Transcendentals() {}

  private static BigInteger ratio(int a, int b, int f) {
    return BigInteger.valueOf(a).shiftLeft(f).divide(BigInteger.valueOf(b));
  }

  private static BigInteger rescale(BigInteger a, int from, int to) {
    return to >= from ? a.shiftLeft(to - from) : a.shiftRight(from - to);
  }

  static BigInteger multiply(BigInteger a, BigInteger b, int f) {
    return a.multiply(b).shiftRight(f);
  }

  static BigInteger pi(int f) {
    return rescale(PI_CONSTANT, CONSTANT_BITS, f);
  }

  /** a · ln 2. */
  static BigInteger timesLn2(BigInteger a) {
    return a.multiply(LN_2).shiftRight(CONSTANT_BITS);
  }

  /** a / ln 2. */
  static BigInteger overLn2(BigInteger a) {
    return a.multiply(LOG2_E).shiftRight(CONSTANT_BITS);
  }

  /** sin r for |r| < 1. */
  static BigInteger sine(BigInteger r, int f) {
    return alternating(r, multiply(r, r, f), 1, f);
  }

  /** cos r for |r| < 1. */
  static BigInteger cosine(BigInteger r, int f) {
    return alternating(BigInteger.ONE.shiftLeft(f), multiply(r, r, f), 0, f);
  }

  /** first · (1 - square / (n+1)(n+2) + square² / (n+1)(n+2)(n+3)(n+4) - …). */
  private static BigInteger alternating(BigInteger first, BigInteger square, int n, int f) {
    BigInteger sum = first;
    BigInteger term = first;
    for (int k = n; term.signum() != 0; k += 2) {
      term = multiply(term, square, f).divide(BigInteger.valueOf((k + 1L) * (k + 2))).negate();
      sum = sum.add(term);
    }
    return sum;
  }

  /** e^t - 1 for |t| < 1. */
  static BigInteger exponentialMinus1(BigInteger t, int f) {
    BigInteger sum = t;
    BigInteger term = t;
    for (int k = 2; term.signum() != 0; k++) {
      term = multiply(term, t, f).divide(BigInteger.valueOf(k));
      sum = sum.add(term);
    }
    return sum;
  }

  /** artanh s for |s| < 1/2 or so. */
  static BigInteger hyperbolicArctangent(BigInteger s, int f) {
    return odd(s, multiply(s, s, f), f);
  }

  /** s + s·square/3 + s·square²/5 + …. */
  private static BigInteger odd(BigInteger s, BigInteger square, int f) {
    BigInteger sum = s;
    BigInteger power = s;
    for (int k = 3; ; k += 2) {
      // Rounds down, to -1 in the end if negative, of which the division makes 0.
      power = multiply(power, square, f);
      BigInteger term = power.divide(BigInteger.valueOf(k));
      if (term.signum() == 0) {
        return sum;
      }
      sum = sum.add(term);
    }
  }

  private static BigInteger[] arctangents() {
    BigInteger[] table = new BigInteger[ARCTANGENT_STEPS + 1];
    table[0] = BigInteger.ZERO;
    for (int i = 1; i <= ARCTANGENT_STEPS; i++) {
      // atan(i/n) = atan((i-1)/n) + atan(n / (n² + i(i-1)))
      int n = ARCTANGENT_STEPS;
      BigInteger step = ratio(n, n * n + i * (i - 1), CONSTANT_BITS);
      table[i] = table[i - 1].add(smallArctangent(step, CONSTANT_BITS));
    }
    return table;
  }

  private static BigInteger smallArctangent(BigInteger u, int f) {
    return odd(u, multiply(u, u, f).negate(), f);
  }

  /** atan z for 0 <= z <= 1. */
  static BigInteger arctangent(BigInteger z, int f) {
    BigInteger scaled = z.shiftLeft(4);
    int i = scaled.add(BigInteger.ONE.shiftLeft(f - 1)).shiftRight(f).intValue();
    if (i == 0) {
      return smallArctangent(z, f);
    }
    // u = (z - c) / (1 + zc) with c = i/16
    BigInteger c = BigInteger.valueOf(i);
    BigInteger numerator = scaled.subtract(c.shiftLeft(f));
    BigInteger denominator = BigInteger.valueOf(ARCTANGENT_STEPS).shiftLeft(f).add(z.multiply(c));
    BigInteger u = numerator.shiftLeft(f).divide(denominator);
    return rescale(ARCTANGENTS[i], CONSTANT_BITS, f).add(smallArctangent(u, f));
  }

  /**
   * ln m for 3/4 <= m < 3/2; next to 1 the absolute error is that of the quotient, so f must have
   * grown with 1 / |m - 1|.
   */
  static BigInteger logarithm(BigInteger m, int f) {
    int i = m.shiftLeft(4).add(BigInteger.ONE.shiftLeft(f - 1)).shiftRight(f).intValue();
    // ln m = ln c + 2 artanh((m - c) / (m + c)) with c = i/16, c = 1 without further error.
    BigInteger c = BigInteger.valueOf(i).shiftLeft(f - 4);
    BigInteger s = m.subtract(c).shiftLeft(f).divide(m.add(c));
    BigInteger rest = hyperbolicArctangent(s, f).shiftLeft(1);
    return i == 16 ? rest : rest.add(rescale(LOGARITHMS[i - 12], CONSTANT_BITS, f));
  }

  /** ln(i/16) for i from 12 to 24. */
  private static BigInteger[] logarithms() {
    BigInteger[] table = new BigInteger[13];
    for (int i = 12; i <= 24; i++) {
      table[i - 12] =
          hyperbolicArctangent(ratio(i - 16, i + 16, CONSTANT_BITS), CONSTANT_BITS).shiftLeft(1);
    }
    return table;
  }
}
