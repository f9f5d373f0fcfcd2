package dev.bothy.x86.simd;

/**
 * What SSE and AVX arithmetic takes from MXCSR and gives back to it: rounding control, denormal
 * handling, and the exceptions that an instruction raised (AMD64 APM volume 1, section 4.10; layout
 * of MXCSR in section 4.2.2). One instance a vCPU; not thread-safe.
 */
public final class FloatEnvironment {
  public static final int INVALID = 1;
  public static final int DENORMAL = 2;
  public static final int ZERO_DIVIDE = 4;
  public static final int OVERFLOW = 8;
  public static final int UNDERFLOW = 16;
  public static final int INEXACT = 32;

  /** The six exception flags of MXCSR. */
  public static final int FLAGS = 0x3f;

  /** MXCSR: denormal operands count as zeros. */
  public static final int DENORMALS_ARE_ZEROS = 0x40;

  /** MXCSR: results that would be denormal become zero, if underflow is masked. */
  public static final int FLUSH_TO_ZERO = 0x8000;

  /** The exception masks of MXCSR sit this many bits above the flags. */
  public static final int MASK_SHIFT = 7;

  /** MXCSR after reset. */
  public static final int DEFAULT_MXCSR = 0x1f80;

  public static final int NEAREST = 0;
  public static final int DOWN = 1;
  public static final int UP = 2;
  public static final int TRUNCATE = 3;

  private static final int RARE_BITS = 0xffff & ~(FLAGS | 0x1f80);

  /** Exceptions raised since {@link #begin}; sticky within one instruction. */
  public int flags;

  /** Rounding control, {@link #NEAREST} to {@link #TRUNCATE}. */
  int rounding;

  boolean denormalsAreZeros;
  boolean flushToZero;

  /** Exceptions whose mask bit is clear. */
  int unmasked;

  /** Committed by earlier steps of an instruction that computes in several. */
  private int earlier;

  /**
   * Nearest rounding, everything masked, neither DAZ nor FTZ: host arithmetic does for ordinary
   * numbers.
   */
  boolean plain;

  /** Inexactness is of no interest: its flag is set already and masked. */
  boolean inexactKnown;

  private int control = -1;

  /** Starts an instruction under this MXCSR: no exceptions raised yet. */
  public void begin(int mxcsr) {
    flags = 0;
    earlier = 0;
    if (mxcsr != control) {
      set(mxcsr);
    }
  }

  private void set(int mxcsr) {
    control = mxcsr;
    rounding = mxcsr >> 13 & 3;
    denormalsAreZeros = (mxcsr & DENORMALS_ARE_ZEROS) != 0;
    flushToZero = (mxcsr & FLUSH_TO_ZERO) != 0;
    unmasked = ~(mxcsr >> MASK_SHIFT) & FLAGS;
    plain = unmasked == 0 && (mxcsr & RARE_BITS) == 0;
    inexactKnown = (mxcsr & INEXACT) != 0 && (unmasked & INEXACT) == 0;
  }

  /** Raises {@code exceptions}. */
  void raise(int exceptions) {
    flags |= exceptions;
  }

  /**
   * Ends a step of an instruction that computes in several, as if it were an instruction; false if
   * it must stop here.
   */
  boolean nextStep() {
    earlier = committedFlags();
    flags = 0;
    return !faults();
  }

  /** True if there is something to add to MXCSR, or perhaps to fault on. */
  public boolean isRaised() {
    return (flags | earlier) != 0;
  }

  /**
   * The flags to add to MXCSR: if an unmasked exception was found before the computation (invalid,
   * denormal, zero divide), those found after it (overflow, underflow, inexact) do not come to pass
   * in any element.
   */
  public int committedFlags() {
    int before = INVALID | DENORMAL | ZERO_DIVIDE;
    return earlier | ((flags & unmasked & before) != 0 ? flags & before : flags);
  }

  /** True if an exception was raised whose mask is clear: the destination stays as it is. */
  public boolean faults() {
    return ((flags | earlier) & unmasked) != 0;
  }
}
