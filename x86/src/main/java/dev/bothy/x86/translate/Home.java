package dev.bothy.x86.translate;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.interpret.EngineArea;

/** Where generated code keeps the guest's registers. */
final class Home {
  /** The base register: {@link EngineArea#CENTRE} of the vCPU's state. */
  static final int BASE = Assembler.RBP;

  /** Scratch: addresses, and whatever wants RAX. */
  static final int A = Assembler.RAX;

  /** Scratch: TLB entries, values. */
  static final int V = Assembler.R11;

  /** No host register: the guest register stays in the state. */
  static final int MEMORY = -1;

  /** Host register of the guest's RSP. */
  static final int STACK = Assembler.R14;

  private static final int[] REGISTERS = {
    Assembler.R10,
    Assembler.RCX,
    Assembler.RDX,
    Assembler.RBX,
    Assembler.R14,
    Assembler.R15,
    Assembler.RSI,
    Assembler.RDI,
    Assembler.R8,
    Assembler.R9,
    MEMORY,
    MEMORY,
    Assembler.R12,
    Assembler.R13,
    MEMORY,
    MEMORY
  };

  private Home() {}

  /** The host register of guest register {@code gpr}, or {@link #MEMORY}. */
  static int of(int gpr) {
    return REGISTERS[gpr];
  }

  /** Displacement of a guest register's place in the state from {@link #BASE}. */
  static int displacement(int gpr) {
    return state(CpuState.GPR + 8 * gpr);
  }

  /** Displacement of the word of a span. */
  static int span(int word) {
    return state(word < 8 ? EngineArea.SPANS + 8 * word : EngineArea.MORE_SPANS + 8 * (word - 8));
  }

  /** Displacement of an offset of the state or the engine's area from {@link #BASE}. */
  static int state(int offset) {
    return offset - EngineArea.CENTRE;
  }
}
