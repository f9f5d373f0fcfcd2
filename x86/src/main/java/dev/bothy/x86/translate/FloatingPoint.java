package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * The x87: the host's own instructions on the guest's own registers. All exceptions are masked
 * here; code that has unmasked one is interpreted, and so is what saves or loads the environment.
 */
final class FloatingPoint {
  /** Exception masks in the control word. */
  private static final int MASKS = 0x3f;

  private FloatingPoint() {}

  /** True if x87 and MMX instructions run here, and none can fault but for its operand. */
  static boolean runs(BlockWriter w) {
    return !Mode.is(w.mode, Mode.NO_X87) && !Mode.is(w.mode, Mode.X87_TRAPS);
  }

  /** The x87 is the guest's from here on. */
  static void load(BlockWriter w) {
    if ((w.loadedUnits & Units.X87) == 0) {
      w.observe();
      w.need(Units.X87);
    }
  }

  /** Writes {@code i}; false if it is the interpreter's. */
  static boolean write(BlockWriter w, Instruction i) {
    if (!runs(w)) {
      return false;
    }
    boolean memory = i.operands > 0 && i.kind[0] == Instruction.MEMORY;
    switch (i.op) {
      case FLDENV, FNSTENV, FNSAVE, FRSTOR -> {
        return false;
      }
      default -> {}
    }
    if (isNothing(i.op)) {
      return true;
    }
    if (memory && !Memory.fits(w, i)) {
      return false;
    }
    load(w);
    Assembler a = w.a;
    switch (i.op) {
      case FLDCW -> loadControl(w, i);
      case FNSTCW -> {
        Memory.operand(w, i, w.offset + i.length, 2, true, 1);
        host(w, i);
      }
      case FNSTSW -> {
        if (memory) {
          Memory.operand(w, i, w.offset + i.length, 2, true, 1);
          host(w, i);
        } else {
          bytes(w, i);
          a.mov(2, Home.of(0), Assembler.RAX);
        }
      }
      case FNCLEX -> bytes(w, i);
      case FNINIT -> {
        bytes(w, i);
        w.x87Pointers.cleared();
      }
      default -> {
        if (memory) {
          int next = w.offset + i.length;
          Memory.offset(w, i, next);
          w.x87Pointers.operand(w);
          Memory.operand(w, i, next, i.size[0], stores(i.op), 1);
          host(w, i);
        } else {
          if (FlagUse.reads(i) != 0) {
            w.needFlags();
          }
          bytes(w, i);
          if (FlagUse.writes(i) != 0) {
            w.flagsWritten();
          }
        }
        w.x87Pointers.executed(w, i, memory);
      }
    }
    return true;
  }

  /** True for what has no effect as long as no exception is waiting. */
  static boolean isNothing(Op op) {
    return op == Op.FWAIT || op == Op.FNENI || op == Op.FNDISI || op == Op.FNSETPM;
  }

  /** The same two bytes. */
  private static void bytes(BlockWriter w, Instruction i) {
    w.a.int8(i.opcode);
    w.a.int8(i.modrm);
  }

  /** The same instruction with its operand at {@link Home#A}. */
  private static void host(BlockWriter w, Instruction i) {
    w.a.memoryExtended(0, 4, i.opcode, i.reg(), Home.A, NONE, 0, 0);
  }

  private static boolean stores(Op op) {
    return switch (op) {
      case FST, FSTP, FIST, FISTP, FISTTP, FBSTP -> true;
      default -> false;
    };
  }

  /** Masks stay set, else this code is not made for what follows. */
  private static void loadControl(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    Memory.operand(w, i, w.offset + i.length, 2, false, 1);
    // A copy: what is checked is what is loaded.
    a.memory(0, 4, 0x0fb7, Home.V, Home.A, NONE, 0, 0);
    a.store(4, Home.BASE, Rewriting.SCRATCH, Home.V);
    a.extended(0, 4, 0xf7, 2, Home.V); // NOT
    a.testImmediate(1, Home.V, MASKS);
    w.interpretIf(Assembler.NE);
    a.memoryExtended(0, 4, 0xd9, 5, Home.BASE, NONE, 0, Rewriting.SCRATCH);
  }
}
