package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.interpret.EngineArea;

/** The code that every block shares: entry, exits, loading of vector registers. */
final class Stubs {
  private static final int[] SAVED_BY_CALLEE = {
    Assembler.RBX, Assembler.RBP, Assembler.R12, Assembler.R13, Assembler.R14, Assembler.R15
  };

  private static final int MXCSR_MASKS = 0x1f80;

  /** {@code enter(base, code)}: the host's calling convention. Returns why the code left. */
  final long enter;

  /**
   * Ends of blocks by the constants of {@link Leave}. Misses of the TLB are called: they return to
   * where the access starts again if the page was found.
   */
  final long[] leave = new long[Leave.KINDS];

  private final long[] leaveKnown = new long[2];

  final long loadVectors;

  /**
   * The same for all of the YMM registers. CF is set, and nothing done, if the guest has not
   * enabled AVX, or the host has none.
   */
  final long loadUppers;

  final long loadX87;

  /**
   * Loads registers as the index says, as in {@code EngineArea.LOADED}, and goes to the host
   * address in the target word.
   */
  final long[] resume = new long[8];

  final StateAreas.Stubs stateAreas;

  /** See {@link AddressSpaces}. */
  final long switchSpace;

  final long forgetPage;

  /** CPUID, with CF set if Java has not yet answered the same. A and V are lost. */
  final long cpuid;

  /** Reads the host's monotonic clock in nanoseconds into {@link Home#A}; V is lost. */
  final long readClock;

  /**
   * Writes the stubs into {@code a}, which was started where they will run.
   *
   * @param model what it has not, costs nothing
   * @param clockGettime host address of that function of the C library
   */
  Stubs(Assembler a, CpuModel model, long clockGettime) {
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
    storeVectors(a);
    // The guest's but for the masks: those are in the state.
    a.memoryExtended(0, 4, 0x0fae, 3, Home.BASE, NONE, 0, Home.state(EngineArea.SCRATCH));
    a.load(4, Assembler.RCX, Home.BASE, Home.state(EngineArea.SCRATCH));
    a.aluImmediate(Assembler.AND, 4, Assembler.RCX, ~MXCSR_MASKS);
    a.aluStoreImmediate(Assembler.AND, 4, Home.BASE, Home.state(CpuState.MXCSR), MXCSR_MASKS);
    a.memory(0, 4, 0x09, Assembler.RCX, Home.BASE, NONE, 0, Home.state(CpuState.MXCSR));
    a.memoryExtended(0, 4, 0x0fae, 2, Home.BASE, NONE, 0, Home.state(EngineArea.HOST_MXCSR));
    a.bind(noVectors);
    a.testStoreImmediate(4, Home.BASE, Home.state(EngineArea.LOADED), 2);
    int noX87 = a.jumpForward(Assembler.E);
    storeX87(a);
    a.bind(noX87);
    a.storeImmediate(4, Home.BASE, Home.state(EngineArea.LOADED), 0);
    for (int i = SAVED_BY_CALLEE.length - 1; i >= 0; i--) {
      a.pop(SAVED_BY_CALLEE[i]);
    }
    a.ret();

    a.align(16);
    final long walkForFetch = a.here();
    Refill.writeFetch(a, model);
    final long[] walk = new long[2];
    for (int write = 0; write < 2; write++) {
      a.align(16);
      walk[write] = a.here();
      Refill.writeData(a, model, write != 0);
    }

    for (int kind = 0; kind < Leave.KINDS; kind++) {
      a.align(16);
      leave[kind] = a.here();
      switch (kind) {
        case Leave.MISS_READ, Leave.MISS_WRITE -> {
          boolean write = kind == Leave.MISS_WRITE;
          leaveKnown[write ? 1 : 0] = Refill.writeMiss(a, write, walk[write ? 1 : 0]);
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

    writeProbes(a);

    a.align(16);
    findJump = a.here();
    JumpCache.writeFind(a, walkForFetch);
    a.align(16);
    fetchPage = a.here();
    JumpCache.writePage(a, walkForFetch);
    a.align(16);
    jumpElsewhere = a.here();
    int known = jumpCacheFind(a);
    a.jump(leave[Leave.JUMP]);
    a.bind(known);
    JumpCache.go(a);

    a.align(16);
    readClock = a.here();
    readClock(a, clockGettime);

    stateAreas = new StateAreas.Stubs(a, model);

    a.align(16);
    switchSpace = a.here();
    AddressSpaces.writeSwitch(a);
    a.align(16);
    forgetPage = a.here();
    AddressSpaces.writeForgetPage(a, model);
    a.align(16);
    cpuid = a.here();
    ProcessorIdentity.write(a);

    a.align(16);
    loadVectors = a.here();
    moveVectors(a, false);
    a.load(4, Home.A, Home.BASE, Home.state(CpuState.MXCSR));
    // All masked: whoever unmasks one has those instructions interpreted.
    a.aluImmediate(Assembler.OR, 4, Home.A, MXCSR_MASKS);
    a.store(4, Home.BASE, Home.state(EngineArea.SCRATCH), Home.A);
    a.memoryExtended(0, 4, 0x0fae, 3, Home.BASE, NONE, 0, Home.state(EngineArea.HOST_MXCSR));
    a.memoryExtended(0, 4, 0x0fae, 2, Home.BASE, NONE, 0, Home.state(EngineArea.SCRATCH));
    a.memoryExtended(0, 4, 0x81, Assembler.OR, Home.BASE, NONE, 0, Home.state(EngineArea.LOADED));
    a.int32(1);
    a.ret();

    a.align(16);
    loadUppers = a.here();
    loadUppers(a);

    a.align(16);
    loadX87 = a.here();
    loadX87(a);

    for (int loaded = 1; loaded < resume.length; loaded++) {
      a.align(16);
      resume[loaded] = a.here();
      if ((loaded & Units.UPPER) != 0) {
        a.call(loadUppers);
      } else if ((loaded & Units.VECTORS) != 0) {
        a.call(loadVectors);
      }
      if ((loaded & Units.X87) != 0) {
        a.call(loadX87);
      }
      a.jumpIndirect(Home.BASE, NONE, 0, Home.state(EngineArea.TARGET));
    }
  }

  // The x87 travels in FXSAVE's format (AMD64 APM volume 2, section 11.4.4), whose registers start
  // with the stack's top.

  private static int image(int offset) {
    return Home.state(EngineArea.X87_IMAGE) + offset;
  }

  private static final int IMAGE_STATUS = 2;
  private static final int IMAGE_TAGS = 4;
  private static final int IMAGE_POINTERS = 8;
  private static final int IMAGE_MXCSR = 24;
  private static final int IMAGE_REGISTERS = 32;
  private static final int IMAGE_VECTORS = 160;

  /** From TOP in the status word to 16 times itself. */
  static final int TOP_TO_OFFSET = 7;

  private static void loadX87(Assembler a) {
    a.memoryExtended(0, 4, 0xd9, 7, Home.BASE, NONE, 0, Home.state(EngineArea.HOST_X87_CONTROL));
    a.load(4, Home.A, Home.BASE, Home.state(CpuState.X87_CONTROL));
    a.store(2, Home.BASE, image(0), Home.A);
    a.load(4, Home.V, Home.BASE, Home.state(CpuState.X87_STATUS));
    a.store(2, Home.BASE, image(IMAGE_STATUS), Home.V);
    a.load(4, Home.A, Home.BASE, Home.state(CpuState.X87_TAGS));
    a.store(4, Home.BASE, image(IMAGE_TAGS), Home.A);
    a.storeImmediate(8, Home.BASE, image(IMAGE_POINTERS), 0);
    a.storeImmediate(8, Home.BASE, image(IMAGE_POINTERS + 8), 0);
    a.shift(Assembler.SHR, 4, Home.V, TOP_TO_OFFSET);
    for (int i = 0; i < 8; i++) {
      a.aluImmediate(Assembler.AND, 4, Home.V, 0x70);
      for (int half = 0; half < 16; half += 8) {
        int register = Home.state(CpuState.X87_REGISTERS) + half;
        a.memory(0, 8, 0x8b, Home.A, Home.BASE, Home.V, 0, register);
        a.store(8, Home.BASE, image(IMAGE_REGISTERS + 16 * i + half), Home.A);
      }
      a.aluImmediate(Assembler.ADD, 4, Home.V, 16);
    }
    // FXRSTOR loads these as well.
    a.memoryExtended(0, 4, 0x0fae, 3, Home.BASE, NONE, 0, image(IMAGE_MXCSR));
    for (int i = 0; i < 16; i++) {
      a.memory(0, 4, 0x0f29, i, Home.BASE, NONE, 0, image(IMAGE_VECTORS + 16 * i));
    }
    a.memoryExtended(0, 8, 0x0fae, 1, Home.BASE, NONE, 0, image(0));
    a.memoryExtended(0, 4, 0x81, Assembler.OR, Home.BASE, NONE, 0, Home.state(EngineArea.LOADED));
    a.int32(2);
    a.ret();
  }

  /** RAX stays. */
  private static void storeX87(Assembler a) {
    copyX87(a);
    emptyX87(a);
  }

  /** As calling conventions want the x87: empty, with the host's control word. */
  static void emptyX87(Assembler a) {
    a.int8(0x0f);
    a.int8(0x77);
    a.memoryExtended(0, 4, 0xd9, 5, Home.BASE, NONE, 0, Home.state(EngineArea.HOST_X87_CONTROL));
  }

  /** Brings the x87 of the state up to date, which is loaded and stays so. RCX, RDX are lost. */
  static void copyX87(Assembler a) {
    a.memoryExtended(0, 8, 0x0fae, 0, Home.BASE, NONE, 0, image(0));
    a.memory(0, 4, 0x0fb7, Assembler.RDX, Home.BASE, NONE, 0, image(0));
    a.store(4, Home.BASE, Home.state(CpuState.X87_CONTROL), Assembler.RDX);
    a.memory(0, 4, 0x0fb7, Assembler.RCX, Home.BASE, NONE, 0, image(IMAGE_STATUS));
    a.store(4, Home.BASE, Home.state(CpuState.X87_STATUS), Assembler.RCX);
    a.memory(0, 4, 0x0fb6, Assembler.RDX, Home.BASE, NONE, 0, image(IMAGE_TAGS));
    a.store(4, Home.BASE, Home.state(CpuState.X87_TAGS), Assembler.RDX);
    a.shift(Assembler.SHR, 4, Assembler.RCX, TOP_TO_OFFSET);
    for (int i = 0; i < 8; i++) {
      a.aluImmediate(Assembler.AND, 4, Assembler.RCX, 0x70);
      int from = image(IMAGE_REGISTERS + 16 * i);
      int to = Home.state(CpuState.X87_REGISTERS);
      a.load(8, Assembler.RDX, Home.BASE, from);
      a.memory(0, 8, 0x89, Assembler.RDX, Home.BASE, Assembler.RCX, 0, to);
      a.memory(0, 4, 0x0fb7, Assembler.RDX, Home.BASE, NONE, 0, from + 8);
      a.memory(0, 8, 0x89, Assembler.RDX, Home.BASE, Assembler.RCX, 0, to + 8);
      a.aluImmediate(Assembler.ADD, 4, Assembler.RCX, 16);
    }
  }

  private static void readClock(Assembler a, long clockGettime) {
    // What a function may change is kept where the state has its place.
    int[] gprs = {CpuState.RAX, CpuState.RCX, CpuState.RDX, CpuState.RSI, CpuState.RDI, 8, 9};
    for (int gpr : gprs) {
      a.store(8, Home.BASE, Home.displacement(gpr), Home.of(gpr));
    }
    a.testStoreImmediate(4, Home.BASE, Home.state(EngineArea.LOADED), 1);
    int none = a.jumpForward(Assembler.E);
    storeVectors(a);
    a.bind(none);
    // The stack is a multiple of 16 here.
    a.lea(8, Assembler.RSP, Assembler.RSP, NONE, 0, -16);
    a.constant(Assembler.RDI, 1); // CLOCK_MONOTONIC
    a.mov(8, Assembler.RSI, Assembler.RSP);
    a.constant(Home.A, clockGettime);
    a.extended(0, 4, 0xff, 2, Home.A); // CALL
    a.memory(0, 8, 0x69, Home.A, Assembler.RSP, NONE, 0, 0); // IMUL
    a.int32(1_000_000_000);
    a.aluLoad(Assembler.ADD, 8, Home.A, Assembler.RSP, NONE, 8);
    a.lea(8, Assembler.RSP, Assembler.RSP, NONE, 0, 16);
    a.testStoreImmediate(4, Home.BASE, Home.state(EngineArea.LOADED), 1);
    none = a.jumpForward(Assembler.E);
    moveVectors(a, false);
    if (AVX) {
      a.testStoreImmediate(4, Home.BASE, Home.state(EngineArea.LOADED), Units.UPPER);
      int noUppers = a.jumpForward(Assembler.E);
      insertUppers(a);
      a.bind(noUppers);
    }
    a.bind(none);
    for (int gpr : gprs) {
      a.load(8, Home.of(gpr), Home.BASE, Home.displacement(gpr));
    }
    a.ret();
  }

  private static final boolean AVX = HostFeatures.has(CpuFeature.AVX);

  /** SSE and AVX. */
  private static final int AVX_STATE = 6;

  /**
   * Stores what is loaded of the XMM and YMM registers. The host's upper halves are clean then, so
   * that nobody pays for the change to SSE code.
   */
  private static void storeVectors(Assembler a) {
    if (!AVX) {
      moveVectors(a, true);
      return;
    }
    a.testStoreImmediate(4, Home.BASE, Home.state(EngineArea.LOADED), Units.UPPER);
    int uppers = a.jumpForward(Assembler.NE);
    moveVectors(a, true);
    int done = a.jumpForward();
    a.bind(uppers);
    for (int i = 0; i < 16; i++) {
      // VMOVAPS.
      a.vexMemory(0, 1, 4 | Assembler.VEX_256, 0x29, i, 0, Home.BASE, vector(i));
    }
    a.vexPlain(4, 0x77); // VZEROUPPER
    a.bind(done);
  }

  private static int vector(int register) {
    return Home.state(CpuState.VECTORS + register * CpuState.VECTOR_SIZE);
  }

  /** VINSERTF128 of the upper halves from the state. */
  static void insertUppers(Assembler a) {
    for (int i = 0; i < 16; i++) {
      a.vexMemory(0x66, 3, 4 | Assembler.VEX_256, 0x18, i, i, Home.BASE, vector(i) + 16);
      a.int8(1);
    }
  }

  /** VEXTRACTF128 of the upper halves to the state. */
  static void extractUppers(Assembler a) {
    for (int i = 0; i < 16; i++) {
      a.vexMemory(0x66, 3, 4 | Assembler.VEX_256, 0x19, i, 0, Home.BASE, vector(i) + 16);
      a.int8(1);
    }
  }

  private void loadUppers(Assembler a) {
    if (!AVX) {
      a.int8(0xf9); // STC
      a.ret();
      return;
    }
    a.load(4, Home.A, Home.BASE, Home.state(CpuState.XCR0));
    a.aluImmediate(Assembler.AND, 4, Home.A, AVX_STATE);
    a.aluImmediate(Assembler.CMP, 4, Home.A, AVX_STATE);
    int disabled = a.jumpForward(Assembler.NE);
    // CR4.OSXSAVE.
    a.testStoreImmediate(1, Home.BASE, Home.state(CpuState.CR4 + 2), 4);
    int closed = a.jumpForward(Assembler.E);
    a.testStoreImmediate(1, Home.BASE, Home.state(EngineArea.LOADED), Units.VECTORS);
    int loaded = a.jumpForward(Assembler.NE);
    a.call(loadVectors);
    a.bind(loaded);
    insertUppers(a);
    a.memoryExtended(0, 4, 0x81, Assembler.OR, Home.BASE, NONE, 0, Home.state(EngineArea.LOADED));
    a.int32(Units.UPPER);
    a.int8(0xf8); // CLC
    a.ret();
    a.bind(disabled);
    a.bind(closed);
    a.int8(0xf9);
    a.ret();
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

  /** Leaves for a miss whose address is in the state already. */
  long leaveKnown(boolean write) {
    return leaveKnown[write ? 1 : 0];
  }

  /**
   * Code that finds the page of a stack access and keeps it in the stack copy: A is the linear
   * address xor the copy's tag, V 4096 less the size. Returns with CF clear and A the host address,
   * or with CF set and A and V as exits for misses want them.
   */
  long findStack(int mode, boolean write) {
    return findStack[(Mode.is(mode, Mode.USER) ? 2 : 0) + (write ? 1 : 0)];
  }

  private final long[] findStack = new long[4];

  private void writeProbes(Assembler a) {
    int[] tables = {EngineArea.TLB_KERNEL, EngineArea.TLB_USER};
    for (int kind = 0; kind < findStack.length; kind++) {
      a.align(16);
      findStack[kind] = a.here();
      writeFindStack(a, kind >= 2 ? Mode.USER : 0, (kind & 1) != 0, tables[kind >> 1]);
    }
  }

  private static void writeFindStack(Assembler a, int mode, boolean write, int table) {
    int copy = Memory.stackCopy(mode);
    int limit = Home.state(EngineArea.STUB_SCRATCH);
    int offset = Home.state(EngineArea.STUB_SCRATCH_2);
    a.aluLoad(Assembler.XOR, 8, Home.A, Home.BASE, NONE, copy);
    a.store(8, Home.BASE, limit, Home.V);
    Memory.entry(a, table);
    a.aluLoad(Assembler.XOR, 8, Home.A, Home.V, NONE, EngineArea.TLB_WRITE);
    a.aluLoad(Assembler.CMP, 8, Home.A, Home.BASE, NONE, limit);
    int notWritable = a.jumpForward(Assembler.A);
    a.store(8, Home.BASE, offset, Home.A);
    a.load(8, Home.A, Home.V, EngineArea.TLB_WRITE);
    a.store(8, Home.BASE, copy, Home.A);
    a.load(8, Home.A, Home.V, EngineArea.TLB_HOST);
    a.store(8, Home.BASE, copy + 8, Home.A);
    a.aluLoad(Assembler.ADD, 8, Home.A, Home.BASE, NONE, offset);
    a.int8(0xf8); // CLC
    a.ret();
    a.bind(notWritable);
    int missed = -1;
    if (!write) {
      // Read-only pages are not kept.
      a.aluLoad(Assembler.XOR, 8, Home.A, Home.V, NONE, EngineArea.TLB_WRITE);
      a.aluLoad(Assembler.XOR, 8, Home.A, Home.V, NONE, EngineArea.TLB_READ);
      a.aluLoad(Assembler.CMP, 8, Home.A, Home.BASE, NONE, limit);
      missed = a.jumpForward(Assembler.A);
      a.aluLoad(Assembler.ADD, 8, Home.A, Home.V, NONE, EngineArea.TLB_HOST);
      a.int8(0xf8);
      a.ret();
      a.bind(missed);
    }
    a.int8(0xf9); // STC
    a.ret();
  }

  /** See {@link JumpCache#writeFind}. */
  private final long findJump;

  /** See {@link JumpCache#writePage}. */
  final long fetchPage;

  /** Goes where {@link #findJump} finds, or leaves. */
  private final long jumpElsewhere;

  /** Goes to the block at linear address V, if it is known; else leaves. */
  void jumpCacheLookUp(Assembler a) {
    JumpCache.place(a);
    JumpCache.compare(a);
    int found = a.shortForward(Assembler.E);
    a.jump(jumpElsewhere);
    a.bindShort(found);
    JumpCache.go(a);
  }

  /**
   * After {@link JumpCache#compare} found another address: looks further, and returns a jump that
   * is taken, with the entry in A, if V's is found.
   */
  int jumpCacheFind(Assembler a) {
    a.call(findJump);
    return a.jumpForward(Assembler.E);
  }
}
