package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.interpret.EngineArea;

/**
 * MOVS, STOS, LODS, CMPS and SCAS in 64-bit code, upwards. With a repeat prefix they go in pieces
 * that lie in one page each, by the host's own instruction, which does what the guest's does where
 * source and destination overlap, too. Between two pieces everything is architectural, and the
 * attention word is looked at. What crosses a page goes to the interpreter.
 */
final class Strings {
  private static final int DF = 0x400;

  private static final int RAX = Assembler.RAX;
  private static final int RCX = Assembler.RCX;
  private static final int RSI = Assembler.RSI;
  private static final int RDI = Assembler.RDI;

  // Words.
  private static final int COUNT = Home.state(EngineArea.STRING_WORDS);
  private static final int SOURCE = COUNT + 8;
  private static final int DESTINATION = COUNT + 16;
  private static final int HOST_SOURCE = COUNT + 24;
  private static final int HOST_DESTINATION = COUNT + 32;

  private Strings() {}

  /** Writes {@code i}; false if it is none of ours. */
  static boolean write(BlockWriter w, Instruction i) {
    if (!w.is64() || i.addressSize != 8) {
      return false;
    }
    boolean source;
    boolean destination;
    switch (i.op) {
      case MOVS, CMPS -> {
        source = true;
        destination = true;
      }
      case STOS, SCAS -> {
        source = false;
        destination = true;
      }
      case LODS -> {
        if (i.repeat != 0) {
          return false;
        }
        source = true;
        destination = false;
      }
      default -> {
        return false;
      }
    }
    if (source && i.segment >= CpuState.FS) {
      return false;
    }
    w.clobberFlags();
    w.a.testStoreImmediate(4, Home.BASE, Home.state(EngineArea.SYSTEM_FLAGS), DF);
    w.interpretIf(Assembler.NE);
    int size = size(i);
    if (i.repeat == 0) {
      once(w, i, size);
    } else {
      repeat(w, i, size, source, destination);
    }
    return true;
  }

  private static int size(Instruction i) {
    int n = i.kind[0] == Instruction.GPR ? 1 : 0;
    return i.size[n];
  }

  private static void once(BlockWriter w, Instruction i, int size) {
    Assembler a = w.a;
    int accumulator = Home.of(CpuState.RAX);
    switch (i.op) {
      case MOVS -> {
        probe(w, RSI, size, false);
        a.load(size, Home.V, Home.A, 0);
        a.store(8, Home.BASE, SOURCE, Home.V);
        probe(w, RDI, size, true);
        a.load(8, Home.V, Home.BASE, SOURCE);
        a.store(size, Home.A, 0, Home.V);
        step(a, RSI, size);
        step(a, RDI, size);
      }
      case STOS -> {
        probe(w, RDI, size, true);
        a.store(size, Home.A, 0, accumulator);
        step(a, RDI, size);
      }
      case LODS -> {
        probe(w, RSI, size, false);
        a.load(size, accumulator, Home.A, 0);
        step(a, RSI, size);
      }
      case CMPS -> {
        probe(w, RDI, size, false);
        a.load(size, Home.V, Home.A, 0);
        a.store(8, Home.BASE, DESTINATION, Home.V);
        probe(w, RSI, size, false);
        a.load(size, Home.A, Home.A, 0);
        step(a, RSI, size);
        step(a, RDI, size);
        compare(a, size, Home.A, Home.BASE, DESTINATION);
        w.flagsWritten();
      }
      default -> {
        probe(w, RDI, size, false);
        step(a, RDI, size);
        compare(a, size, accumulator, Home.A, 0);
        w.flagsWritten();
      }
    }
  }

  private static void compare(Assembler a, int size, int register, int base, int displacement) {
    a.memory(0, size, size == 1 ? 0x3a : 0x3b, register, base, NONE, 0, displacement);
  }

  private static void probe(BlockWriter w, int register, int size, boolean write) {
    w.a.mov(8, Home.A, register);
    Memory.probe(w, size, write);
  }

  private static void step(Assembler a, int register, int size) {
    a.lea(8, register, register, NONE, 0, size);
  }

  private static void repeat(
      BlockWriter w, Instruction i, int size, boolean source, boolean destination) {
    Assembler a = w.a;
    int shift = Integer.numberOfTrailingZeros(size);
    boolean compares = i.op == Op.CMPS || i.op == Op.SCAS;
    a.test(8, RCX, RCX);
    final int none = a.jumpForward(Assembler.E);
    int top = a.size();
    if (source) {
      probe(w, RSI, 1, false);
      a.store(8, Home.BASE, HOST_SOURCE, Home.A);
    }
    if (destination) {
      probe(w, RDI, 1, !compares);
      a.store(8, Home.BASE, HOST_DESTINATION, Home.A);
    }
    // V: elements that lie in the page or pages.
    restOfPage(a, Home.V, RDI);
    if (source) {
      restOfPage(a, Home.A, RSI);
      a.alu(Assembler.CMP, 4, Home.A, Home.V);
      a.registers(0, 4, 0x0f42, Home.V, Home.A); // CMOVB
    }
    if (shift != 0) {
      a.shift(Assembler.SHR, 4, Home.V, shift);
      w.interpretIf(Assembler.E);
    }
    a.alu(Assembler.CMP, 8, RCX, Home.V);
    a.registers(0, 8, 0x0f42, Home.V, RCX); // CMOVB
    a.store(8, Home.BASE, COUNT, RCX);
    a.mov(4, RCX, Home.V);
    if (source) {
      a.store(8, Home.BASE, SOURCE, RSI);
      a.load(8, RSI, Home.BASE, HOST_SOURCE);
    }
    a.store(8, Home.BASE, DESTINATION, RDI);
    a.load(8, RDI, Home.BASE, HOST_DESTINATION);
    if (!source) {
      a.mov(8, RAX, Home.of(CpuState.RAX));
    }
    host(a, i, size);
    if (compares) {
      a.lahf();
      a.setcc(Assembler.O, RAX);
      a.store(2, Home.BASE, Home.state(EngineArea.FLAGS), RAX);
      a.alu(Assembler.SUB, 4, Home.V, RCX);
    }
    if (source) {
      a.load(8, RSI, Home.BASE, SOURCE);
      a.lea(8, RSI, RSI, Home.V, shift, 0);
    }
    a.load(8, RDI, Home.BASE, DESTINATION);
    a.lea(8, RDI, RDI, Home.V, shift, 0);
    a.load(8, RCX, Home.BASE, COUNT);
    a.alu(Assembler.SUB, 8, RCX, Home.V);
    final int done = a.jumpForward(Assembler.E);
    int ended = 0;
    if (compares) {
      a.testStoreImmediate(1, Home.BASE, Home.state(EngineArea.FLAGS) + 1, 0x40);
      ended = a.jumpForward(i.repeat == 0xf3 ? Assembler.E : Assembler.NE);
    }
    a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, Home.state(CpuState.ATTENTION), 0);
    a.bindTo(a.jumpForward(Assembler.E), top);
    w.interpret();
    a.bind(none);
    a.bind(done);
    if (compares) {
      a.bind(ended);
    }
  }

  /** Bytes from the address in {@code register} to its page's end. */
  private static void restOfPage(Assembler a, int to, int register) {
    a.mov(4, to, register);
    a.aluImmediate(Assembler.OR, 4, to, -4096);
    a.extended(0, 4, 0xf7, 3, to); // NEG
  }

  private static void host(Assembler a, Instruction i, int size) {
    if (size == 2) {
      a.int8(0x66);
    }
    a.int8(i.repeat);
    if (size == 8) {
      a.int8(0x48);
    }
    a.int8(i.opcode & 0xfe | (size == 1 ? 0 : 1));
  }
}
