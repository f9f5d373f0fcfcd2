package dev.bothy.x86.translate;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/** Which instructions need the registers of which unit: bits as in {@code EngineArea.LOADED}. */
final class Units {
  static final int VECTORS = 1;
  static final int X87 = 2;

  /** The upper halves of the YMM registers: only with {@link #VECTORS}. */
  static final int UPPER = 4;

  private Units() {}

  /** True if {@code i} may have to load registers, those of {@code loaded} being there already. */
  static boolean needed(Instruction i, int loaded) {
    return switch (i.entry.lowering()) {
      case SSE -> (loaded & VECTORS) == 0;
      case AVX -> (loaded & UPPER) == 0;
      case X87 -> (loaded & X87) == 0;
      case MMX ->
          (loaded & X87) == 0 && usesX87(i) || (loaded & VECTORS) == 0 && has(i, Instruction.XMM);
      default -> false;
    };
  }

  /**
   * Units whose registers are certainly there behind {@code i}, if it is not the interpreter's.
   *
   * @param before those whose registers certainly were before it
   */
  static int after(Instruction i, int before) {
    return i.op == Op.XRSTOR ? before & ~X87 : before | loaded(i);
  }

  private static int loaded(Instruction i) {
    return switch (i.entry.lowering()) {
      case SSE -> VECTORS;
      case AVX -> VECTORS | UPPER;
      case X87 -> FloatingPoint.isNothing(i.op) ? 0 : X87;
      case MMX -> usesX87(i) ? X87 : 0;
      default -> 0;
    };
  }

  private static boolean usesX87(Instruction i) {
    return i.op == Op.EMMS || has(i, Instruction.MMX);
  }

  private static boolean has(Instruction i, int kind) {
    for (int n = 0; n < i.operands; n++) {
      if (i.kind[n] == kind) {
        return true;
      }
    }
    return false;
  }
}
