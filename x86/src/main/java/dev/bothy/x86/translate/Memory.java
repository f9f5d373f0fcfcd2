package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuFeature;
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
    offset(w, i, nextOffset, 0);
  }

  private static void offset(BlockWriter w, Instruction i, int nextOffset, int before) {
    Assembler a = w.a;
    int size = i.addressSize;
    long displacement = i.displacement - before;
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
    linear(w, i, nextOffset, 0);
  }

  /** The linear address of the byte that is {@code before} bytes before the operand. */
  private static void linear(BlockWriter w, Instruction i, int nextOffset, int before) {
    offset(w, i, nextOffset, before);
    if (w.is64() && addsToRegisters(i)) {
      // Processors want the offset canonical, too, even where the sum is.
      w.a.mov(8, Home.V, Home.A);
      w.a.shift(Assembler.SAR, 8, Home.V, Mode.is(w.mode, Mode.FIVE_LEVELS) ? 56 : 47);
      w.a.aluImmediate(Assembler.ADD, 4, Home.V, 1);
      w.a.aluImmediate(Assembler.CMP, 4, Home.V, 1);
      w.interpretIf(Assembler.A);
    }
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

  /** True if the operand is in a segment with a base, at an offset that may be anything. */
  static boolean addsToRegisters(Instruction i) {
    return i.segment >= CpuState.FS
        && i.addressSize == 8
        && (i.base >= 0 || i.index >= 0 || i.displacement != (int) i.displacement);
  }

  /** {@link Home#A}: linear address in, host address out. V is lost; leaves on a miss. */
  static void probe(BlockWriter w, int size, boolean write) {
    Assembler a = w.a;
    startProbe(w, size, write);
    w.leaveIf(Assembler.A, write ? Leave.MISS_WRITE : Leave.MISS_READ);
    a.aluLoad(Assembler.ADD, 8, Home.A, Home.V, NONE, EngineArea.TLB_HOST);
  }

  /**
   * The same for an access that need not fault where the page is missing: that is the interpreter's
   * to find out.
   */
  static void probeOrInterpret(BlockWriter w, int size, boolean write) {
    startProbe(w, size, write);
    w.interpretIf(Assembler.A);
    w.a.aluLoad(Assembler.ADD, 8, Home.A, Home.V, NONE, EngineArea.TLB_HOST);
  }

  /** Leaves the condition "above" if the {@code size} bytes are not in the TLB. */
  private static void startProbe(BlockWriter w, int size, boolean write) {
    w.clobberFlags();
    w.count(Event.LOOK_UP);
    entry(w.a, table(w));
    w.a.aluLoad(Assembler.XOR, 8, Home.A, Home.V, NONE, tag(write));
    w.a.aluImmediate(Assembler.CMP, 8, Home.A, 4096 - size);
  }

  static int tag(boolean write) {
    return write ? EngineArea.TLB_WRITE : EngineArea.TLB_READ;
  }

  /** V: the TLB entry for the linear address in A, in the table at {@code table}. */
  static void entry(Assembler a, int table) {
    if (HostFeatures.has(CpuFeature.BMI2)) {
      a.rotateInto(Home.V, Home.A, 7);
    } else {
      a.mov(8, Home.V, Home.A);
      a.shift(Assembler.SHR, 8, Home.V, 7);
    }
    a.aluImmediate(Assembler.AND, 4, Home.V, (EngineArea.TLB_ENTRIES - 1) * EngineArea.TLB_ENTRY);
    a.aluLoad(Assembler.ADD, 8, Home.V, Home.BASE, NONE, Home.state(table));
  }

  /**
   * The same as {@link #probe} for an access by the stack pointer, which likely goes to the page
   * that the last one went to.
   */
  static void probeStack(BlockWriter w, int size, boolean write) {
    startStackProbe(w, size);
    w.probeStackElsewhereIf(Assembler.A, size, write);
    w.a.aluLoad(Assembler.ADD, 8, Home.A, Home.BASE, NONE, stackCopy(w.mode) + 8);
    w.bindBack();
  }

  private static void startStackProbe(BlockWriter w, int size) {
    w.clobberFlags();
    w.count(Event.STACK_LOOK_UP);
    w.a.aluLoad(Assembler.XOR, 8, Home.A, Home.BASE, NONE, stackCopy(w.mode));
    w.a.aluImmediate(Assembler.CMP, 8, Home.A, 4096 - size);
  }

  /**
   * Host address of what a push, pop or the like accesses, {@code by} bytes from the stack pointer.
   *
   * @return to be added to {@link Home#A}
   */
  static int stack(BlockWriter w, int size, int by, boolean write) {
    Spans spans = w.spans;
    int k = w.index;
    if (spans.follows(k, true)) {
      w.loadSpan(spans.word(k, true));
      return spans.ahead(k, true);
    }
    boolean leads = spans.leads(k, true);
    int ahead = leads ? spans.ahead(k, true) : 0;
    if (by == ahead) {
      w.a.mov(w.is64() ? 8 : 4, Home.A, Home.STACK);
    } else {
      w.a.lea(w.is64() ? 8 : 4, Home.A, Home.STACK, NONE, 0, by - ahead);
    }
    if (leads) {
      leadOnStack(w, spans.length(k, true), spans.written(k, true), spans.word(k, true));
    } else {
      probeStack(w, size, write);
    }
    return ahead;
  }

  private static void leadOnStack(BlockWriter w, int length, boolean write, int word) {
    startStackProbe(w, length);
    w.spanOnStackElsewhereIf(Assembler.A, length, write);
    w.a.aluLoad(Assembler.ADD, 8, Home.A, Home.BASE, NONE, stackCopy(w.mode) + 8);
    w.bindBack();
    w.scratch.storeSpan(word);
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
   * not a multiple of {@code alignment}. For instructions that have no part in {@link Spans}.
   */
  static void operand(
      BlockWriter w, Instruction i, int nextOffset, int size, boolean write, int alignment) {
    linear(w, i, nextOffset);
    align(w, 0, alignment);
    if (isOnStack(w, i)) {
      probeStack(w, size, write);
    } else {
      probe(w, size, write);
    }
  }

  /**
   * The same for an instruction that {@link Spans#takesPart}.
   *
   * @return to be added to {@link Home#A}
   */
  static int place(BlockWriter w, Instruction i, int size, boolean write, int alignment) {
    Spans spans = w.spans;
    int k = w.index;
    if (spans.follows(k, false)) {
      w.loadSpan(spans.word(k, false));
      align(w, spans.ahead(k, false), alignment);
      return spans.ahead(k, false);
    }
    if (!spans.leads(k, false)) {
      operand(w, i, w.offset + i.length, size, write, alignment);
      return 0;
    }
    int ahead = spans.ahead(k, false);
    linear(w, i, w.offset + i.length, ahead);
    align(w, ahead, alignment);
    int length = spans.length(k, false);
    boolean written = spans.written(k, false);
    int word = spans.word(k, false);
    if (isOnStack(w, i)) {
      leadOnStack(w, length, written, word);
    } else {
      startProbe(w, length, written);
      w.spanElsewhereIf(Assembler.A, length, written);
      w.a.aluLoad(Assembler.ADD, 8, Home.A, Home.V, NONE, EngineArea.TLB_HOST);
      w.scratch.storeSpan(word);
    }
    return ahead;
  }

  private static boolean isOnStack(BlockWriter w, Instruction i) {
    return i.base == CpuState.RSP
        && i.index < 0
        && i.segment < CpuState.FS
        && i.addressSize == (w.is64() ? 8 : 4);
  }

  /** Leaves to the interpreter unless A + {@code ahead} is a multiple of {@code alignment}. */
  private static void align(BlockWriter w, int ahead, int alignment) {
    if (alignment == 1) {
      return;
    }
    w.clobberFlags();
    if ((ahead & alignment - 1) == 0) {
      w.a.testImmediate(1, Home.A, alignment - 1);
    } else {
      w.a.lea(4, Home.V, Home.A, NONE, 0, ahead);
      w.a.testImmediate(1, Home.V, alignment - 1);
    }
    w.interpretIf(Assembler.NE);
  }
}
