package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.interpret.EngineArea;

/**
 * Code for memory operands: effective address, look into the TLB, host address. Flags must have
 * been saved before; they are lost.
 */
final class Memory {
  private Memory() {}

  /** True if the memory operand can be translated in this mode. */
  static boolean fits(BlockWriter w, Instruction i) {
    if (i.addressSize == 2) {
      return false;
    }
    if (w.is64()) {
      return true;
    }
    // CS may not be written, nor always read.
    return i.segment != CpuState.CS
        && (i.segment < CpuState.FS || Mode.is(w.mode, Mode.FLAT_FS_GS));
  }

  /** The operand's offset into {@link Home#A}, without its segment; for LEA. Keeps flags. */
  static void offset(BlockWriter w, Instruction i, int nextOffset) {
    Assembler a = w.a;
    int size = i.addressSize;
    long displacement = i.displacement;
    if (i.base == Instruction.RIP_BASE) {
      displacement += nextOffset;
      a.load(8, Home.A, Home.BASE, Home.state(EngineArea.PAGE_BASE));
      if (displacement == (int) displacement) {
        a.lea(size, Home.A, Home.A, NONE, 0, (int) displacement);
      } else {
        a.constant(Home.V, displacement);
        a.lea(size, Home.A, Home.A, Home.V, 0, 0);
      }
      return;
    }
    if (displacement != (int) displacement && (size == 8 || i.base >= 0 || i.index >= 0)) {
      // An absolute address of 8 bytes.
      a.constant(Home.A, displacement);
      return;
    }
    int base = i.base < 0 ? NONE : Home.of(i.base);
    int index = i.index < 0 ? NONE : Home.of(i.index);
    if (i.base < 0 && i.index < 0) {
      a.constant(Home.A, size == 8 ? displacement : displacement & 0xffff_ffffL);
      return;
    }
    if (i.base >= 0 && base == Home.MEMORY) {
      a.load(8, Home.A, Home.BASE, Home.displacement(i.base));
      base = Home.A;
    }
    if (i.index >= 0 && index == Home.MEMORY) {
      a.load(8, Home.V, Home.BASE, Home.displacement(i.index));
      index = Home.V;
    }
    if (index == Assembler.RSP) {
      throw new IllegalStateException();
    }
    a.lea(size, Home.A, base, index, i.scale, (int) displacement);
  }

  /** The operand's linear address into {@link Home#A}. */
  static void linear(BlockWriter w, Instruction i, int nextOffset) {
    offset(w, i, nextOffset);
    if (i.segment >= CpuState.FS) {
      w.a.aluLoad(
          Assembler.ADD,
          w.is64() ? 8 : 4,
          Home.A,
          Home.BASE,
          NONE,
          Home.state(CpuState.segment(i.segment, CpuState.SEGMENT_BASE)));
    }
  }

  /** {@link Home#A}: linear address in, host address out. V is lost; leaves on a miss. */
  static void probe(BlockWriter w, int size, boolean write) {
    probe(w, size, write, SharedProbes.NONE);
  }

  /**
   * The same.
   *
   * @param word where accesses like this one keep the TLB entry they found, as in {@link
   *     SharedProbes#wordOf}
   */
  private static void probe(BlockWriter w, int size, boolean write, int word) {
    Assembler a = w.a;
    w.clobberFlags();
    int tag = write ? EngineArea.TLB_WRITE : EngineArea.TLB_READ;
    int shared = Home.state(EngineArea.SHARED_ENTRIES) + 8 * word;
    if (word >= 0 && w.hasShared(word)) {
      w.count(Event.SHARED_LOOK_UP);
      a.load(8, Home.V, Home.BASE, shared);
      a.aluLoad(Assembler.XOR, 8, Home.A, Home.V, NONE, tag);
      a.aluImmediate(Assembler.CMP, 8, Home.A, 4096 - size);
      w.probeElsewhereIf(Assembler.A, size, write, shared);
    } else {
      w.count(Event.LOOK_UP);
      entry(a, table(w));
      if (word >= 0) {
        a.store(8, Home.BASE, shared, Home.V);
        w.shares(word);
      }
      a.aluLoad(Assembler.XOR, 8, Home.A, Home.V, NONE, tag);
      a.aluImmediate(Assembler.CMP, 8, Home.A, 4096 - size);
      w.leaveIf(Assembler.A, write ? Leave.MISS_WRITE : Leave.MISS_READ);
    }
    a.aluLoad(Assembler.ADD, 8, Home.A, Home.V, NONE, EngineArea.TLB_HOST);
  }

  /** V: the TLB entry for the linear address in A, in the table at {@code table}. */
  static void entry(Assembler a, int table) {
    a.mov(8, Home.V, Home.A);
    a.shift(Assembler.SHR, 8, Home.V, 7);
    a.aluImmediate(Assembler.AND, 4, Home.V, (EngineArea.TLB_ENTRIES - 1) * EngineArea.TLB_ENTRY);
    a.aluLoad(Assembler.ADD, 8, Home.V, Home.BASE, NONE, Home.state(table));
  }

  /**
   * The same as {@link #probe} for an access by the stack pointer, which likely goes to the page
   * that the last one went to.
   */
  static void probeStack(BlockWriter w, int size, boolean write) {
    Assembler a = w.a;
    w.clobberFlags();
    w.count(Event.STACK_LOOK_UP);
    int copy = stackCopy(w.mode);
    a.aluLoad(Assembler.XOR, 8, Home.A, Home.BASE, NONE, copy);
    a.aluImmediate(Assembler.CMP, 8, Home.A, 4096 - size);
    w.probeStackElsewhereIf(Assembler.A, size, write);
    a.aluLoad(Assembler.ADD, 8, Home.A, Home.BASE, NONE, copy + 8);
    w.bindBack();
  }

  static int stackCopy(int mode) {
    return Home.state(Mode.is(mode, Mode.USER) ? EngineArea.STACK_USER : EngineArea.STACK_KERNEL);
  }

  static int table(BlockWriter w) {
    return Mode.is(w.mode, Mode.USER)
        ? EngineArea.TLB_USER
        : Mode.is(w.mode, Mode.AC) ? EngineArea.TLB_AC : EngineArea.TLB_KERNEL;
  }

  /**
   * Host address of the memory operand into {@link Home#A}; leaves to the interpreter where it is
   * not a multiple of {@code alignment}.
   */
  static void operand(
      BlockWriter w, Instruction i, int nextOffset, int size, boolean write, int alignment) {
    linear(w, i, nextOffset);
    if (alignment > 1) {
      w.a.testImmediate(1, Home.A, alignment - 1);
      w.interpretIf(Assembler.NE);
    }
    if (i.base == CpuState.RSP
        && i.index < 0
        && i.segment < CpuState.FS
        && i.addressSize == (w.is64() ? 8 : 4)) {
      probeStack(w, size, write);
    } else {
      probe(w, size, write, w.probes.wordOf(w.index));
    }
  }
}
