package dev.bothy.x86.fpu;

/**
 * Where an operation of the x87 unit leaves its result: a value in double-extended format and what
 * happened on the way. One instance a vCPU, used again and again. Not thread-safe.
 *
 * <p>A value is a significand of 64 bits with explicit integer bit, and a word with the sign in bit
 * 15 over 15 bits of exponent biased by 16383 (AMD64 APM volume 1, section 6.3). The same two words
 * describe operands everywhere in this package.
 */
public final class Extended {
  // Bits of the status word.
  /** Invalid operation. */
  public static final int IE = 0x01;

  /** Denormal operand. */
  public static final int DE = 0x02;

  /** Division of a finite value by zero. */
  public static final int ZE = 0x04;

  public static final int OE = 0x08;
  public static final int UE = 0x10;

  /** Inexact result. */
  public static final int PE = 0x20;

  /** Stack fault, always with {@link #IE}. */
  public static final int SF = 0x40;

  /** An unmasked exception is pending. */
  public static final int ES = 0x80;

  public static final int C0 = 0x100;

  /** Rounded up in magnitude; with a stack fault: overflow, not underflow. */
  public static final int C1 = 0x200;

  public static final int C2 = 0x400;
  public static final int TOP_SHIFT = 11;
  public static final int TOP = 7 << TOP_SHIFT;
  public static final int C3 = 0x4000;

  /** Follows {@link #ES}. */
  public static final int BUSY = 0x8000;

  /** The six exceptions, which the low six bits of the control word mask. */
  public static final int EXCEPTIONS = 0x3f;

  /** Exceptions found before anything is computed: unmasked, they leave the destination alone. */
  public static final int PRE_COMPUTATION = IE | DE | ZE;

  // Fields of the control word.
  public static final int PRECISION = 0x300;
  public static final int PRECISION_24 = 0;
  public static final int PRECISION_53 = 0x200;
  public static final int PRECISION_64 = 0x300;
  public static final int ROUNDING = 0xc00;
  public static final int ROUND_NEAREST = 0;
  public static final int ROUND_DOWN = 0x400;
  public static final int ROUND_UP = 0x800;
  public static final int ROUND_TO_ZERO = 0xc00;

  /** After FNINIT. */
  public static final int INITIAL_CONTROL = 0x37f;

  // Parts of a value.
  public static final int SIGN = 0x8000;
  public static final int EXPONENT = 0x7fff;
  public static final int BIAS = 0x3fff;
  public static final long INTEGER_BIT = 1L << 63;
  public static final long QUIET_BIT = 1L << 62;

  /**
   * Significand of the "real indefinite", the answer to invalid operations; its exponent word is
   * 0xffff.
   */
  public static final long INDEFINITE = INTEGER_BIT | QUIET_BIT;

  public long significand;
  public int exponent;

  /** Exceptions raised, and C0 to C3 where the operation says so, as bits of the status word. */
  public int flags;

  /** Sets the value, leaving the flags. */
  public void set(long newSignificand, int newExponent) {
    significand = newSignificand;
    exponent = newExponent;
  }

  /** The masked response to an invalid operation. */
  void invalid() {
    set(INDEFINITE, 0xffff);
    flags = flags & ~DE | IE;
  }

  void zero(int sign) {
    set(0, sign);
  }

  void infinity(int sign) {
    set(INTEGER_BIT, sign | EXPONENT);
  }

  // Classes of operands.

  /** A normal number: the common case. */
  static boolean isNormal(long significand, int exponent) {
    int e = exponent & EXPONENT;
    return significand < 0 && e != 0 && e != EXPONENT;
  }

  static boolean isZero(long significand, int exponent) {
    return significand == 0 && (exponent & EXPONENT) == 0;
  }

  /** Denormal or pseudo-denormal. */
  static boolean isDenormal(long significand, int exponent) {
    return significand != 0 && (exponent & EXPONENT) == 0;
  }

  static boolean isInfinite(long significand, int exponent) {
    return significand == INTEGER_BIT && (exponent & EXPONENT) == EXPONENT;
  }

  static boolean isNan(long significand, int exponent) {
    return (exponent & EXPONENT) == EXPONENT && significand < 0 && significand << 1 != 0;
  }

  static boolean isSignaling(long significand, int exponent) {
    return isNan(significand, exponent) && (significand & QUIET_BIT) == 0;
  }

  /** Unnormals, pseudo-infinities and pseudo-NaNs, which the 8087 knew and nothing since. */
  static boolean isUnsupported(long significand, int exponent) {
    return significand >= 0 && (exponent & EXPONENT) != 0;
  }

  /** Result of an operation on one NaN or unsupported operand. */
  void propagate(long s, int e) {
    if (isUnsupported(s, e)) {
      invalid();
      return;
    }
    flags &= ~DE;
    if ((s & QUIET_BIT) == 0) {
      flags |= IE;
    }
    set(s | QUIET_BIT, e);
  }

  /**
   * Result of an operation on two operands of which at least one is a NaN or unsupported: the NaN
   * with the larger significand, made quiet; the positive one of equals.
   */
  void propagate(long sa, int ea, long sb, int eb) {
    if (isUnsupported(sa, ea) || isUnsupported(sb, eb)) {
      invalid();
      return;
    }
    flags &= ~DE;
    boolean aNan = isNan(sa, ea);
    boolean bNan = isNan(sb, eb);
    if (aNan && (sa & QUIET_BIT) == 0 || bNan && (sb & QUIET_BIT) == 0) {
      flags |= IE;
    }
    boolean takeA;
    if (aNan && bNan) {
      int order = Long.compareUnsigned(sa, sb);
      takeA = order > 0 || order == 0 && (ea & SIGN) == 0;
    } else {
      takeA = aNan;
    }
    if (takeA) {
      set(sa | QUIET_BIT, ea);
    } else {
      set(sb | QUIET_BIT, eb);
    }
  }
}
