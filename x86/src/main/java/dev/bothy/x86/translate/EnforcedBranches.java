package dev.bothy.x86.translate;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.interpret.EngineArea;

/**
 * What control-flow enforcement makes of branches: Intel SDM volume 1, section 18.3. A tracked
 * branch goes on in the mode that waits for its target ({@link Mode#WAITING}), in which only
 * ENDBR64 or ENDBR32 has a translation, and leads back. With a shadow stack, calls and returns are
 * the interpreter's, as is whatever goes between levels.
 */
final class EnforcedBranches {
  private static final int NO_TRACK = 0x10;
  private static final int WAITING = 0x800;

  private EnforcedBranches() {}

  /** True if {@code i} is not in every mode what it is in this one. */
  static boolean has(int mode, Instruction i) {
    return Mode.is(mode, Mode.WAITING)
        || switch (i.op) {
          case SYSCALL, SYSRET, IRET -> true;
          case RET -> Mode.is(mode, Mode.SHADOWED);
          case CALL -> Mode.is(mode, Mode.SHADOWED) || isTracked(mode, i);
          case JMP -> isTracked(mode, i);
          default -> false;
        };
  }

  private static boolean isTracked(int mode, Instruction i) {
    return Mode.is(mode, Mode.TRACKED) && i.kind[0] != Instruction.RELATIVE;
  }

  /** Writes such an instruction; false if it is the interpreter's. */
  static boolean write(BlockWriter w, Instruction i) {
    if (Mode.is(w.mode, Mode.WAITING)) {
      return target(w, i);
    }
    return switch (i.op) {
      case JMP -> branch(w, i, false);
      case CALL -> !Mode.is(w.mode, Mode.SHADOWED) && branch(w, i, true);
      default -> false;
    };
  }

  /** Where U_CET or S_CET is. */
  private static int control(BlockWriter w) {
    return Home.state(Mode.is(w.mode, Mode.USER) ? CpuState.U_CET : CpuState.S_CET);
  }

  /** Which of three keys that lie together is that of the mode's level. */
  private static int level(BlockWriter w) {
    return Mode.is(w.mode, Mode.USER)
        ? EngineArea.KEY_USER - EngineArea.KEY_KERNEL
        : Mode.is(w.mode, Mode.AC) ? EngineArea.KEY_AC - EngineArea.KEY_KERNEL : 0;
  }

  private static boolean target(BlockWriter w, Instruction i) {
    if (i.op != (w.is64() ? Op.ENDBR64 : Op.ENDBR32)) {
      return false;
    }
    w.observe();
    w.clobberFlags();
    w.a.aluStoreImmediate(Assembler.AND, 4, Home.BASE, control(w), ~WAITING);
    w.takeKey(EngineArea.KEY_KERNEL + level(w));
    w.jumpTo(w.offset + i.length);
    return true;
  }

  private static boolean branch(BlockWriter w, Instruction i, boolean call) {
    if (i.noTrack) {
      w.observe();
      w.clobberFlags();
      w.a.testStoreImmediate(1, Home.BASE, control(w), NO_TRACK);
      w.interpretIf(Assembler.E);
      return Branches.branch(w, i);
    }
    int next = w.offset + i.length;
    if (!Branches.indirectTarget(w, i, next)) {
      return false;
    }
    if (w.is64()) {
      Branches.refuseFar(w);
    }
    if (call) {
      w.a.store(8, Home.BASE, Rewriting.SCRATCH, Home.V);
      Branches.pushReturn(w, next);
      w.a.load(8, Home.V, Home.BASE, Rewriting.SCRATCH);
    }
    w.clobberFlags();
    w.a.aluStoreImmediate(Assembler.OR, 4, Home.BASE, control(w), WAITING);
    w.takeKey(EngineArea.KEY_WAITING + level(w));
    w.jumpToV();
    return true;
  }
}
