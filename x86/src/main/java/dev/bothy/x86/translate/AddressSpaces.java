package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;
import static dev.bothy.assemble.Assembler.RAX;
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
import java.util.ArrayList;
import java.util.List;

/**
 * MOV to CR3 and INVLPG of 64-bit supervisor code, as the interpreter and its {@code
 * TranslationBuffer} do them (AMD64 APM volume 2, sections 5.5.1 and 5.5.3), where they are plain:
 * a switch with PCIDs while all supervisor code is global; a page of 4 KiB without entries in the
 * jump cache. They end their block, so that what follows is looked up anew.
 */
final class AddressSpaces {
  private static final int CR3 = 3;
  private static final int BT = 0x0fa3;
  private static final int BTS = 0x0fab;
  private static final int BT_GROUP = 0x0fba;
  private static final int BT_OF_GROUP = 4;
  private static final int BTR = 6;

  /** The bit of a CR3 value that keeps what is known of the space. */
  private static final int KEEP_BIT = 63;

  /** From a table to a space's next one: of users, then with AC. */
  private static final int TABLES_OF_SPACE_SHIFT =
      Integer.numberOfTrailingZeros(2 * EngineArea.TLB_TABLE);

  private AddressSpaces() {}

  /** True if {@code i} changes what addresses mean: nothing follows it in its block. */
  static boolean changes(Instruction i) {
    return i.op == Op.INVLPG
        || i.op == Op.MOV && i.kind[0] == Instruction.CONTROL_REGISTER && i.register[0] == CR3;
  }

  /** Writes {@code i}, one that {@link #changes}; false if it is the interpreter's. */
  static boolean write(BlockWriter w, Instruction i) {
    if (!w.is64() || Mode.is(w.mode, Mode.USER)) {
      return false;
    }
    int next = w.offset + i.length;
    w.clobberFlags();
    if (i.op == Op.INVLPG) {
      if (!Memory.fits(w, i)) {
        return false;
      }
      Memory.linear(w, i, next);
      w.a.call(w.stubs.forgetPage);
    } else {
      w.get(Home.V, i.register[1]);
      w.a.call(w.stubs.switchSpace);
    }
    w.interpretIf(Assembler.B);
    w.jumpFar(next);
    return true;
  }

  private static int word(int offset) {
    return Home.state(offset);
  }

  /** As {@code TranslationBuffer} does it; both registers are lost. */
  static void emptyStackCopies(Assembler a, int tag, int host) {
    a.load(8, tag, Home.BASE, word(EngineArea.NO_PAGE));
    a.lea(8, host, Home.BASE, NONE, 0, word(EngineArea.SPARE_PAGE));
    for (int copy : new int[] {EngineArea.STACK_USER, EngineArea.STACK_KERNEL}) {
      a.store(8, Home.BASE, word(copy), tag);
      a.store(8, Home.BASE, word(copy + 8), host);
    }
  }

  /**
   * {@code to}: the number of the region of {@code linear}, as {@code TranslationBuffer.region}.
   *
   * @param wide linear addresses may have 57 bits
   */
  static void region(Assembler a, boolean wide, int to, int linear, int scratch) {
    a.mov(8, to, linear);
    a.shift(Assembler.SHR, 8, to, 30);
    a.mov(8, scratch, to);
    a.shift(Assembler.SHR, 8, scratch, 9);
    a.alu(Assembler.XOR, 4, to, scratch);
    if (wide) {
      a.shift(Assembler.SHR, 8, scratch, 9);
      a.alu(Assembler.XOR, 4, to, scratch);
    }
    a.aluImmediate(Assembler.AND, 4, to, 511);
  }

  /**
   * Writes the code of MOV of V to CR3. Returns with CF set, and nothing done, if it is the
   * interpreter's; A and V are lost.
   */
  static void writeSwitch(Assembler a) {
    List<Integer> refusals = new ArrayList<>();
    RefusingStub.begin(a);
    // CR4.PCIDE.
    a.testStoreImmediate(1, Home.BASE, word(CpuState.CR4 + 2), 2);
    refusals.add(a.jumpForward(Assembler.E));
    a.mov(8, RAX, Home.V);
    a.extended(0, 8, BT_GROUP, BTR, RAX);
    a.int8(KEEP_BIT);
    // Bits that no address has.
    a.load(8, RCX, Home.BASE, word(EngineArea.REFILL_FRAME));
    a.aluImmediate(Assembler.OR, 8, RCX, 0xfff);
    a.aluImmediate(Assembler.XOR, 8, RCX, -1);
    a.test(8, RCX, RAX);
    refusals.add(a.jumpForward(Assembler.NE));
    a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, word(EngineArea.LOCAL_KERNEL_JUMPS), 0);
    refusals.add(a.jumpForward(Assembler.NE));
    int numbers = EngineArea.MOST_NUMBERS;
    a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, word(EngineArea.SPACE_NEXT), numbers);
    refusals.add(a.jumpForward(Assembler.E));
    a.store(8, Home.BASE, word(CpuState.CR3), RAX);
    a.mov(4, RCX, RAX);
    a.aluImmediate(Assembler.AND, 4, RCX, 0xfff);
    List<Integer> found = new ArrayList<>();
    for (int slot = 0; slot < EngineArea.SPACES; slot++) {
      a.constant(RDX, slot);
      a.aluLoad(Assembler.CMP, 4, RCX, Home.BASE, NONE, word(EngineArea.SPACE_PCIDS + 4 * slot));
      found.add(a.jumpForward(Assembler.E));
    }
    takeSlot(a);
    int begins = a.jumpForward();
    for (int jump : found) {
      a.bind(jump);
    }
    a.extended(0, 8, BT_GROUP, BT_OF_GROUP, Home.V);
    a.int8(KEEP_BIT);
    int empties = a.jumpForward(Assembler.AE);
    a.aluLoad(Assembler.CMP, 4, RDX, Home.BASE, NONE, word(EngineArea.SPACE_SLOT));
    int same = a.jumpForward(Assembler.E);
    a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, word(EngineArea.LOCAL_PAGES), 0);
    int plain = a.jumpForward(Assembler.E);
    emptyLocal(a);
    int kept = a.jumpForward();
    a.bind(empties);
    a.bind(begins);
    emptyLocal(a);
    emptySlot(a);
    a.bind(kept);
    a.bind(plain);
    select(a);
    a.bind(same);
    RefusingStub.end(a, refusals);
  }

  /** RDX: an unused slot, or the one that was left longest ago; that of PCID RCX from now on. */
  private static void takeSlot(Assembler a) {
    List<Integer> unused = new ArrayList<>();
    a.constant(RDI, 0);
    a.load(8, RSI, Home.BASE, word(EngineArea.SPACE_USES));
    for (int slot = 0; slot < EngineArea.SPACES; slot++) {
      a.constant(RDX, slot);
      int pcid = word(EngineArea.SPACE_PCIDS + 4 * slot);
      a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, pcid, 0);
      unused.add(a.jumpForward(Assembler.L));
      int used = word(EngineArea.SPACE_USES + 8 * slot);
      a.aluLoad(Assembler.CMP, 8, RSI, Home.BASE, NONE, used);
      int later = a.shortForward(Assembler.BE);
      a.load(8, RSI, Home.BASE, used);
      a.mov(4, RDI, RDX);
      a.bindShort(later);
    }
    a.mov(4, RDX, RDI);
    for (int jump : unused) {
      a.bind(jump);
    }
    a.memory(0, 4, 0x89, RCX, Home.BASE, RDX, 2, word(EngineArea.SPACE_PCIDS));
  }

  /** What the kernel's table has of the present space. RAX, RCX, RSI, RDI are lost. */
  private static void emptyLocal(Assembler a) {
    a.storeImmediate(4, Home.BASE, word(EngineArea.LOCAL_PAGES), 0);
    a.push(RDX);
    a.lea(8, RDI, Home.BASE, NONE, 0, word(EngineArea.TLB));
    a.lea(8, RCX, Home.BASE, NONE, 0, word(EngineArea.TLB_LOCAL));
    a.constant(RDX, EngineArea.TLB_ENTRIES / 64);
    int loop = a.size();
    a.load(8, RSI, RCX, 0);
    a.test(8, RSI, RSI);
    int none = a.jumpForward(Assembler.E);
    a.storeImmediate(8, RCX, 0, 0);
    a.mov(8, RAX, RSI);
    a.extended(0, 8, 0xf7, 2, RAX); // NOT
    a.memory(0, 8, 0x21, RAX, RCX, NONE, 0, EngineArea.TLB_USED - EngineArea.TLB_LOCAL); // AND
    emptyEntries(a);
    a.bind(none);
    next(a, loop);
    a.pop(RDX);
  }

  /** All of slot RDX, which begins with another number. RAX, RCX, RSI, RDI are lost. */
  private static void emptySlot(Assembler a) {
    a.memoryExtended(0, 8, 0xff, 0, Home.BASE, NONE, 0, word(EngineArea.SPACE_FLUSHES)); // INC
    a.load(4, RCX, Home.BASE, word(EngineArea.SPACE_NEXT));
    a.memory(0, 4, 0x89, RCX, Home.BASE, RDX, 2, word(EngineArea.SPACE_NUMBERS));
    a.aluImmediate(Assembler.ADD, 4, RCX, 1);
    a.store(4, Home.BASE, word(EngineArea.SPACE_NEXT), RCX);
    a.push(RDX);
    int words = 2 * EngineArea.TLB_ENTRIES / 64;
    a.mov(4, RCX, RDX);
    a.shift(Assembler.SHL, 4, RCX, TABLES_OF_SPACE_SHIFT);
    a.lea(8, RDI, Home.BASE, RCX, 0, word(EngineArea.TLB + EngineArea.TLB_TABLE));
    a.shift(Assembler.SHL, 4, RDX, Integer.numberOfTrailingZeros(8 * words));
    int used = word(EngineArea.TLB_USED + EngineArea.TLB_ENTRIES / 8);
    a.lea(8, RCX, Home.BASE, RDX, 0, used);
    a.constant(RDX, words);
    int loop = a.size();
    a.load(8, RSI, RCX, 0);
    a.test(8, RSI, RSI);
    int none = a.jumpForward(Assembler.E);
    a.storeImmediate(8, RCX, 0, 0);
    emptyEntries(a);
    a.bind(none);
    next(a, loop);
    a.pop(RDX);
  }

  /** The next word at RCX, 64 entries further than RDI; RDX: how many are left. */
  private static void next(Assembler a, int loop) {
    a.aluImmediate(Assembler.ADD, 8, RCX, 8);
    a.aluImmediate(Assembler.ADD, 8, RDI, 64 * EngineArea.TLB_ENTRY);
    a.aluImmediate(Assembler.SUB, 4, RDX, 1);
    a.bindTo(a.jumpForward(Assembler.NE), loop);
  }

  /** Empties those of the 64 entries from RDI on whose bits RSI, not 0, has. RAX, RSI are lost. */
  private static void emptyEntries(Assembler a) {
    a.push(RCX);
    int loop = a.size();
    a.registers(0, 8, 0x0fbc, RAX, RSI); // BSF
    a.shift(Assembler.SHL, 4, RAX, 5);
    a.alu(Assembler.ADD, 8, RAX, RDI);
    // A table's first entry is on a multiple of the table's size behind the first table's.
    a.mov(8, RCX, RAX);
    a.lea(8, Home.V, Home.BASE, NONE, 0, word(EngineArea.TLB));
    a.alu(Assembler.SUB, 8, RCX, Home.V);
    a.constant(Home.V, 0);
    a.testImmediate(4, RCX, EngineArea.TLB_TABLE - 1);
    int other = a.shortForward(Assembler.NE);
    a.constant(Home.V, 0x1000);
    a.bindShort(other);
    for (int tag : new int[] {EngineArea.TLB_READ, EngineArea.TLB_WRITE, EngineArea.TLB_FETCH}) {
      a.store(8, RAX, tag, Home.V);
    }
    a.lea(8, RCX, RSI, NONE, 0, -1);
    a.alu(Assembler.AND, 8, RSI, RCX);
    a.bindTo(a.jumpForward(Assembler.NE), loop);
    a.pop(RCX);
  }

  /** RDX is the present slot from now on. */
  private static void select(Assembler a) {
    a.store(4, Home.BASE, word(EngineArea.SPACE_SLOT), RDX);
    a.load(8, RCX, Home.BASE, word(EngineArea.SPACE_TIME));
    a.aluImmediate(Assembler.ADD, 8, RCX, 1);
    a.store(8, Home.BASE, word(EngineArea.SPACE_TIME), RCX);
    a.memory(0, 8, 0x89, RCX, Home.BASE, RDX, 3, word(EngineArea.SPACE_USES));
    // What user code's jumps are found by; the kernel's are the same everywhere.
    a.memory(0, 4, 0x8b, RCX, Home.BASE, RDX, 2, word(EngineArea.SPACE_NUMBERS));
    a.shift(Assembler.SHL, 8, RCX, EngineArea.KEY_SPACE_SHIFT);
    a.load(8, RSI, Home.BASE, word(EngineArea.KEY_USER));
    a.shift(Assembler.SHR, 8, RSI, EngineArea.KEY_MODE_SHIFT);
    a.shift(Assembler.SHL, 8, RSI, EngineArea.KEY_MODE_SHIFT);
    a.alu(Assembler.OR, 8, RSI, RCX);
    a.store(8, Home.BASE, word(EngineArea.KEY_USER), RSI);
    a.shift(Assembler.SHL, 4, RDX, TABLES_OF_SPACE_SHIFT);
    a.lea(8, RDX, Home.BASE, RDX, 0, word(EngineArea.TLB + EngineArea.TLB_TABLE));
    a.store(8, Home.BASE, word(EngineArea.TLB_USER), RDX);
    a.aluImmediate(Assembler.ADD, 8, RDX, EngineArea.TLB_TABLE);
    a.store(8, Home.BASE, word(EngineArea.TLB_AC), RDX);
    emptyStackCopies(a, RCX, RSI);
  }

  /**
   * Writes the code of INVLPG of linear address A. Returns with CF set, and nothing done, if it is
   * the interpreter's; A and V are lost.
   */
  static void writeForgetPage(Assembler a, CpuModel model) {
    List<Integer> refusals = new ArrayList<>();
    RefusingStub.begin(a);
    region(a, model.has(CpuFeature.LA57), RCX, RAX, RDX);
    a.memory(0, 8, BT, RCX, Home.BASE, NONE, 0, word(EngineArea.TLB_LARGE_REGIONS));
    refusals.add(a.jumpForward(Assembler.B));
    a.shift(Assembler.SHR, 8, RAX, 12);
    a.mov(4, RCX, RAX);
    a.aluImmediate(Assembler.AND, 4, RCX, EngineArea.JUMP_PAGES_BITS - 1);
    a.memory(0, 8, BT, RCX, Home.BASE, NONE, 0, word(EngineArea.JUMP_PAGES));
    refusals.add(a.jumpForward(Assembler.B));
    a.aluImmediate(Assembler.AND, 4, RAX, EngineArea.TLB_ENTRIES - 1);
    // V: the empty tag; RSI: the entry's bit, inverted; RCX: the word that it is in; RAX: the
    // entry.
    a.constant(Home.V, 0);
    int some = a.shortForward(Assembler.NE);
    a.constant(Home.V, 0x1000);
    a.bindShort(some);
    a.constant(RSI, 0);
    a.registers(0, 8, BTS, RAX, RSI);
    a.mov(4, RCX, RAX);
    a.shift(Assembler.SHR, 4, RCX, 6);
    a.lea(8, RCX, Home.BASE, RCX, 3, word(EngineArea.TLB_USED));
    a.shift(Assembler.SHL, 4, RAX, 5);
    a.lea(8, RAX, Home.BASE, RAX, 0, word(EngineArea.TLB));
    a.mov(8, RDI, RSI);
    a.extended(0, 8, 0xf7, 2, RDI); // NOT
    a.memory(0, 8, 0x21, RDI, RCX, NONE, 0, EngineArea.TLB_LOCAL - EngineArea.TLB_USED); // AND
    a.constant(RDX, 1 + 2 * EngineArea.SPACES);
    int loop = a.size();
    a.memory(0, 8, 0x85, RSI, RCX, NONE, 0, 0); // TEST
    int unused = a.shortForward(Assembler.E);
    a.memory(0, 8, 0x21, RDI, RCX, NONE, 0, 0);
    a.store(8, RAX, EngineArea.TLB_READ, Home.V);
    a.store(8, RAX, EngineArea.TLB_WRITE, Home.V);
    a.store(8, RAX, EngineArea.TLB_FETCH, Home.V);
    a.bindShort(unused);
    a.lea(8, RCX, RCX, NONE, 0, EngineArea.TLB_ENTRIES / 8);
    a.lea(8, RAX, RAX, NONE, 0, EngineArea.TLB_TABLE);
    a.aluImmediate(Assembler.SUB, 4, RDX, 1);
    a.bindTo(a.jumpForward(Assembler.NE), loop);
    emptyStackCopies(a, RCX, RSI);
    RefusingStub.end(a, refusals);
  }
}
