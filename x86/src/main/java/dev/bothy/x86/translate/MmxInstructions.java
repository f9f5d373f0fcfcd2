package dev.bothy.x86.translate;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/** Instructions with MMX registers: the host's own. What they do to the x87, they do there. */
final class MmxInstructions {
  private MmxInstructions() {}

  /** Writes {@code i}; false if it is the interpreter's. */
  static boolean write(BlockWriter w, Instruction i) {
    if (!FloatingPoint.runs(w)) {
      return false;
    }
    if (i.op == Op.EMMS) {
      FloatingPoint.load(w);
      w.a.int8(0x0f);
      w.a.int8(0x77);
      return true;
    }
    boolean vectors = false;
    boolean mmx = false;
    for (int n = 0; n < i.operands; n++) {
      vectors |= i.kind[n] == Instruction.XMM;
      mmx |= i.kind[n] == Instruction.MMX;
    }
    // CVTPI2PS leaves the x87 alone with a memory operand, but not on every vendor's processors.
    if (!mmx && !HostFeatures.AMD || !mmx && !vectors) {
      return false;
    }
    if (converts(i.op)) {
      if (Mode.is(w.mode, Mode.SSE_TRAPS)) {
        return false;
      }
      vectors = true;
    }
    if (vectors && Mode.is(w.mode, Mode.NO_SSE)) {
      return false;
    }
    if (mmx) {
      FloatingPoint.load(w);
    }
    if (vectors) {
      Vectors.load(w);
    }
    if (i.op == Op.MASKMOVQ) {
      return maskedStore(w, i, 8);
    }
    return Rewriting.write(w, i, alignment(i));
  }

  private static boolean converts(Op op) {
    return switch (op) {
      case CVTPI2PS, CVTPI2PD, CVTPS2PI, CVTTPS2PI, CVTPD2PI, CVTTPD2PI -> true;
      default -> false;
    };
  }

  private static int alignment(Instruction i) {
    return i.op == Op.CVTPD2PI || i.op == Op.CVTTPD2PI ? 16 : 1;
  }

  /** MASKMOVQ and MASKMOVDQU: the operand at rDI is implicit. */
  static boolean maskedStore(BlockWriter w, Instruction i, int size) {
    if (!Memory.fits(w, i)) {
      return false;
    }
    Assembler a = w.a;
    Memory.operand(w, i, w.offset + i.length, size, true, 1);
    int rdi = Home.of(CpuState.RDI);
    a.registers(0, 8, 0x87, rdi, Home.A); // XCHG
    a.registers(i.mandatoryPrefix, 4, 0x0ff7, i.register[0], i.register[1]);
    a.mov(8, rdi, Home.A);
    return true;
  }
}
