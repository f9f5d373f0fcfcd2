package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.interpret.EngineArea;

/**
 * Instructions on RFLAGS as a whole, in the cases that kernels have all the time: AMD64 APM volume
 * 3. Generated code runs with TF, RF and VM clear, so these need no look.
 */
final class FlagInstructions {
  private static final int TF = 0x100;
  private static final int IF = 0x200;
  private static final int DF = 0x400;
  private static final int IOPL = 0x3000;
  private static final int NT = 0x4000;
  private static final int AC = 0x4_0000;
  private static final int ID = 0x20_0000;

  /** CF PF AF ZF SF. */
  private static final int LOW_ARITHMETIC = 0xd5;

  private FlagInstructions() {}

  /** Writes {@code i}; false if it is none of ours. */
  static boolean write(BlockWriter w, Instruction i) {
    return switch (i.op) {
      case CLI -> clearInterruptFlag(w);
      case STI -> setInterruptFlag(w);
      case PUSHF -> push(w, i);
      case POPF -> pop(w, i);
      case STAC, CLAC -> alignmentCheck(w, i);
      case SAHF -> fromAh(w);
      default -> false;
    };
  }

  private static boolean user(BlockWriter w) {
    return Mode.is(w.mode, Mode.USER);
  }

  private static boolean clearInterruptFlag(BlockWriter w) {
    if (user(w)) {
      return false;
    }
    w.clobberFlags();
    change(w, Assembler.AND, ~IF);
    return true;
  }

  private static void change(BlockWriter w, int operation, int mask) {
    w.a.aluStoreImmediate(operation, 4, Home.BASE, Home.state(EngineArea.SYSTEM_FLAGS), mask);
  }

  private static void test(BlockWriter w, int mask) {
    w.a.testStoreImmediate(4, Home.BASE, Home.state(EngineArea.SYSTEM_FLAGS), mask);
  }

  /** What becomes deliverable with IF is for Java to deliver. */
  private static void leaveIfInterruptWaits(BlockWriter w) {
    w.a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, Home.state(EngineArea.INTERRUPT_WAITS), 0);
    w.interpretIf(Assembler.NE);
  }

  /** The same for the flags in V, which may have IF clear. */
  static void leaveIfInterruptWaitsFor(BlockWriter w) {
    Assembler a = w.a;
    a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, Home.state(EngineArea.INTERRUPT_WAITS), 0);
    int none = a.jumpForward(Assembler.E);
    a.testImmediate(4, Home.V, IF);
    w.interpretIf(Assembler.NE);
    a.bind(none);
  }

  /** Interrupts stay off for one more instruction, which must be in the same block. */
  private static boolean setInterruptFlag(BlockWriter w) {
    if (user(w) || w.last) {
      return false;
    }
    w.clobberFlags();
    test(w, IF);
    // Already set: no shadow.
    w.interpretIf(Assembler.NE);
    leaveIfInterruptWaits(w);
    change(w, Assembler.OR, IF);
    w.shadowNext();
    return true;
  }

  /** All of RFLAGS into a register other than A. */
  static void load(BlockWriter w, int to) {
    Assembler a = w.a;
    int flags = Home.state(EngineArea.FLAGS);
    a.memory(0, 4 | Assembler.BYTE_RM, 0x0fb6, to, Home.BASE, NONE, 0, flags);
    a.shift(Assembler.SHL, 4, to, 11);
    a.memory(0, 4 | Assembler.BYTE_RM, 0x0fb6, Home.A, Home.BASE, NONE, 0, flags + 1);
    a.alu(Assembler.OR, 4, to, Home.A);
    a.aluLoad(Assembler.OR, 4, to, Home.BASE, NONE, Home.state(EngineArea.SYSTEM_FLAGS));
  }

  /** Stores the arithmetic flags that are in V as in RFLAGS; A and V are lost. */
  static void storeArithmetic(BlockWriter w) {
    Assembler a = w.a;
    a.mov(4, Home.A, Home.V);
    a.aluImmediate(Assembler.AND, 4, Home.A, LOW_ARITHMETIC);
    a.aluImmediate(Assembler.OR, 4, Home.A, 2);
    a.shift(Assembler.SHL, 4, Home.A, 8);
    a.shift(Assembler.SHR, 4, Home.V, 11);
    a.aluImmediate(Assembler.AND, 4, Home.V, 1);
    a.alu(Assembler.OR, 4, Home.A, Home.V);
    a.store(2, Home.BASE, Home.state(EngineArea.FLAGS), Home.A);
  }

  private static boolean push(BlockWriter w, Instruction i) {
    int size = w.is64() ? 8 : 4;
    if (i.operandSize != size) {
      return false;
    }
    Assembler a = w.a;
    a.lea(size, Home.A, Home.STACK, NONE, 0, -size);
    Memory.probeStack(w, size, true);
    a.store(8, Home.BASE, Rewriting.SCRATCH, Home.A);
    load(w, Home.V);
    a.load(8, Home.A, Home.BASE, Rewriting.SCRATCH);
    a.store(size, Home.A, 0, Home.V);
    a.lea(size, Home.STACK, Home.STACK, NONE, 0, -size);
    return true;
  }

  /** Changes of other flags than IF, DF and the arithmetic ones are the interpreter's. */
  private static boolean pop(BlockWriter w, Instruction i) {
    int size = w.is64() ? 8 : 4;
    if (i.operandSize != size) {
      return false;
    }
    Assembler a = w.a;
    int rare = TF | NT | AC | ID;
    int taken = DF;
    if (user(w)) {
      w.clobberFlags();
      test(w, IOPL);
      w.interpretIf(Assembler.NE);
    } else {
      rare |= IOPL;
      taken |= IF;
    }
    a.mov(size, Home.A, Home.STACK);
    Memory.probeStack(w, size, false);
    a.load(size, Home.V, Home.A, 0);
    a.mov(4, Home.A, Home.V);
    a.aluLoad(Assembler.XOR, 4, Home.A, Home.BASE, NONE, Home.state(EngineArea.SYSTEM_FLAGS));
    a.testImmediate(4, Home.A, rare);
    w.interpretIf(Assembler.NE);
    if (!user(w)) {
      leaveIfInterruptWaitsFor(w);
    }
    a.aluImmediate(Assembler.AND, 4, Home.A, taken);
    a.memory(0, 4, 0x31, Home.A, Home.BASE, NONE, 0, Home.state(EngineArea.SYSTEM_FLAGS)); // XOR
    storeArithmetic(w);
    a.lea(size, Home.STACK, Home.STACK, NONE, 0, size);
    return true;
  }

  /** True if {@code i} changes the mode, so that nothing follows it in its block. */
  static boolean ends(Instruction i, int mode) {
    return switch (i.op) {
      case STAC -> !Mode.is(mode, Mode.USER) && !Mode.is(mode, Mode.AC);
      case CLAC -> Mode.is(mode, Mode.AC);
      default -> false;
    };
  }

  private static boolean alignmentCheck(BlockWriter w, Instruction i) {
    if (user(w)) {
      return false;
    }
    boolean set = i.op == dev.bothy.x86.decode.Op.STAC;
    w.clobberFlags();
    change(w, set ? Assembler.OR : Assembler.AND, set ? AC : ~AC);
    if (ends(i, w.mode)) {
      w.takeKey(set ? EngineArea.KEY_AC : EngineArea.KEY_KERNEL);
      w.addressToV(w.offset + i.length);
      w.jumpToV();
    }
    return true;
  }

  private static boolean fromAh(BlockWriter w) {
    // OF stays.
    w.needFlags();
    w.get(Home.A, CpuState.RAX);
    w.a.sahf();
    w.flagsWritten();
    return true;
  }
}
