package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.interpret.EngineArea;

/** The code that every block shares: entry, exits, loading of vector registers. */
final class Stubs {
  private static final int[] SAVED_BY_CALLEE = {
    Assembler.RBX, Assembler.RBP, Assembler.R12, Assembler.R13, Assembler.R14, Assembler.R15
  };

  /** {@code enter(base, code)}: the host's calling convention. Returns why the code left. */
  final long enter;

  /** Ends of blocks by the constants of {@link Leave}. */
  final long[] leave = new long[Leave.KINDS];

  final long loadVectors;
  final long loadX87;

  /** Loads vector registers and goes to the host address in the target word. */
  final long resumeWithVectors;

  /** Writes the stubs into {@code a}, which was started where they will run. */
  Stubs(Assembler a) {
    a.align(16);
    enter = a.here();
    for (int register : SAVED_BY_CALLEE) {
      a.push(register);
    }
    a.mov(8, Assembler.RBP, Assembler.RDI);
    a.mov(8, Assembler.R11, Assembler.RSI);
    for (int gpr = 0; gpr < 16; gpr++) {
      if (Home.of(gpr) != Home.MEMORY) {
        a.load(8, Home.of(gpr), Home.BASE, Home.displacement(gpr));
      }
    }
    a.jumpRegister(Assembler.R11);

    a.align(16);
    final long out = a.here();
    for (int gpr = 0; gpr < 16; gpr++) {
      if (Home.of(gpr) != Home.MEMORY) {
        a.store(8, Home.BASE, Home.displacement(gpr), Home.of(gpr));
      }
    }
    a.testStoreImmediate(4, Home.BASE, Home.state(EngineArea.LOADED), 1);
    int noVectors = a.jumpForward(Assembler.E);
    moveVectors(a, true);
    // Exceptions seen are the guest's; what it has masked is in the state.
    a.memoryExtended(0, 4, 0x0fae, 3, Home.BASE, NONE, 0, Home.state(EngineArea.SCRATCH));
    a.load(4, Assembler.RCX, Home.BASE, Home.state(EngineArea.SCRATCH));
    a.aluImmediate(Assembler.AND, 4, Assembler.RCX, 0x3f);
    a.memory(0, 4, 0x09, Assembler.RCX, Home.BASE, NONE, 0, Home.state(CpuState.MXCSR));
    a.memoryExtended(0, 4, 0x0fae, 2, Home.BASE, NONE, 0, Home.state(EngineArea.HOST_MXCSR));
    a.bind(noVectors);
    a.storeImmediate(4, Home.BASE, Home.state(EngineArea.LOADED), 0);
    for (int i = SAVED_BY_CALLEE.length - 1; i >= 0; i--) {
      a.pop(SAVED_BY_CALLEE[i]);
    }
    a.ret();

    for (int kind = 0; kind < Leave.KINDS; kind++) {
      a.align(16);
      leave[kind] = a.here();
      switch (kind) {
        case Leave.MISS_READ, Leave.MISS_WRITE -> {
          // A is the linear address xor the tag in the entry at V.
          a.aluLoad(
              Assembler.XOR,
              8,
              Home.A,
              Home.V,
              NONE,
              kind == Leave.MISS_WRITE ? EngineArea.TLB_WRITE : EngineArea.TLB_READ);
          a.store(8, Home.BASE, Home.state(EngineArea.MISS_ADDRESS), Home.A);
        }
        case Leave.JUMP -> {
          a.aluLoad(Assembler.XOR, 8, Home.V, Home.BASE, NONE, Home.state(EngineArea.JUMP_KEY));
          a.store(8, Home.BASE, Home.state(EngineArea.TARGET), Home.V);
        }
        default -> {}
      }
      a.constant(Assembler.RAX, kind);
      a.jump(out);
    }

    a.align(16);
    loadVectors = a.here();
    moveVectors(a, false);
    a.load(4, Home.A, Home.BASE, Home.state(CpuState.MXCSR));
    // All masked: whoever unmasks one has those instructions interpreted.
    a.aluImmediate(Assembler.OR, 4, Home.A, 0x1f80);
    a.store(4, Home.BASE, Home.state(EngineArea.SCRATCH), Home.A);
    a.memoryExtended(0, 4, 0x0fae, 3, Home.BASE, NONE, 0, Home.state(EngineArea.HOST_MXCSR));
    a.memoryExtended(0, 4, 0x0fae, 2, Home.BASE, NONE, 0, Home.state(EngineArea.SCRATCH));
    a.memoryExtended(0, 4, 0x81, Assembler.OR, Home.BASE, NONE, 0, Home.state(EngineArea.LOADED));
    a.int32(1);
    a.ret();

    a.align(16);
    loadX87 = a.here();
    a.ret();

    a.align(16);
    resumeWithVectors = a.here();
    a.call(loadVectors);
    a.jumpIndirect(Home.BASE, NONE, 0, Home.state(EngineArea.TARGET));
  }

  private static void moveVectors(Assembler a, boolean store) {
    for (int i = 0; i < 16; i++) {
      // MOVAPS.
      a.memory(
          0,
          4,
          store ? 0x0f29 : 0x0f28,
          i,
          Home.BASE,
          NONE,
          0,
          Home.state(CpuState.VECTORS + i * CpuState.VECTOR_SIZE));
    }
  }

  /** Goes to the block at linear address V, if the jump cache knows it; else leaves. */
  void jumpCacheLookUp(Assembler a) {
    // Multiplied by a number without pattern, so that close addresses come to lie far apart.
    a.registers(0, 4, 0x69, Home.A, Home.V);
    a.int32(JUMP_FACTOR);
    a.shift(Assembler.SHR, 4, Home.A, JUMP_SHIFT);
    a.aluImmediate(Assembler.AND, 4, Home.A, 2 * (EngineArea.JUMP_ENTRIES - 1));
    a.aluLoad(Assembler.XOR, 8, Home.V, Home.BASE, NONE, Home.state(EngineArea.JUMP_KEY));
    a.memory(0, 8, 0x3b, Home.V, Home.BASE, Home.A, 3, Home.state(EngineArea.JUMPS));
    a.jump(Assembler.NE, leave[Leave.JUMP]);
    a.jumpIndirect(Home.BASE, Home.A, 3, Home.state(EngineArea.JUMPS) + 8);
  }

  private static final int JUMP_FACTOR = 0x9e37_79b1;
  private static final int JUMP_SHIFT = 17;

  /** Offset of the jump cache's entry for linear address {@code rip}. */
  static int jumpEntry(long rip) {
    return EngineArea.JUMPS
        + ((int) rip * JUMP_FACTOR >>> JUMP_SHIFT & 2 * (EngineArea.JUMP_ENTRIES - 1)) * 8;
  }
}
