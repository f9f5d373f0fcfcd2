package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;

/** Not landed yet. */
final class XsaveOps {
  private XsaveOps() {}

  static void execute(Cpu cpu, Instruction i) {
    throw cpu.raise(GuestFault.UD);
  }
}
