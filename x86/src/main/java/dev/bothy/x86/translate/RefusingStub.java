package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.RCX;
import static dev.bothy.assemble.Assembler.RDI;
import static dev.bothy.assemble.Assembler.RDX;
import static dev.bothy.assemble.Assembler.RSI;

import dev.bothy.assemble.Assembler;
import java.util.List;

/**
 * The frame of code that blocks call for an instruction: RCX, RDX, RSI and RDI are its own
 * meanwhile, and it returns with CF set if, with nothing done, the instruction is the
 * interpreter's.
 */
final class RefusingStub {
  private static final int[] SAVED = {RCX, RDX, RSI, RDI};

  private RefusingStub() {}

  static void begin(Assembler a) {
    for (int register : SAVED) {
      a.push(register);
    }
  }

  /** Returns with CF clear; from where {@code refusals} jump, with CF set. */
  static void end(Assembler a, List<Integer> refusals) {
    a.int8(0xf8); // CLC
    int done = a.shortForward();
    for (int refusal : refusals) {
      a.bind(refusal);
    }
    a.int8(0xf9); // STC
    a.bindShort(done);
    for (int i = SAVED.length - 1; i >= 0; i--) {
      a.pop(SAVED[i]);
    }
    a.ret();
  }
}
