package dev.bothy.x86.translate;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.SvmState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.interpret.VirtualExit;

/**
 * What stands before instructions of a guest's guest that its host may intercept (AMD64 APM volume
 * 2, section 15.9) and that have code of their own: a look at the intercept's bit, and the way to
 * the interpreter. All others are the interpreter's anyway.
 */
final class GuestIntercepts {
  private GuestIntercepts() {}

  /** Writes what comes before {@code i}; false if that is the interpreter's at once. */
  static boolean write(BlockWriter w, Instruction i) {
    switch (i.op) {
      case RDTSC -> look(w, VirtualExit.RDTSC);
      case RDTSCP -> look(w, VirtualExit.RDTSCP);
      case PUSHF -> look(w, VirtualExit.PUSHF);
      case POPF -> look(w, VirtualExit.POPF);
      case CPUID -> look(w, VirtualExit.CPUID);
      case IRET -> look(w, VirtualExit.IRET);
      case PAUSE -> look(w, VirtualExit.PAUSE);
      case MOV -> {
        if (AddressSpaces.changes(i)) {
          return false;
        }
        if (i.kind[1] == Instruction.CONTROL_REGISTER) {
          look(w, VirtualExit.READ_CR + i.register[1]);
        } else if (i.kind[0] == Instruction.CONTROL_REGISTER) {
          look(w, VirtualExit.WRITE_CR + i.register[0]);
        }
      }
      case INVLPG -> {
        // A guest's address space is not kept as its host's are.
        return false;
      }
      default -> {}
    }
    return true;
  }

  private static void look(BlockWriter w, int code) {
    w.clobberFlags();
    w.a.testStoreImmediate(
        1, Home.BASE, Home.state(SvmState.INTERCEPTS + (code >>> 3)), 1 << (code & 7));
    w.interpretIf(Assembler.NE);
  }
}
