package dev.bothy.x86.fpu;

import dev.bothy.x86.decode.Op;
import java.util.EnumSet;
import java.util.Set;

/**
 * The x87 results that the architecture leaves to the implementation: which instructions may differ
 * from a processor, and by how much. Everything not listed here is exact, flags included.
 */
public final class Tolerance {
  /** Greatest difference of the listed instructions' results, in units of the last place. */
  public static final int UNITS_IN_LAST_PLACE = 1;

  private static final Set<Op> TRANSCENDENTAL =
      EnumSet.of(Op.F2XM1, Op.FYL2X, Op.FYL2XP1, Op.FPTAN, Op.FPATAN, Op.FSIN, Op.FCOS, Op.FSINCOS);

  private Tolerance() {}

  /**
   * True if the instruction's results may be {@link #UNITS_IN_LAST_PLACE} off, and C1 (the
   * direction of rounding) either way.
   */
  public static boolean isTranscendental(Op op) {
    return TRANSCENDENTAL.contains(op);
  }
}
