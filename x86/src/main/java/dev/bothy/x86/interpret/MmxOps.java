package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;

/** Not landed yet. */
final class MmxOps {
  private MmxOps() {}

  static void execute(Cpu cpu, Instruction i) {
    throw cpu.raise(GuestFault.UD);
  }
}
