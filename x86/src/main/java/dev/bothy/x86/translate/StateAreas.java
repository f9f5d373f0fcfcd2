package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;
import static dev.bothy.assemble.Assembler.RCX;
import static dev.bothy.assemble.Assembler.RDI;
import static dev.bothy.assemble.Assembler.RDX;
import static dev.bothy.assemble.Assembler.RSI;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.interpret.EngineArea;
import dev.bothy.x86.interpret.XsaveLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * XSAVE, XSAVEOPT, XSAVEC and XRSTOR of x87, SSE and AVX registers and of PKRU in 64-bit code, as
 * the interpreter's {@code XsaveOps} does them: AMD64 APM volume 2, section 11.5. Headers and
 * values that fault, a PKRU that changes, other components, and whatever would unmask an exception
 * are the interpreter's.
 *
 * <p>What decides over the way is read from memory once: others may write there meanwhile.
 */
final class StateAreas {
  private static final int ALIGNMENT = 64;

  private static final boolean AVX = HostFeatures.has(CpuFeature.AVX);

  /** Components that code here knows for every model. */
  private static final int KNOWN = XsaveLayout.X87 | XsaveLayout.SSE | (AVX ? XsaveLayout.AVX : 0);

  // The legacy area, as in FXSAVE's image, and the header.
  private static final int STATUS = 2;
  private static final int TAGS = 4;
  private static final int OPCODE = 6;
  private static final int IP = 8;
  private static final int DP = 16;
  private static final int MXCSR = 24;
  private static final int MXCSR_MASK = 28;
  private static final int REGISTERS = 32;
  private static final int XMM = 160;
  private static final int XSTATE_BV = XsaveLayout.LEGACY_SIZE;
  private static final int XCOMP_BV = XSTATE_BV + 8;
  private static final int RESERVED = XSTATE_BV + 16;

  private static final int CONTROL_INITIAL = 0x37f;
  private static final int CONTROL_WRITABLE = 0x1f3f;
  private static final int CONTROL_FIXED = 0x40;
  private static final int CONTROL_MASKS = 0x3f;

  /** ES and B. */
  private static final int STATUS_SUMMARY = 0x8080;

  private static final int OPCODE_BITS = 0x7ff;
  private static final int MXCSR_INITIAL = 0x1f80;

  /** All that MXCSR has but for the masks. */
  private static final int MXCSR_FREE = 0xe07f;

  private static final int BT_GROUP = 0x0fba;
  private static final int BTS = 5;
  private static final int BTR = 6;
  private static final int TOP_BIT = 63;

  private final Assembler a;
  private final List<Integer> refusals = new ArrayList<>();

  /** PKRU is a component, which is here where AVX is asked for, too: so its place is one. */
  private final boolean keys;

  private StateAreas(Assembler a, boolean keys) {
    this.a = a;
    this.keys = keys;
  }

  // The instruction in its block.

  /** Writes {@code i}; false if it is the interpreter's. */
  static boolean write(BlockWriter w, Instruction i) {
    int unusual = Mode.NO_SSE | Mode.NO_X87 | Mode.SSE_TRAPS | Mode.X87_TRAPS;
    if (!w.is64() || Mode.is(w.mode, unusual) || !Memory.fits(w, i)) {
      return false;
    }
    w.clobberFlags();
    // CR4.OSXSAVE.
    w.a.testStoreImmediate(1, Home.BASE, Home.state(CpuState.CR4 + 2), 4);
    w.interpretIf(Assembler.E);
    Vectors.load(w);
    area(w, i, i.op != Op.XRSTOR);
    w.a.call(w.stubs.stateAreas.stub(i));
    w.interpretIf(Assembler.B);
    if (i.op == Op.XRSTOR) {
      w.loadedUnits &= ~Units.X87;
    }
    return true;
  }

  /** The area's host address into A: it may be on two pages that are neighbours there, too. */
  private static void area(BlockWriter w, Instruction i, boolean store) {
    Assembler a = w.a;
    if (!AVX) {
      area(w, i, store, XsaveLayout.FIXED_SIZE);
      return;
    }
    w.get(Home.A, CpuState.RAX);
    a.aluLoad(Assembler.AND, 4, Home.A, Home.BASE, NONE, word(CpuState.XCR0));
    a.testImmediate(1, Home.A, XsaveLayout.AVX);
    int small = a.jumpForward(Assembler.E);
    area(w, i, store, w.stubs.stateAreas.sizeWithAvx);
    int found = a.jumpForward();
    a.bind(small);
    area(w, i, store, XsaveLayout.FIXED_SIZE);
    a.bind(found);
  }

  /**
   * The same for an area of {@code size} bytes. Of what XRSTOR does not read, nothing need be
   * there: what is not in the TLB is the interpreter's.
   */
  private static void area(BlockWriter w, Instruction i, boolean store, int size) {
    Assembler a = w.a;
    int next = w.offset + i.length;
    int last = size - 1;
    Memory.linear(w, i, next);
    a.testImmediate(1, Home.A, ALIGNMENT - 1);
    w.interpretIf(Assembler.NE);
    a.mov(4, Home.V, Home.A);
    a.aluImmediate(Assembler.AND, 4, Home.V, 0xfff);
    a.aluImmediate(Assembler.CMP, 4, Home.V, 0xfff - last);
    int crossing = a.jumpForward(Assembler.A);
    Memory.probe(w, size, store);
    int found = a.jumpForward();
    a.bind(crossing);
    Memory.probe(w, ALIGNMENT, store);
    a.store(8, Home.BASE, Rewriting.SCRATCH, Home.A);
    Memory.linear(w, i, next);
    a.aluImmediate(Assembler.ADD, 8, Home.A, last);
    if (size > XsaveLayout.FIXED_SIZE) {
      Memory.probeOrInterpret(w, 1, store);
    } else {
      Memory.probe(w, 1, store);
    }
    a.aluImmediate(Assembler.SUB, 8, Home.A, last);
    a.aluLoad(Assembler.CMP, 8, Home.A, Home.BASE, NONE, Rewriting.SCRATCH);
    w.interpretIf(Assembler.NE);
    a.bind(found);
  }

  /** Where the code of each form is. */
  static final class Stubs {
    private final long save;
    private final long saveOptimized;
    private final long saveCompacted;
    private final long restore;
    private final long restoreWide;

    /** Bytes of an area with AVX: what code looks for, though PKRU may not be asked for. */
    private final int sizeWithAvx;

    Stubs(Assembler a, CpuModel model) {
      boolean keys = AVX && model.has(CpuFeature.PKU);
      sizeWithAvx =
          keys
              ? XsaveLayout.KEYS_OFFSET + XsaveLayout.KEYS_SIZE
              : XsaveLayout.FIXED_SIZE + XsaveLayout.AVX_SIZE;
      save = save(a, keys, Op.XSAVE);
      saveOptimized = save(a, keys, Op.XSAVEOPT);
      saveCompacted = save(a, keys, Op.XSAVEC);
      restore = restore(a, keys, false);
      restoreWide = restore(a, keys, true);
    }

    private long stub(Instruction i) {
      return switch (i.op) {
        case XSAVE -> save;
        case XSAVEOPT -> saveOptimized;
        case XSAVEC -> saveCompacted;
        case XRSTOR -> (i.rex & 8) != 0 ? restoreWide : restore;
        default -> throw new IllegalArgumentException(i.op.name());
      };
    }

    private static long save(Assembler a, boolean keys, Op op) {
      a.align(16);
      long at = a.here();
      new StateAreas(a, keys).save(op);
      return at;
    }

    private static long restore(Assembler a, boolean keys, boolean wide) {
      a.align(16);
      long at = a.here();
      new StateAreas(a, keys).restore(wide);
      return at;
    }
  }

  // The shared code: A is the area's host address, the vectors are loaded. Returns with CF set, and
  // nothing done, if the instruction is the interpreter's. V is lost.

  private void refuseIf(int condition) {
    refusals.add(a.jumpForward(condition));
  }

  private static int word(int offset) {
    return Home.state(offset);
  }

  private void withWord(int operation, int size, int register, int offset) {
    a.aluLoad(operation, size, register, Home.BASE, NONE, word(offset));
  }

  private void loadWord(int size, int register, int offset) {
    a.load(size, register, Home.BASE, word(offset));
  }

  private void storeWord(int size, int offset, int register) {
    a.store(size, Home.BASE, word(offset), register);
  }

  /** Loads 2 bytes at A. */
  private void load16(int register, int at) {
    a.memory(0, 4, 0x0fb7, register, Home.A, NONE, 0, at);
  }

  /** Jumps if RDX or the like has the component's bit clear. */
  private int unless(int register, int component) {
    a.testImmediate(4, register, component);
    return a.jumpForward(Assembler.E);
  }

  private static int significand(int register) {
    return CpuState.X87_REGISTERS + 16 * register;
  }

  /** RSI: the components asked for. */
  private void start() {
    RefusingStub.begin(a);
    loadWord(4, RSI, CpuState.XCR0);
    a.alu(Assembler.AND, 4, RSI, Home.of(CpuState.RAX));
    a.testImmediate(4, RSI, keys ? ~(KNOWN | XsaveLayout.KEYS) : ~KNOWN);
    refuseIf(Assembler.NE);
    if (keys) {
      int none = unless(RSI, XsaveLayout.KEYS);
      a.testImmediate(4, RSI, XsaveLayout.AVX);
      refuseIf(Assembler.E);
      a.bind(none);
    }
    if (AVX) {
      // MXCSR goes with the XMM registers here.
      a.mov(4, RCX, RSI);
      a.aluImmediate(Assembler.AND, 4, RCX, XsaveLayout.SSE | XsaveLayout.AVX);
      a.aluImmediate(Assembler.CMP, 4, RCX, XsaveLayout.AVX);
      refuseIf(Assembler.E);
    }
  }

  /** Brings the upper halves of the state up to date, which may be loaded and stay so. */
  private void copyUppers() {
    a.testStoreImmediate(1, Home.BASE, word(EngineArea.LOADED), Units.UPPER);
    int inState = a.jumpForward(Assembler.E);
    dev.bothy.x86.translate.Stubs.extractUppers(a);
    a.bind(inState);
  }

  private static int upper(int register, int half) {
    return CpuState.VECTORS + register * CpuState.VECTOR_SIZE + 16 + 8 * half;
  }

  /** Adds the component to V if an upper half of the state is not zero. */
  private void findUppers() {
    loadWord(8, RCX, upper(0, 0));
    for (int n = 1; n < 32; n++) {
      withWord(Assembler.OR, 8, RCX, upper(n >> 1, n & 1));
    }
    a.test(8, RCX, RCX);
    int unused = a.jumpForward(Assembler.E);
    a.aluImmediate(Assembler.OR, 4, Home.V, XsaveLayout.AVX);
    a.bind(unused);
  }

  private void saveUppers() {
    for (int n = 0; n < 32; n++) {
      loadWord(8, RCX, upper(n >> 1, n & 1));
      a.store(8, Home.A, XsaveLayout.AVX_OFFSET + 8 * n, RCX);
    }
  }

  /** Loads the upper halves, or clears them, if they are asked for. */
  private void restoreUppers() {
    int none = unless(RSI, XsaveLayout.AVX);
    int initial = unless(RDX, XsaveLayout.AVX);
    for (int n = 0; n < 16; n++) {
      int at = XsaveLayout.AVX_OFFSET + 16 * n;
      a.vexMemory(0x66, 3, 4 | Assembler.VEX_256, 0x18, n, n, Home.A, at); // VINSERTF128
      a.int8(1);
    }
    int loaded = a.jumpForward();
    a.bind(initial);
    a.vexPlain(4, 0x77); // VZEROUPPER
    a.bind(loaded);
    a.memoryExtended(0, 4, 0x81, Assembler.OR, Home.BASE, NONE, 0, word(EngineArea.LOADED));
    a.int32(Units.UPPER);
    a.bind(none);
  }

  private void moveXmm(boolean store) {
    for (int n = 0; n < 16; n++) {
      a.memory(0, 4, store ? 0x0f29 : 0x0f28, n, Home.A, NONE, 0, XMM + 16 * n); // MOVAPS
    }
  }

  private void save(Op op) {
    start();
    a.testStoreImmediate(1, Home.BASE, word(EngineArea.LOADED), Units.X87);
    int inState = a.jumpForward(Assembler.E);
    dev.bothy.x86.translate.Stubs.copyX87(a);
    a.bind(inState);
    a.testStoreImmediate(1, Home.BASE, word(CpuState.X87_STATUS), STATUS_SUMMARY & 0xff);
    refuseIf(Assembler.NE);
    findUsed();
    if (AVX) {
      int noUppers = unless(RSI, XsaveLayout.AVX);
      copyUppers();
      findUppers();
      a.bind(noUppers);
    }
    if (keys) {
      a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, word(CpuState.PKRU), 0);
      int none = a.jumpForward(Assembler.E);
      a.aluImmediate(Assembler.OR, 4, Home.V, XsaveLayout.KEYS);
      a.bind(none);
    }
    // RDX: what is written; V: what is in use.
    a.alu(Assembler.AND, 4, Home.V, RSI);
    a.mov(4, RDX, op == Op.XSAVE ? RSI : Home.V);
    int noX87 = unless(RDX, XsaveLayout.X87);
    saveX87();
    a.bind(noX87);
    int noMxcsr = unless(op == Op.XSAVEC ? RDX : RSI, XsaveLayout.SSE);
    a.memoryExtended(0, 4, 0x0fae, 3, Home.A, NONE, 0, MXCSR);
    a.storeImmediate(4, Home.A, MXCSR_MASK, 0xffff);
    a.bind(noMxcsr);
    int noSse = unless(RDX, XsaveLayout.SSE);
    moveXmm(true);
    a.bind(noSse);
    if (AVX) {
      int noUppers = unless(RDX, XsaveLayout.AVX);
      saveUppers();
      a.bind(noUppers);
    }
    if (keys) {
      int none = unless(RDX, XsaveLayout.KEYS);
      loadWord(4, RCX, CpuState.PKRU);
      a.store(8, Home.A, XsaveLayout.KEYS_OFFSET, RCX);
      a.bind(none);
    }
    if (op == Op.XSAVEC) {
      a.store(8, Home.A, XSTATE_BV, Home.V);
      a.extended(0, 8, BT_GROUP, BTS, RSI);
      a.int8(TOP_BIT);
      a.store(8, Home.A, XCOMP_BV, RSI);
    } else {
      a.extended(0, 8, 0xf7, 2, RSI); // NOT
      a.aluLoad(Assembler.AND, 8, RSI, Home.A, NONE, XSTATE_BV);
      a.alu(Assembler.OR, 8, RSI, Home.V);
      a.store(8, Home.A, XSTATE_BV, RSI);
    }
    RefusingStub.end(a, refusals);
  }

  /** V: the components that are not in their initial state. */
  private void findUsed() {
    loadWord(4, RCX, CpuState.X87_CONTROL);
    a.aluImmediate(Assembler.XOR, 4, RCX, CONTROL_INITIAL);
    withWord(Assembler.OR, 4, RCX, CpuState.X87_STATUS);
    withWord(Assembler.OR, 4, RCX, CpuState.X87_TAGS);
    withWord(Assembler.OR, 4, RCX, CpuState.X87_OPCODE);
    withWord(Assembler.OR, 8, RCX, CpuState.X87_IP);
    withWord(Assembler.OR, 8, RCX, CpuState.X87_DP);
    for (int r = 0; r < 8; r++) {
      withWord(Assembler.OR, 8, RCX, significand(r));
      withWord(Assembler.OR, 8, RCX, significand(r) + 8);
    }
    a.constant(Home.V, 0);
    a.test(8, RCX, RCX);
    a.setcc(Assembler.NE, Home.V);
    List<Integer> used = new ArrayList<>();
    a.memoryExtended(0, 4, 0x0fae, 3, Home.BASE, NONE, 0, word(EngineArea.SCRATCH));
    a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, word(EngineArea.SCRATCH), MXCSR_INITIAL);
    used.add(a.jumpForward(Assembler.NE));
    for (int n = 0; n < 16; n++) {
      a.registers(Assembler.P66, 8, 0x0f7e, n, RCX); // MOVQ
      a.test(8, RCX, RCX);
      used.add(a.jumpForward(Assembler.NE));
    }
    for (int n = 0; n < 16; n++) {
      a.memory(0, 4, 0x0f17, n, Home.BASE, NONE, 0, word(EngineArea.STUB_SCRATCH)); // MOVHPS
      a.aluStoreImmediate(Assembler.CMP, 8, Home.BASE, word(EngineArea.STUB_SCRATCH), 0);
      used.add(a.jumpForward(Assembler.NE));
    }
    int unused = a.shortForward();
    for (int jump : used) {
      a.bind(jump);
    }
    a.aluImmediate(Assembler.OR, 4, Home.V, XsaveLayout.SSE);
    a.bindShort(unused);
  }

  /** No exception is pending: the pointers are saved as zeros. */
  private void saveX87() {
    loadWord(4, RDI, CpuState.X87_CONTROL);
    a.store(2, Home.A, 0, RDI);
    loadWord(4, RCX, CpuState.X87_STATUS);
    a.store(2, Home.A, STATUS, RCX);
    loadWord(4, RDI, CpuState.X87_TAGS);
    a.store(2, Home.A, TAGS, RDI);
    a.storeImmediate(2, Home.A, OPCODE, 0);
    a.storeImmediate(8, Home.A, IP, 0);
    a.storeImmediate(8, Home.A, DP, 0);
    a.shift(Assembler.SHR, 4, RCX, dev.bothy.x86.translate.Stubs.TOP_TO_OFFSET);
    for (int n = 0; n < 8; n++) {
      a.aluImmediate(Assembler.AND, 4, RCX, 0x70);
      a.memory(0, 8, 0x8b, RDI, Home.BASE, RCX, 0, word(significand(0)));
      a.store(8, Home.A, REGISTERS + 16 * n, RDI);
      a.memory(0, 4, 0x0fb7, RDI, Home.BASE, RCX, 0, word(significand(0) + 8));
      a.store(8, Home.A, REGISTERS + 16 * n + 8, RDI);
      a.aluImmediate(Assembler.ADD, 4, RCX, 16);
    }
  }

  private void restore(boolean wide) {
    start();
    // RDX: present components; RCX: allowed ones; RDI: if MXCSR is in the area, those of them.
    a.load(8, RDX, Home.A, XSTATE_BV);
    a.load(8, RCX, Home.A, XCOMP_BV);
    a.mov(4, RDI, RSI);
    a.test(8, RCX, RCX);
    int compacted = a.shortForward(Assembler.S);
    refuseIf(Assembler.NE);
    loadWord(8, RCX, CpuState.XCR0);
    a.load(8, Home.V, Home.A, RESERVED);
    int standard = a.shortForward();
    a.bindShort(compacted);
    a.alu(Assembler.AND, 4, RDI, RDX);
    a.extended(0, 8, BT_GROUP, BTR, RCX);
    a.int8(TOP_BIT);
    loadWord(8, Home.V, CpuState.XCR0);
    a.extended(0, 8, 0xf7, 2, Home.V); // NOT
    a.test(8, Home.V, RCX);
    refuseIf(Assembler.NE);
    a.load(8, Home.V, Home.A, RESERVED);
    for (int at = RESERVED + 8; at < XsaveLayout.FIXED_SIZE; at += 8) {
      a.aluLoad(Assembler.OR, 8, Home.V, Home.A, NONE, at);
    }
    a.bindShort(standard);
    a.test(8, Home.V, Home.V);
    refuseIf(Assembler.NE);
    a.extended(0, 8, 0xf7, 2, RCX);
    a.test(8, RCX, RDX);
    refuseIf(Assembler.NE);
    // RDX: what is loaded.
    a.alu(Assembler.AND, 4, RDX, RSI);
    if (keys) {
      checkKeys();
    }
    checkMxcsr();
    int noControl = unless(RDX, XsaveLayout.X87);
    load16(RCX, 0);
    storeWord(4, EngineArea.STUB_SCRATCH, RCX);
    a.aluImmediate(Assembler.AND, 4, RCX, CONTROL_MASKS);
    a.aluImmediate(Assembler.CMP, 4, RCX, CONTROL_MASKS);
    refuseIf(Assembler.NE);
    a.bind(noControl);
    int noX87 = unless(RSI, XsaveLayout.X87);
    // What the host's has is not wanted any more.
    a.testStoreImmediate(1, Home.BASE, word(EngineArea.LOADED), Units.X87);
    int inState = a.jumpForward(Assembler.E);
    dev.bothy.x86.translate.Stubs.emptyX87(a);
    a.aluStoreImmediate(Assembler.AND, 4, Home.BASE, word(EngineArea.LOADED), ~Units.X87);
    a.bind(inState);
    int initial = unless(RDX, XsaveLayout.X87);
    restoreX87(wide);
    int restored = a.jumpForward();
    a.bind(initial);
    initializeX87();
    a.bind(restored);
    a.bind(noX87);
    int noSse = unless(RSI, XsaveLayout.SSE);
    a.memoryExtended(0, 4, 0x0fae, 2, Home.BASE, NONE, 0, word(EngineArea.SCRATCH)); // LDMXCSR
    int zero = unless(RDX, XsaveLayout.SSE);
    moveXmm(false);
    int loaded = a.jumpForward();
    a.bind(zero);
    for (int n = 0; n < 16; n++) {
      a.registers(0, 4, 0x0f57, n, n); // XORPS
    }
    a.bind(loaded);
    a.bind(noSse);
    if (AVX) {
      restoreUppers();
    }
    RefusingStub.end(a, refusals);
  }

  /** Another PKRU than there is changes what pages allow. RCX: what the area cannot have. */
  private void checkKeys() {
    int none = unless(RSI, XsaveLayout.KEYS);
    a.constant(Home.V, 0);
    int initial = unless(RDX, XsaveLayout.KEYS);
    // Compacted and without AVX, it would be elsewhere.
    a.testImmediate(4, RCX, XsaveLayout.AVX);
    refuseIf(Assembler.NE);
    a.load(4, Home.V, Home.A, XsaveLayout.KEYS_OFFSET);
    a.bind(initial);
    withWord(Assembler.CMP, 4, Home.V, CpuState.PKRU);
    refuseIf(Assembler.NE);
    a.bind(none);
  }

  /** The scratch word: MXCSR as it is to become, which masks all exceptions. */
  private void checkMxcsr() {
    a.constant(RCX, MXCSR_INITIAL);
    int initial = unless(RDI, XsaveLayout.SSE);
    a.load(4, RCX, Home.A, MXCSR);
    a.mov(4, Home.V, RCX);
    a.aluImmediate(Assembler.AND, 4, Home.V, ~MXCSR_FREE);
    a.aluImmediate(Assembler.CMP, 4, Home.V, MXCSR_INITIAL);
    refuseIf(Assembler.NE);
    a.bind(initial);
    storeWord(4, EngineArea.SCRATCH, RCX);
  }

  /** The control word was checked, and is in the stub's scratch word. */
  private void restoreX87(boolean wide) {
    loadWord(4, RCX, EngineArea.STUB_SCRATCH);
    a.aluImmediate(Assembler.AND, 4, RCX, CONTROL_WRITABLE);
    a.aluImmediate(Assembler.OR, 4, RCX, CONTROL_FIXED);
    storeWord(4, CpuState.X87_CONTROL, RCX);
    a.memory(0, 4, 0x0fb6, RCX, Home.A, NONE, 0, TAGS);
    storeWord(4, CpuState.X87_TAGS, RCX);
    load16(RCX, OPCODE);
    a.aluImmediate(Assembler.AND, 4, RCX, OPCODE_BITS);
    storeWord(4, CpuState.X87_OPCODE, RCX);
    restorePointer(wide, IP, CpuState.X87_IP, CpuState.X87_CS);
    restorePointer(wide, DP, CpuState.X87_DP, CpuState.X87_DS);
    load16(RCX, STATUS);
    a.aluImmediate(Assembler.AND, 4, RCX, 0xffff & ~STATUS_SUMMARY);
    storeWord(4, CpuState.X87_STATUS, RCX);
    a.shift(Assembler.SHR, 4, RCX, dev.bothy.x86.translate.Stubs.TOP_TO_OFFSET);
    for (int n = 0; n < 8; n++) {
      a.aluImmediate(Assembler.AND, 4, RCX, 0x70);
      a.load(8, Home.V, Home.A, REGISTERS + 16 * n);
      a.memory(0, 8, 0x89, Home.V, Home.BASE, RCX, 0, word(significand(0)));
      load16(Home.V, REGISTERS + 16 * n + 8);
      a.memory(0, 8, 0x89, Home.V, Home.BASE, RCX, 0, word(significand(0) + 8));
      a.aluImmediate(Assembler.ADD, 4, RCX, 16);
    }
  }

  private void restorePointer(boolean wide, int from, int offset, int selector) {
    a.load(wide ? 8 : 4, RCX, Home.A, from);
    storeWord(8, offset, RCX);
    if (wide) {
      a.storeImmediate(4, Home.BASE, word(selector), 0);
    } else {
      load16(RCX, from + 4);
      storeWord(4, selector, RCX);
    }
  }

  private void initializeX87() {
    a.constant(RCX, 0);
    a.storeImmediate(4, Home.BASE, word(CpuState.X87_CONTROL), CONTROL_INITIAL);
    for (int at :
        new int[] {
          CpuState.X87_STATUS,
          CpuState.X87_TAGS,
          CpuState.X87_OPCODE,
          CpuState.X87_CS,
          CpuState.X87_DS
        }) {
      storeWord(4, at, RCX);
    }
    storeWord(8, CpuState.X87_IP, RCX);
    storeWord(8, CpuState.X87_DP, RCX);
    for (int r = 0; r < 8; r++) {
      storeWord(8, significand(r), RCX);
      storeWord(8, significand(r) + 8, RCX);
    }
  }
}
