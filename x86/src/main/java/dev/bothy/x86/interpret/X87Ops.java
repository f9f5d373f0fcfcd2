package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;

/** Not landed yet. */
final class X87Ops {
  private X87Ops() {}

  static void execute(Cpu cpu, Instruction i) {
    throw cpu.raise(GuestFault.UD);
  }
}
