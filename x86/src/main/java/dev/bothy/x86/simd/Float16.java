package dev.bothy.x86.simd;

import static dev.bothy.x86.simd.FloatFormat.HALF;
import static dev.bothy.x86.simd.FloatFormat.SINGLE;

/**
 * Conversions of half precision as F16C computes them, on bit patterns: neither flushing nor
 * denormals-are-zeros of MXCSR counts for halves (AMD64 APM volume 4, VCVTPH2PS and VCVTPS2PH).
 */
public final class Float16 {
  /** The immediate's bit that says "rounding as in MXCSR". */
  private static final int BY_MXCSR = 4;

  private Float16() {}

  /** VCVTPH2PS. Exact; only signalling NaNs raise something. */
  public static int toSingle(int half, FloatEnvironment e) {
    if (HALF.isSignalling(half)) {
      e.raise(FloatEnvironment.INVALID);
      half |= (int) HALF.quiet;
    }
    return Float.floatToRawIntBits(Float.float16ToFloat((short) half));
  }

  /** VCVTPS2PH: the low 3 bits of {@code control} choose the rounding. */
  public static int fromSingle(int single, int control, FloatEnvironment e) {
    int rounding = e.rounding;
    boolean flushToZero = e.flushToZero;
    if ((control & BY_MXCSR) == 0) {
      e.rounding = control & 3;
    }
    e.flushToZero = false;
    int half = (int) SoftFloat.convert(SINGLE, HALF, single & 0xffff_ffffL, e);
    e.rounding = rounding;
    e.flushToZero = flushToZero;
    return half;
  }
}
