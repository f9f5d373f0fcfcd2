package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;
import static dev.bothy.x86.oracle.Layout.FX_MXCSR;
import static dev.bothy.x86.oracle.Layout.NATIVE;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * The one list of results that the architecture leaves to the implementation, but for flags, which
 * the instruction table marks as undefined:
 *
 * <ul>
 *   <li>RCPPS, RCPSS, RSQRTPS, RSQRTSS and their VEX forms: a relative error of 1.5 * 2^-12;
 *   <li>the x87 transcendentals: one unit in the last place, and with it C1 and the underflow and
 *       precision flags;
 *   <li>MXCSR.MM, which AMD processors have and no model of ours: a case that loads it is not
 *       compared.
 * </ul>
 */
public final class Tolerance {
  private static final int C1_UNDERFLOW_PRECISION = 0x230;

  /** ES and B, which follow from unmasked flags. */
  private static final int SUMMARY = 0x8080;

  /** Twice the allowed error: host and guest may err to different sides. */
  private static final double RECIPROCAL = 2 * 1.5 / 4096;

  private static final int MXCSR_MISALIGNED_MODE = 1 << 17;

  private Tolerance() {}

  /** True if the host came into a mode that guests do not have. */
  static boolean foreignMode() {
    return (getInt(NATIVE + FX_MXCSR) & MXCSR_MISALIGNED_MODE) != 0;
  }

  /** True for the approximations. */
  static boolean reciprocal(Op op) {
    return switch (op) {
      case RCPPS, RCPSS, RSQRTPS, RSQRTSS -> true;
      case VRCPPS, VRCPSS, VRSQRTPS, VRSQRTSS -> true;
      default -> false;
    };
  }

  /** True for the x87 transcendentals. */
  public static boolean transcendental(Op op) {
    return switch (op) {
      case F2XM1, FYL2X, FYL2XP1, FSIN, FCOS, FSINCOS, FPTAN, FPATAN -> true;
      default -> false;
    };
  }

  /** True if two different vectors count as equal. */
  static boolean vector(Instruction instruction, long host, long guest) {
    if (!reciprocal(instruction.op)) {
      return false;
    }
    for (int i = 0; i < 16; i += 4) {
      int h = getInt(host + i);
      int g = getInt(guest + i);
      double hostValue = Float.intBitsToFloat(h);
      double guestValue = Float.intBitsToFloat(g);
      if (h != g && !(Math.abs(hostValue - guestValue) <= Math.abs(hostValue) * RECIPROCAL)) {
        return false;
      }
    }
    return true;
  }

  /** True if two different x87 registers count as equal. */
  static boolean extended(Instruction instruction, long host, long guest) {
    if (!transcendental(instruction.op)) {
      return false;
    }
    int hostHigh = getShort(host + 8) & 0xffff;
    int guestHigh = getShort(guest + 8) & 0xffff;
    long hostLow = getLong(host);
    long guestLow = getLong(guest);
    // Exponents 0 and 1 mean the same scale; an unmasked underflow is scaled up by 24576.
    boolean scaledUp = (hostHigh & 0x7fff) - (guestHigh & 0x7fff) > 0x5000;
    int hostScale = scaledUp ? (hostHigh & 0x7fff) - 0x6000 : scale(hostHigh);
    int step = hostScale - scale(guestHigh);
    if (((hostHigh ^ guestHigh) & 0x8000) != 0) {
      return false;
    }
    if (step == 0) {
      return Math.abs(hostLow - guestLow) <= 1;
    }
    long least = 1L << 63;
    return step == 1 && hostLow == least && guestLow == -1L
        || step == -1 && guestLow == least && hostLow == -1L;
  }

  private static int scale(int high) {
    return Math.max(high & 0x7fff, 1);
  }

  /** Bits of the x87 status word that do not count. */
  static int status(Instruction instruction) {
    return transcendental(instruction.op) ? C1_UNDERFLOW_PRECISION | SUMMARY : 0;
  }
}
