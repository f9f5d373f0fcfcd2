package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;
import static dev.bothy.assemble.Assembler.R8;
import static dev.bothy.assemble.Assembler.R9;
import static dev.bothy.assemble.Assembler.RAX;
import static dev.bothy.assemble.Assembler.RCX;
import static dev.bothy.assemble.Assembler.RDI;
import static dev.bothy.assemble.Assembler.RDX;
import static dev.bothy.assemble.Assembler.RSI;
import static dev.bothy.assemble.Assembler.RSP;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.interpret.EngineArea;
import java.util.ArrayList;
import java.util.List;

/**
 * Code that walks the guest's page tables and enters what it finds into the TLB, as {@code
 * PageWalker} and {@code TranslationBuffer} do, wherever that is plain: 4-level or 5-level tables
 * in RAM, accessed bits set (and the dirty bit for a store), rights that allow the access, a page
 * of RAM, for a store one without code. All else, faults above all, is Java's.
 *
 * <p>An entry is read by one load and judged as it was then, like by a processor.
 */
final class Refill {
  private static final int READ = EngineArea.TLB_READ;
  private static final int WRITE = EngineArea.TLB_WRITE;
  private static final int FETCH = EngineArea.TLB_FETCH;

  // Bits of page-table entries.
  private static final int WRITABLE = 2;
  private static final int USER = 4;
  private static final int DIRTY = 0x40;
  private static final int LARGE = 0x80;
  private static final int GLOBAL = 0x100;

  /** Present and accessed. */
  private static final int PLAIN = 0x21;

  private static final int[] SAVED = {RDX, RDI, R8, R9};

  private final Assembler a;
  private final int access;
  private final boolean knowsFiveLevels;
  private final List<Integer> failures = new ArrayList<>();

  private Refill(Assembler a, CpuModel model, int access) {
    this.a = a;
    knowsFiveLevels = model.has(CpuFeature.LA57);
    this.access = access;
  }

  /**
   * Writes the walk for fetches: linear address in RCX, its entry in RSI. Returns with ZF set if
   * the entry is the page's now. RAX is lost.
   */
  static void writeFetch(Assembler a, CpuModel model) {
    new Refill(a, model, FETCH).walk();
  }

  /** The same for loads or stores; RCX is lost, too. */
  static void writeData(Assembler a, CpuModel model, boolean write) {
    new Refill(a, model, write ? WRITE : READ).walk();
  }

  /**
   * Writes what comes first after a miss: A is the linear address xor the tag in the entry at V,
   * and where to try again is on top of the stack. Goes there if {@code walk} has found the page;
   * else behind this code, without that address.
   *
   * @return where to enter if the linear address is in {@code EngineArea.MISS_ADDRESS} already
   */
  static long writeMiss(Assembler a, boolean write, long walk) {
    a.push(RCX);
    a.mov(8, RCX, Home.A);
    a.aluLoad(Assembler.XOR, 8, Home.A, Home.V, NONE, write ? WRITE : READ);
    a.store(8, Home.BASE, Home.state(EngineArea.MISS_ADDRESS), Home.A);
    a.aluImmediate(Assembler.CMP, 8, RCX, 4095);
    // Not so if the page is there, and what misses is an access that leaves it.
    int missed = a.shortForward(Assembler.A);
    int crossing = a.jumpForward();
    a.align(16);
    final long known = a.here();
    a.push(RCX);
    a.load(8, Home.A, Home.BASE, Home.state(EngineArea.MISS_ADDRESS));
    a.bindShort(missed);
    // Two accesses of one instruction may take each other's entry, for ever.
    a.load(4, RCX, Home.BASE, Home.state(EngineArea.EXIT));
    a.aluLoad(Assembler.CMP, 4, RCX, Home.BASE, NONE, Home.state(EngineArea.REFILL_EXIT));
    int other = a.shortForward(Assembler.NE);
    a.aluLoad(Assembler.CMP, 8, Home.A, Home.BASE, NONE, Home.state(EngineArea.REFILL_ADDRESS));
    int last = a.jumpForward(Assembler.E);
    a.aluLoad(Assembler.CMP, 8, Home.A, Home.BASE, NONE, Home.state(EngineArea.REFILL_BEFORE));
    int before = a.jumpForward(Assembler.E);
    a.load(8, RCX, Home.BASE, Home.state(EngineArea.REFILL_ADDRESS));
    a.store(8, Home.BASE, Home.state(EngineArea.REFILL_BEFORE), RCX);
    int guarded = a.shortForward();
    a.bindShort(other);
    a.store(4, Home.BASE, Home.state(EngineArea.REFILL_EXIT), RCX);
    a.store(8, Home.BASE, Home.state(EngineArea.REFILL_BEFORE), Home.A);
    a.bindShort(guarded);
    a.store(8, Home.BASE, Home.state(EngineArea.REFILL_ADDRESS), Home.A);
    a.push(RSI);
    a.mov(8, RCX, Home.A);
    a.mov(8, RSI, Home.V);
    a.call(walk);
    a.pop(RSI);
    int failed = a.shortForward(Assembler.NE);
    a.pop(RCX);
    a.ret();
    a.bindShort(failed);
    a.bind(last);
    a.bind(before);
    a.bind(crossing);
    a.pop(RCX);
    a.lea(8, RSP, RSP, NONE, 0, 8);
    return known;
  }

  private void failIf(int condition) {
    failures.add(a.jumpForward(condition));
  }

  private static int word(int offset) {
    return Home.state(offset);
  }

  private void withWord(int operation, int register, int offset) {
    a.aluLoad(operation, 8, register, Home.BASE, NONE, word(offset));
  }

  private void flag(int bit) {
    a.testStoreImmediate(4, Home.BASE, word(EngineArea.REFILL_FLAGS), bit);
  }

  /** BTS or BTR of bit RAX of the words at {@code offset}. */
  private void bit(int opcode, int offset) {
    a.memory(0, 8, opcode, RAX, Home.BASE, NONE, 0, word(offset));
  }

  private static final int BTS = 0x0fab;
  private static final int BTR = 0x0fb3;

  private void walk() {
    for (int register : SAVED) {
      a.push(register);
    }
    flag(access == FETCH ? EngineArea.REFILL_FETCHES : EngineArea.REFILL_ALLOWED);
    final int notFour = a.jumpForward(Assembler.E);
    if (!knowsFiveLevels) {
      failures.add(notFour);
    }
    start(48);
    final int four = a.size();
    entry(39);
    check(EngineArea.REFILL_TABLE_BITS);
    failIf(Assembler.NE);
    // Reserved here alone: further down it is ignored, or a large page's.
    a.testImmediate(4, RDX, GLOBAL);
    failIf(Assembler.NE);
    int huge = largeAt(30, 0x3fff_e000);
    int large = largeAt(21, 0x1f_e000);
    entry(12);
    check(EngineArea.REFILL_PAGE_BITS);
    failIf(Assembler.NE);
    a.mov(8, RDI, RDX);
    withWord(Assembler.AND, RDI, EngineArea.REFILL_FRAME);
    int found = a.jumpForward();
    a.bind(huge);
    a.constant(RAX, 0x3fff_f000);
    int offset = a.shortForward();
    a.bind(large);
    a.constant(RAX, 0x1f_f000);
    a.bindShort(offset);
    // RDI: the frame, with the linear address's bits inside the large page.
    a.mov(8, RDI, RDX);
    withWord(Assembler.AND, RDI, EngineArea.REFILL_FRAME);
    a.alu(Assembler.OR, 8, RDI, RAX);
    a.alu(Assembler.XOR, 8, RDI, RAX);
    a.alu(Assembler.AND, 8, RAX, RCX);
    a.alu(Assembler.OR, 8, RDI, RAX);
    noteLargeRegion();
    a.bind(found);
    judge();
    host(RDI);
    evict();
    fill();
    a.memoryExtended(0, 8, 0xff, 0, Home.BASE, NONE, 0, word(EngineArea.REFILLS)); // INC
    a.alu(Assembler.CMP, 4, RAX, RAX);
    int end = a.shortForward();
    final int failed = a.size();
    a.test(8, RSP, RSP);
    a.bindShort(end);
    for (int i = SAVED.length - 1; i >= 0; i--) {
      a.pop(SAVED[i]);
    }
    a.ret();
    if (knowsFiveLevels) {
      a.bind(notFour);
      fifthLevel(four);
    }
    for (int failure : failures) {
      a.bindTo(failure, failed);
    }
  }

  /** The linear address is judged, and the walk begins. */
  private void start(int bits) {
    a.mov(8, RAX, RCX);
    a.shift(Assembler.SAR, 8, RAX, bits - 1);
    a.aluImmediate(Assembler.ADD, 4, RAX, 1);
    a.aluImmediate(Assembler.CMP, 4, RAX, 1);
    failIf(Assembler.A);
    // RDX: table, then entry; R8: what all entries allow; R9: what any forbids.
    a.load(8, RDX, Home.BASE, word(CpuState.CR3));
    a.constant(R8, -1);
    a.constant(R9, 0);
  }

  /** What 5-level tables have first; then goes to the walk of the other four. */
  private void fifthLevel(int four) {
    flag(access == FETCH ? EngineArea.REFILL_FIVE_LEVEL_FETCHES : EngineArea.REFILL_FIVE_LEVELS);
    failIf(Assembler.E);
    // Generated code runs at addresses of 48 bits.
    start(access == FETCH ? 48 : 57);
    entry(48);
    check(EngineArea.REFILL_TABLE_BITS);
    failIf(Assembler.NE);
    a.bindTo(a.jumpForward(), four);
  }

  /** RDX: the entry for bits {@code shift} and up in the table that the entry in RDX leads to. */
  private void entry(int shift) {
    withWord(Assembler.AND, RDX, EngineArea.REFILL_FRAME);
    host(RDX);
    a.mov(8, RAX, RCX);
    a.shift(Assembler.SHR, 8, RAX, shift);
    a.aluImmediate(Assembler.AND, 4, RAX, 511);
    a.memory(0, 8, 0x8b, RDX, RDX, RAX, 3, 0);
    a.alu(Assembler.AND, 8, R8, RDX);
    a.alu(Assembler.OR, 8, R9, RDX);
  }

  /** Compares those bits of the entry with what they are in a plain one. */
  private void check(int bits) {
    a.mov(8, RAX, RDX);
    withWord(Assembler.AND, RAX, bits);
    a.aluImmediate(Assembler.CMP, 8, RAX, PLAIN);
  }

  /** An entry that may be that of a large page, at the jump returned then. */
  private int largeAt(int shift, int reserved) {
    entry(shift);
    check(EngineArea.REFILL_TABLE_BITS);
    int table = a.shortForward(Assembler.E);
    a.aluImmediate(Assembler.CMP, 8, RAX, PLAIN | LARGE);
    failIf(Assembler.NE);
    a.testImmediate(4, RDX, reserved);
    failIf(Assembler.NE);
    int jump = a.jumpForward();
    a.bindShort(table);
    return jump;
  }

  /** {@code register}: guest-physical address in, host address out. */
  private void host(int register) {
    withWord(Assembler.CMP, register, EngineArea.RAM_LOW_SIZE);
    int low = a.shortForward(Assembler.B);
    withWord(Assembler.SUB, register, EngineArea.RAM_HIGH_START);
    withWord(Assembler.CMP, register, EngineArea.RAM_HIGH_SIZE);
    failIf(Assembler.AE);
    withWord(Assembler.ADD, register, EngineArea.RAM_LOW_SIZE);
    a.bindShort(low);
    withWord(Assembler.ADD, register, EngineArea.RAM);
  }

  private void noteLargeRegion() {
    a.push(RDX);
    AddressSpaces.region(a, knowsFiveLevels, RAX, RCX, RDX);
    bit(BTS, EngineArea.TLB_LARGE_REGIONS);
    a.pop(RDX);
  }

  /** Leaves CF set if the entry lies in the table whose address is in that word. */
  private void in(int table) {
    a.mov(8, RAX, RSI);
    withWord(Assembler.SUB, RAX, table);
    a.aluImmediate(Assembler.CMP, 8, RAX, EngineArea.TLB_TABLE);
  }

  private void judge() {
    if (access == WRITE) {
      a.testImmediate(4, RDX, DIRTY);
      failIf(Assembler.E);
      a.testImmediate(4, R8, WRITABLE);
      failIf(Assembler.E);
    } else if (access == FETCH) {
      a.test(8, R9, R9);
      failIf(Assembler.S);
    }
    a.testImmediate(4, R8, USER);
    int userPage = a.shortForward(Assembler.NE);
    in(EngineArea.TLB_USER);
    failIf(Assembler.B);
    int allowed = a.shortForward();
    a.bindShort(userPage);
    flag(access == FETCH ? EngineArea.REFILL_SMEP : EngineArea.REFILL_SMAP);
    int unprotected = a.shortForward(Assembler.E);
    in(EngineArea.TLB_KERNEL);
    failIf(Assembler.B);
    if (access == FETCH) {
      in(EngineArea.TLB_AC);
      failIf(Assembler.B);
    }
    a.bindShort(unprotected);
    a.bindShort(allowed);
  }

  /** Empties the entry at RSI if it is another page's than the one at RDI. */
  private void evict() {
    a.mov(8, RAX, RCX);
    a.aluImmediate(Assembler.AND, 8, RAX, -4096);
    a.aluLoad(Assembler.CMP, 8, RDI, RSI, NONE, EngineArea.TLB_HOST);
    int another = a.shortForward(Assembler.NE);
    a.aluLoad(Assembler.CMP, 8, RAX, RSI, NONE, READ);
    int keep = a.jumpForward(Assembler.E);
    a.aluLoad(Assembler.CMP, 8, RAX, RSI, NONE, FETCH);
    int keepToo = a.jumpForward(Assembler.E);
    a.bindShort(another);
    // An empty tag is that of page 0, of page 1 where that would be the entry's own.
    a.constant(R9, 0);
    a.testImmediate(4, RCX, (EngineArea.TLB_ENTRIES - 1) << 12);
    int some = a.shortForward(Assembler.NE);
    a.constant(R9, 0x1000);
    a.bindShort(some);
    for (int tag : new int[] {READ, WRITE, FETCH}) {
      a.store(8, RSI, tag, R9);
    }
    in(EngineArea.TLB_KERNEL);
    int notLocal = a.shortForward(Assembler.AE);
    a.shift(Assembler.SHR, 4, RAX, 5);
    bit(BTR, EngineArea.TLB_LOCAL);
    a.bindShort(notLocal);
    AddressSpaces.emptyStackCopies(a, RAX, R9);
    a.bind(keep);
    a.bind(keepToo);
  }

  private void fill() {
    // RAX: the entry's number.
    a.lea(8, R9, Home.BASE, NONE, 0, word(EngineArea.TLB));
    a.mov(8, RAX, RSI);
    a.alu(Assembler.SUB, 8, RAX, R9);
    a.shift(Assembler.SHR, 8, RAX, 5);
    bit(BTS, EngineArea.TLB_USED);
    a.aluImmediate(Assembler.CMP, 4, RAX, EngineArea.TLB_ENTRIES);
    int ofSpace = a.shortForward(Assembler.AE);
    a.mov(4, R9, RDX);
    a.aluLoad(Assembler.AND, 4, R9, Home.BASE, NONE, word(EngineArea.REFILL_FLAGS));
    a.testImmediate(4, R9, EngineArea.REFILL_GLOBAL);
    int global = a.shortForward(Assembler.NE);
    bit(BTS, EngineArea.TLB_LOCAL);
    a.storeImmediate(4, Home.BASE, word(EngineArea.LOCAL_PAGES), 1);
    a.bindShort(global);
    a.bindShort(ofSpace);
    a.store(8, RSI, EngineArea.TLB_HOST, RDI);
    if (access == FETCH) {
      a.mov(8, RAX, RCX);
      a.aluImmediate(Assembler.AND, 8, RAX, -4096);
      a.store(8, RSI, FETCH, RAX);
      return;
    }
    a.aluImmediate(Assembler.AND, 8, RCX, -4096);
    a.store(8, RSI, READ, RCX);
    List<Integer> readOnly = new ArrayList<>();
    if (access == READ) {
      a.testImmediate(4, RDX, DIRTY);
      readOnly.add(a.jumpForward(Assembler.E));
      a.testImmediate(4, R8, WRITABLE);
      readOnly.add(a.jumpForward(Assembler.E));
    }
    // R9: the page's number in RAM.
    a.mov(8, R9, RDI);
    withWord(Assembler.SUB, R9, EngineArea.RAM);
    a.shift(Assembler.SHR, 8, R9, 12);
    a.load(8, RDX, Home.BASE, word(EngineArea.CODE_PAGES));
    a.memoryExtended(0, 4, 0x83, Assembler.CMP, RDX, R9, 2, 0);
    a.int8(0);
    if (access == WRITE) {
      failIf(Assembler.NE);
    } else {
      readOnly.add(a.jumpForward(Assembler.NE));
    }
    a.store(8, RSI, WRITE, RCX);
    noteWriter();
    for (int jump : readOnly) {
      a.bind(jump);
    }
  }

  /** As {@code TranslationBuffer.noteWriter}: RAX is the entry's number, R9 the page's. */
  private void noteWriter() {
    a.aluImmediate(Assembler.ADD, 4, RAX, 1);
    a.load(8, RDX, Home.BASE, word(EngineArea.TLB_WRITERS));
    a.lea(8, R9, RDX, R9, 2, 0);
    a.load(4, R8, R9, 0);
    a.alu(Assembler.CMP, 4, R8, RAX);
    int same = a.jumpForward(Assembler.E);
    a.test(4, R8, R8);
    int first = a.shortForward(Assembler.E);
    int several = a.jumpForward(Assembler.S);
    a.aluImmediate(Assembler.SUB, 4, R8, 1);
    a.shift(Assembler.SHL, 4, R8, 5);
    a.lea(8, R8, Home.BASE, R8, 0, word(EngineArea.TLB));
    a.aluLoad(Assembler.CMP, 8, RDI, R8, NONE, EngineArea.TLB_HOST);
    int another = a.shortForward(Assembler.NE);
    a.constant(RAX, 0xffff_ffffL);
    a.bindShort(another);
    a.bindShort(first);
    a.store(4, R9, 0, RAX);
    a.bind(same);
    a.bind(several);
  }
}
