package dev.bothy.x86.translate;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/** SSE to SSE4.2, AES and CLMUL: the host's own instructions on the guest's own registers. */
final class Vectors {
  private Vectors() {}

  /** Writes {@code i}; false if it is none of ours. */
  static boolean write(BlockWriter w, Instruction i) {
    if (Mode.is(w.mode, Mode.NO_SSE) || hasMmx(i)) {
      return false;
    }
    switch (i.op) {
      case LDMXCSR, STMXCSR, MASKMOVDQU, PCMPESTRI, PCMPESTRM, EXTRQ, INSERTQ -> {
        return false;
      }
      default -> {}
    }
    if (Mode.is(w.mode, Mode.SSE_TRAPS) && mayTrap(i)) {
      return false;
    }
    if (!w.vectorsLoaded) {
      w.observe();
      w.needVectors();
    }
    return Rewriting.write(w, i, alignment(i));
  }

  private static boolean hasMmx(Instruction i) {
    for (int n = 0; n < i.operands; n++) {
      if (i.kind[n] == Instruction.MMX) {
        return true;
      }
    }
    return false;
  }

  private static int alignment(Instruction i) {
    return switch (i.op) {
      case MOVUPS, MOVUPD, MOVDQU, LDDQU, PCMPISTRI, PCMPISTRM -> 1;
      default -> {
        int rm = Rewriting.rm(i);
        yield rm >= 0 && i.kind[rm] == Instruction.MEMORY && i.size[rm] == 16 ? 16 : 1;
      }
    };
  }

  /** True if the instruction can raise a SIMD floating-point exception. */
  private static boolean mayTrap(Instruction i) {
    String name = i.op.name();
    return name.startsWith("CVT")
        || name.startsWith("COMIS")
        || name.startsWith("UCOMIS")
        || name.startsWith("ROUND")
        || name.startsWith("DPP")
        || name.startsWith("ADDSUB")
        || name.startsWith("HADDP")
        || name.startsWith("HSUBP")
        || isArithmetic(i.op);
  }

  private static boolean isArithmetic(Op op) {
    return switch (op) {
      case ADDPS,
          ADDPD,
          ADDSS,
          ADDSD,
          SUBPS,
          SUBPD,
          SUBSS,
          SUBSD,
          MULPS,
          MULPD,
          MULSS,
          MULSD,
          DIVPS,
          DIVPD,
          DIVSS,
          DIVSD,
          SQRTPS,
          SQRTPD,
          SQRTSS,
          SQRTSD,
          MINPS,
          MINPD,
          MINSS,
          MINSD,
          MAXPS,
          MAXPD,
          MAXSS,
          MAXSD,
          CMPPS,
          CMPPD,
          CMPSS,
          CMPSD ->
          true;
      default -> false;
    };
  }
}
