package dev.bothy.x86.translate;

import dev.bothy.assemble.Assembler;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * The general-purpose instructions with a VEX prefix, BMI1 and BMI2: they stay what they are, with
 * a third register in the prefix.
 */
final class ThreeOperands {
  private ThreeOperands() {}

  /** Writes {@code i}; false if it is none of ours. */
  static boolean write(BlockWriter w, Instruction i) {
    return switch (i.op) {
      case ANDN, BEXTR, BLSI, BLSMSK, BLSR, BZHI -> {
        boolean written = rewrite(w, i);
        if (written) {
          w.flagsWritten();
        }
        yield written;
      }
      case MULX, PDEP, PEXT, RORX, SARX, SHLX, SHRX -> rewrite(w, i);
      default -> false;
    };
  }

  /**
   * What has no home is read in its place if it is in the rm field. V stands for the third
   * register, and A, which the operand's address has been read from by then, for the one in the reg
   * field, which none of them reads.
   */
  private static boolean rewrite(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    int reg = Rewriting.reg(i);
    int rm = Rewriting.rm(i);
    int third = third(i, reg, rm);
    boolean memory = i.kind[rm] == Instruction.MEMORY;
    int base = Home.BASE;
    int displacement = 0;
    if (memory) {
      if (!Memory.fits(w, i)) {
        return false;
      }
      displacement = Memory.place(w, i, i.size[rm], false, 1);
      base = Home.A;
    } else if (Home.of(i.register[rm]) == Home.MEMORY) {
      displacement = Home.displacement(i.register[rm]);
    }
    boolean replacesThird = third == 0 || i.op == Op.MULX;
    int thirdRegister = 0;
    if (third >= 0) {
      thirdRegister = replacesThird ? homeOr(Home.V, i, third) : w.source(i, third);
    }
    int regRegister = reg < 0 ? i.reg() : homeOr(Home.A, i, reg);
    int map = i.map;
    int prefix = i.mandatoryPrefix;
    int size = i.size[rm];
    if (memory || Home.of(i.register[rm]) == Home.MEMORY) {
      a.vexMemory(prefix, map, size, i.opcode, regRegister, thirdRegister, base, displacement);
    } else {
      int from = Home.of(i.register[rm]);
      a.vexRegisters(prefix, map, size, i.opcode, regRegister, thirdRegister, from);
    }
    Rewriting.immediate(w, i);
    if (replacesThird) {
      w.result(i, third);
    }
    boolean throughA = reg >= 0 && regRegister == Home.A;
    if (throughA) {
      // Of MULX the upper half, which is the result if both halves go to one register.
      w.put(i.register[reg], Home.A);
    } else if (memory) {
      w.keepSpan(false);
    }
    return true;
  }

  /** The operand that is neither in ModRM's reg field nor in its rm field, nor immediate; or -1. */
  private static int third(Instruction i, int reg, int rm) {
    for (int n = 0; n < i.operands; n++) {
      if (n != reg && n != rm && i.kind[n] == Instruction.GPR) {
        return n;
      }
    }
    return -1;
  }

  private static int homeOr(int scratch, Instruction i, int n) {
    int home = Home.of(i.register[n]);
    return home == Home.MEMORY ? scratch : home;
  }
}
