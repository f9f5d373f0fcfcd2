package dev.bothy.x86.fpu;

/** The constants that the x87 unit can load, rounded as the control word says. */
public enum ExtendedConstant {
  ZERO(0, -Extended.BIAS, 0),
  ONE(Extended.INTEGER_BIT, 0, 0),
  LOG2_10(0xd49a_784b_cd1b_8afeL, 1, 0x492b_f6ff_4daf_db4cL),
  LOG2_E(0xb8aa_3b29_5c17_f0bbL, 0, 0xbe87_fed0_691d_3e88L),
  PI(0xc90f_daa2_2168_c234L, 1, 0xc4c6_628b_80dc_1cd1L),
  LOG10_2(0x9a20_9a84_fbcf_f798L, -2, 0x8f89_59ac_0b7c_9178L),
  LN_2(0xb172_17f7_d1cf_79abL, -1, 0xc9e3_b398_03f2_f6afL);

  private final long significand;
  private final int exponent;
  private final long rest;

  /**
   * The value is significand / 2^63 × 2^exponent, and {@code rest} what follows the significand.
   */
  ExtendedConstant(long significand, int exponent, long rest) {
    this.significand = significand;
    this.exponent = exponent + Extended.BIAS;
    this.rest = rest;
  }

  /** Leaves the constant in {@code r}; no flags. */
  public void load(Extended r, int control) {
    boolean up = rest != 0 && Rounding.roundsUp(control, 0, (significand & 1) != 0, rest);
    r.set(significand + (up ? 1 : 0), exponent);
  }
}
