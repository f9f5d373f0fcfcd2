package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.interpret.EngineArea;

/**
 * The ways between user code and the kernel in 64-bit mode: AMD64 APM volume 3. What is unusual
 * about one is the interpreter's: flags that change the engine's doing, descriptors that it has not
 * seen last.
 */
final class SystemCalls {
  private static final int TF = 0x100;
  private static final int IF = 0x200;
  private static final int DF = 0x400;
  private static final int IOPL = 0x3000;
  private static final int NT = 0x4000;
  private static final int AC = 0x4_0000;

  /** VIF, VIP, ID. */
  private static final int HIGH = 0x38_0000;

  /** What the engine keeps of RFLAGS apart from the arithmetic flags, RF and VM left out. */
  private static final int SYSTEM = 0x3c_7700;

  // Attributes of the segments that SYSCALL and SYSRET load.
  private static final int KERNEL_CODE = 0xa09b;
  private static final int KERNEL_DATA = 0xc093;
  private static final int USER_CODE = 0xa0fb;

  private SystemCalls() {}

  /** Writes {@code i}; false if it is none of ours. */
  static boolean write(BlockWriter w, Instruction i) {
    if (!w.is64() || Mode.is(w.mode, Mode.AC)) {
      return false;
    }
    if (i.op == dev.bothy.x86.decode.Op.SYSCALL) {
      call(w, w.offset + i.length);
      return true;
    }
    if (Mode.is(w.mode, Mode.USER) || i.operandSize != 8) {
      return false;
    }
    if (i.op == dev.bothy.x86.decode.Op.SYSRET) {
      sysret(w);
    } else {
      interruptReturn(w);
    }
    return true;
  }

  /** True if nothing follows {@code i} in its block. */
  static boolean ends(Instruction i) {
    return switch (i.op) {
      case SYSCALL, SYSRET, IRET -> true;
      default -> false;
    };
  }

  private static int segment(int segment, int field) {
    return Home.state(CpuState.segment(segment, field));
  }

  private static void requireEnabled(BlockWriter w) {
    w.clobberFlags();
    w.a.testStoreImmediate(1, Home.BASE, Home.state(CpuState.EFER), 1);
    w.interpretIf(Assembler.E);
  }

  private static void flat(BlockWriter w, int segment, int attributes) {
    Assembler a = w.a;
    a.storeImmediate(8, Home.BASE, segment(segment, CpuState.SEGMENT_BASE), 0);
    a.storeImmediate(4, Home.BASE, segment(segment, CpuState.SEGMENT_LIMIT), -1);
    a.storeImmediate(4, Home.BASE, segment(segment, CpuState.SEGMENT_ATTRIBUTES), attributes);
  }

  private static void storeSelector(BlockWriter w, int segment) {
    w.a.store(4, Home.BASE, segment(segment, CpuState.SEGMENT_SELECTOR), Home.A);
  }

  private static void call(BlockWriter w, int next) {
    Assembler a = w.a;
    requireEnabled(w);
    a.testStoreImmediate(4, Home.BASE, Home.state(EngineArea.SYSTEM_FLAGS), AC);
    w.interpretIf(Assembler.NE);
    a.load(8, Home.V, Home.BASE, Home.state(CpuState.LSTAR));
    Branches.refuseFar(w);
    w.addressToV(next);
    w.put(CpuState.RCX, Home.V);
    FlagInstructions.load(w, Home.V);
    w.put(11, Home.V);
    a.load(4, Home.A, Home.BASE, Home.state(CpuState.SFMASK));
    a.extended(0, 4, 0xf7, 2, Home.A); // NOT
    a.alu(Assembler.AND, 4, Home.V, Home.A);
    storeFlags(w);
    a.load(4, Home.A, Home.BASE, Home.state(CpuState.STAR + 4));
    a.aluImmediate(Assembler.AND, 4, Home.A, 0xfffc);
    storeSelector(w, CpuState.CS);
    a.aluImmediate(Assembler.ADD, 4, Home.A, 8);
    a.aluImmediate(Assembler.AND, 4, Home.A, 0xffff);
    storeSelector(w, CpuState.SS);
    flat(w, CpuState.CS, KERNEL_CODE);
    flat(w, CpuState.SS, KERNEL_DATA);
    w.takeKey(EngineArea.KEY_KERNEL);
    a.load(8, Home.V, Home.BASE, Home.state(CpuState.LSTAR));
    w.jumpToV();
  }

  /** All flags from V but for RF and VM; A and V are lost. */
  private static void storeFlags(BlockWriter w) {
    Assembler a = w.a;
    a.mov(4, Home.A, Home.V);
    a.aluImmediate(Assembler.AND, 4, Home.A, SYSTEM);
    a.aluImmediate(Assembler.OR, 4, Home.A, 2);
    a.store(4, Home.BASE, Home.state(EngineArea.SYSTEM_FLAGS), Home.A);
    FlagInstructions.storeArithmetic(w);
  }

  private static void sysret(BlockWriter w) {
    Assembler a = w.a;
    requireEnabled(w);
    w.get(Home.V, CpuState.RCX);
    Branches.refuseFar(w);
    w.get(Home.V, 11);
    FlagInstructions.leaveIfInterruptWaitsFor(w);
    a.testImmediate(4, Home.V, TF | AC);
    w.interpretIf(Assembler.NE);
    storeFlags(w);
    a.memory(0, 4, 0x0fb7, Home.A, Home.BASE, NONE, 0, Home.state(CpuState.STAR + 6)); // MOVZX
    a.aluImmediate(Assembler.ADD, 4, Home.A, 8);
    a.mov(4, Home.V, Home.A);
    a.aluImmediate(Assembler.OR, 4, Home.A, 3);
    storeSelector(w, CpuState.SS);
    // The base, limit and type that SS has stay.
    a.memoryExtended(
        0,
        4,
        0x83,
        Assembler.OR,
        Home.BASE,
        NONE,
        0,
        segment(CpuState.SS, CpuState.SEGMENT_ATTRIBUTES));
    a.int8(0x60);
    a.lea(4, Home.A, Home.V, NONE, 0, 8);
    a.aluImmediate(Assembler.OR, 4, Home.A, 3);
    a.aluImmediate(Assembler.AND, 4, Home.A, 0xffff);
    storeSelector(w, CpuState.CS);
    flat(w, CpuState.CS, USER_CODE);
    w.takeKey(EngineArea.KEY_USER);
    w.get(Home.V, CpuState.RCX);
    w.jumpToV();
  }

  private static void interruptReturn(BlockWriter w) {
    Assembler a = w.a;
    w.clobberFlags();
    a.testStoreImmediate(4, Home.BASE, Home.state(EngineArea.SYSTEM_FLAGS), NT);
    w.interpretIf(Assembler.NE);
    a.testStoreImmediate(
        1, Home.BASE, Home.state(EngineArea.INTERRUPT_WAITS), EngineArea.NMIS_BLOCKED);
    w.interpretIf(Assembler.NE);
    a.mov(8, Home.A, Home.STACK);
    Memory.probe(w, 40, false);
    a.store(8, Home.BASE, Home.state(EngineArea.RETURN_FRAME), Home.A);
    a.memory(0, 4, 0x0fb7, Home.V, Home.A, NONE, 0, 8);
    compare(w, EngineArea.RETURN_KERNEL + EngineArea.RETURN_SELECTOR);
    int toUser = a.jumpForward(Assembler.NE);
    interruptReturn(w, EngineArea.RETURN_KERNEL, false);
    a.bind(toUser);
    compare(w, EngineArea.RETURN_USER + EngineArea.RETURN_SELECTOR);
    w.interpretIf(Assembler.NE);
    interruptReturn(w, EngineArea.RETURN_USER, true);
  }

  private static void compare(BlockWriter w, int word) {
    w.a.aluLoad(Assembler.CMP, 8, Home.V, Home.BASE, NONE, Home.state(word));
  }

  /** The descriptor in memory must be what it was when the interpreter looked at it. */
  private static void checkDescriptor(BlockWriter w, int known) {
    Assembler a = w.a;
    a.memory(0, 4, 0x0fb7, Home.A, Home.BASE, NONE, 0, Home.state(CpuState.GDTR_LIMIT));
    a.aluLoad(
        Assembler.CMP, 8, Home.A, Home.BASE, NONE, Home.state(known + EngineArea.RETURN_LAST_BYTE));
    w.interpretIf(Assembler.B);
    a.load(8, Home.A, Home.BASE, Home.state(CpuState.GDTR_BASE));
    a.aluLoad(
        Assembler.ADD, 8, Home.A, Home.BASE, NONE, Home.state(known + EngineArea.RETURN_OFFSET));
    Memory.probe(w, 8, false);
    a.load(8, Home.V, Home.A, 0);
    compare(w, known + EngineArea.RETURN_DESCRIPTOR);
    w.interpretIf(Assembler.NE);
  }

  private static void frame(BlockWriter w) {
    w.a.load(8, Home.A, Home.BASE, Home.state(EngineArea.RETURN_FRAME));
  }

  private static void interruptReturn(BlockWriter w, int known, boolean user) {
    Assembler a = w.a;
    checkDescriptor(w, known);
    frame(w);
    a.memory(0, 4, 0x0fb7, Home.V, Home.A, NONE, 0, 32);
    int nullStack = 0;
    if (!user) {
      a.test(4, Home.V, Home.V);
      nullStack = a.jumpForward(Assembler.E);
    }
    int stack = known + EngineArea.RETURN_STACK;
    compare(w, stack + EngineArea.RETURN_SELECTOR);
    w.interpretIf(Assembler.NE);
    checkDescriptor(w, stack);
    if (!user) {
      a.bind(nullStack);
    }
    frame(w);
    a.load(8, Home.V, Home.A, 0);
    Branches.refuseFar(w);
    if (user) {
      leaveIfSegmentsDrop(w);
    }
    frame(w);
    a.load(4, Home.V, Home.A, 16);
    a.mov(4, Home.A, Home.V);
    a.aluLoad(Assembler.XOR, 4, Home.A, Home.BASE, NONE, Home.state(EngineArea.SYSTEM_FLAGS));
    a.testImmediate(4, Home.A, TF | IOPL | NT | AC | HIGH);
    w.interpretIf(Assembler.NE);
    FlagInstructions.leaveIfInterruptWaitsFor(w);
    // Nothing fails from here on. RF is for breakpoints, and with them no generated code runs.
    a.aluImmediate(Assembler.AND, 4, Home.A, IF | DF);
    a.memory(0, 4, 0x31, Home.A, Home.BASE, NONE, 0, Home.state(EngineArea.SYSTEM_FLAGS));
    FlagInstructions.storeArithmetic(w);
    copySegment(w, known, CpuState.CS);
    if (user) {
      copySegment(w, stack, CpuState.SS);
      w.takeKey(EngineArea.KEY_USER);
      frame(w);
    } else {
      frame(w);
      a.memoryExtended(0, 2, 0x83, Assembler.CMP, Home.A, NONE, 0, 32);
      a.int8(0);
      int some = a.jumpForward(Assembler.NE);
      for (int at = 0; at < CpuState.SEGMENT_SIZE; at += 8) {
        a.storeImmediate(8, Home.BASE, segment(CpuState.SS, at), 0);
      }
      int done = a.jumpForward();
      a.bind(some);
      copySegment(w, stack, CpuState.SS);
      frame(w);
      a.bind(done);
    }
    a.load(8, Home.STACK, Home.A, 24);
    a.load(8, Home.V, Home.A, 0);
    w.jumpToV();
  }

  private static void copySegment(BlockWriter w, int known, int segment) {
    for (int at = 0; at < CpuState.SEGMENT_SIZE; at += 8) {
      w.a.load(8, Home.A, Home.BASE, Home.state(known + EngineArea.RETURN_SEGMENT + at));
      w.a.store(8, Home.BASE, segment(segment, at), Home.A);
    }
  }

  /** User code must not keep segments of an inner level: those that it would are rare. */
  private static void leaveIfSegmentsDrop(BlockWriter w) {
    Assembler a = w.a;
    for (int segment : new int[] {CpuState.ES, CpuState.DS, CpuState.FS, CpuState.GS}) {
      a.memory(
          0,
          4 | Assembler.BYTE_RM,
          0x0fb6,
          Home.A,
          Home.BASE,
          NONE,
          0,
          segment(segment, CpuState.SEGMENT_ATTRIBUTES));
      // Present, and a level below 3.
      a.aluImmediate(Assembler.AND, 4, Home.A, 0xe0);
      a.aluImmediate(Assembler.SUB, 4, Home.A, 0x80);
      a.aluImmediate(Assembler.CMP, 4, Home.A, 0x60);
      w.interpretIf(Assembler.B);
    }
  }
}
