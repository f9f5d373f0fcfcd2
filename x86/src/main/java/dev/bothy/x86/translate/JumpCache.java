package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;
import static dev.bothy.assemble.Assembler.RAX;
import static dev.bothy.assemble.Assembler.RCX;
import static dev.bothy.assemble.Assembler.RDX;
import static dev.bothy.assemble.Assembler.RSI;

import dev.bothy.assemble.Assembler;
import dev.bothy.x86.interpret.EngineArea;

/**
 * The jump cache of a vCPU, and the code that looks into it: pairs of entries by linear address,
 * where jumps lead that are not chained. An entry is a tag, the linear address xor {@link
 * EngineArea#JUMP_KEY}, and the host address of code.
 *
 * <p>Entries of one page lie close together, so that they are found when the page is forgotten: the
 * address times {@link #FACTOR} makes neighbours in memory neighbours here, and brings pages far
 * from each other to places that have nothing to do with each other.
 */
public final class JumpCache {
  private static final int PAIRS = EngineArea.JUMP_ENTRIES / 2;

  /**
   * Below 2^16, so that the product with a canonical address fits 64 bits; above 2^15, so that the
   * product with any other address does not whose tag may be here, one that differs from a
   * canonical one in bits of the key. (Keys that differ in all of their bits there are not.)
   */
  private static final int FACTOR = 0x9e37;

  /** Bits of the product below the pair's number. */
  private static final int SHIFT = 20;

  /** Pairs in which the entries of a page are found, from the one of its first byte. */
  public static final int PAIRS_OF_PAGE = (FACTOR << 12 >>> SHIFT) + 2;

  private static final int PAIR = 32;

  private JumpCache() {}

  /**
   * True for addresses of 48 bits, where alone generated code runs: with five levels of tables tags
   * of others could be taken for another address space's.
   */
  public static boolean knows(long rip) {
    return rip << 16 >> 16 == rip;
  }

  private static int pair(long rip) {
    return (int) (rip * FACTOR >>> SHIFT) & PAIRS - 1;
  }

  /** Offset in the state of the pair of entries for linear address {@code rip}. */
  public static int entry(long rip) {
    return EngineArea.JUMPS + pair(rip) * PAIR;
  }

  /** The same for the one that comes {@code i}th among those that the page of an address has. */
  public static int pairOfPage(long linear, int i) {
    return EngineArea.JUMPS + (pair(linear & ~0xfffL) + i & PAIRS - 1) * PAIR;
  }

  // Generated code.

  /**
   * The place of linear address V into A. Leaves OF set if the address is so far from canonical
   * that its tag may be another's.
   */
  static void place(Assembler a) {
    a.registers(0, 8, 0x69, Home.A, Home.V); // IMUL
    a.int32(FACTOR);
  }

  /**
   * After {@link #place}: leaves ZF set if the first of the pair is V's, A the entry's offset in
   * units of 8 bytes, and V the tag.
   */
  static void compare(Assembler a) {
    a.shift(Assembler.SHR, 8, Home.A, SHIFT - 2);
    a.aluImmediate(Assembler.AND, 4, Home.A, 4 * (PAIRS - 1));
    a.aluLoad(Assembler.XOR, 8, Home.V, Home.BASE, NONE, Home.state(EngineArea.JUMP_KEY));
    a.memory(0, 8, 0x3b, Home.V, Home.BASE, Home.A, 3, Home.state(EngineArea.JUMPS));
  }

  /** The code that the entry leads to which was found, into A. */
  static void target(Assembler a) {
    a.memory(0, 8, 0x8b, Home.A, Home.BASE, Home.A, 3, Home.state(EngineArea.JUMPS) + 8);
  }

  /** Goes where the entry says that was found. */
  static void go(Assembler a) {
    a.jumpIndirect(Home.BASE, Home.A, 3, Home.state(EngineArea.JUMPS) + 8);
  }

  /**
   * Writes what comes after {@link #compare} found another address: looks at the second of the
   * pair, then for a block on the page that is there for fetches, which becomes the first of the
   * pair. Returns with ZF set and A and V as {@link #compare} does, or with ZF clear.
   */
  static void writeFind(Assembler a, long walk) {
    a.lea(4, RAX, RAX, NONE, 0, 2);
    a.memory(0, 8, 0x3b, Home.V, Home.BASE, RAX, 3, Home.state(EngineArea.JUMPS));
    int other = a.shortForward(Assembler.NE);
    a.ret();
    a.bindShort(other);
    int[] saved = {RCX, RDX, RSI, RAX};
    for (int register : saved) {
      a.push(register);
    }
    // RCX: linear address, RDX: what there is to know about the mode.
    a.load(8, RDX, Home.BASE, Home.state(EngineArea.JUMP_KEY));
    a.mov(8, RCX, Home.V);
    a.alu(Assembler.XOR, 8, RCX, RDX);
    a.shift(Assembler.SHR, 8, RDX, EngineArea.KEY_MODE_SHIFT);
    a.shift(Assembler.SHL, 4, RDX, 4);
    a.lea(8, RDX, Home.BASE, RDX, 0, Home.state(EngineArea.MODES));
    // The TLB's entry.
    a.load(8, RAX, RDX, EngineArea.MODE_TABLE);
    a.mov(8, RSI, RCX);
    a.shift(Assembler.SHR, 8, RSI, 7);
    a.aluImmediate(Assembler.AND, 4, RSI, (EngineArea.TLB_ENTRIES - 1) * EngineArea.TLB_ENTRY);
    a.aluLoad(Assembler.ADD, 8, RSI, Home.BASE, RAX, 0);
    a.mov(8, RAX, RCX);
    a.aluLoad(Assembler.XOR, 8, RAX, RSI, NONE, EngineArea.TLB_FETCH);
    a.aluImmediate(Assembler.CMP, 8, RAX, 4095);
    int mapped = a.shortForward(Assembler.BE);
    a.call(walk);
    int unmapped = a.jumpForward(Assembler.NE);
    a.mov(8, RAX, RCX);
    a.aluLoad(Assembler.XOR, 8, RAX, RSI, NONE, EngineArea.TLB_FETCH);
    a.bindShort(mapped);
    // The block's key, and where it may be.
    a.aluLoad(Assembler.ADD, 8, RAX, RSI, NONE, EngineArea.TLB_HOST);
    a.aluLoad(Assembler.XOR, 8, RAX, RDX, NONE, EngineArea.MODE_KEY);
    a.registers(0, 8, 0x69, RSI, RAX); // IMUL
    a.int32(BlockIndex.FACTOR);
    a.shift(Assembler.SHR, 8, RSI, BlockIndex.SHIFT);
    a.aluImmediate(Assembler.AND, 4, RSI, BlockIndex.MASK);
    a.aluLoad(Assembler.ADD, 8, RSI, Home.BASE, NONE, Home.state(EngineArea.BLOCK_INDEX));
    int[] found = new int[BlockIndex.WAYS];
    for (int i = 0; i < BlockIndex.WAYS; i++) {
      a.aluLoad(Assembler.CMP, 8, RAX, RSI, NONE, BlockIndex.KEY);
      found[i] = a.jumpForward(Assembler.E);
      if (i + 1 < BlockIndex.WAYS) {
        a.aluImmediate(Assembler.ADD, 8, RSI, BlockIndex.ENTRY);
      }
    }
    a.bind(unmapped);
    // ZF is clear either way.
    restore(a, saved);
    a.ret();
    for (int jump : found) {
      a.bind(jump);
    }
    // A kernel's page that is not the same everywhere: the entry must go with its address space.
    a.aluStoreImmediate(Assembler.CMP, 8, RDX, EngineArea.MODE_TABLE, kernelTable());
    int user = a.jumpForward(Assembler.NE);
    a.mov(8, RAX, RCX);
    a.shift(Assembler.SHR, 8, RAX, 12);
    a.aluImmediate(Assembler.AND, 4, RAX, EngineArea.TLB_ENTRIES - 1);
    bitTest(a, 0x0fa3, EngineArea.TLB_LOCAL);
    int global = a.jumpForward(Assembler.AE);
    a.storeImmediate(4, Home.BASE, Home.state(EngineArea.LOCAL_KERNEL_JUMPS), 1);
    a.bind(global);
    a.bind(user);
    // The page has entries.
    a.mov(8, RAX, RCX);
    a.shift(Assembler.SHR, 8, RAX, 12);
    a.aluImmediate(Assembler.AND, 4, RAX, EngineArea.JUMP_PAGES_BITS - 1);
    bitTest(a, 0x0fab, EngineArea.JUMP_PAGES);
    // The first of the pair becomes the second.
    a.pop(RAX);
    for (int half = 0; half < 16; half += 8) {
      int first = Home.state(EngineArea.JUMPS) - 16 + half;
      a.memory(0, 8, 0x8b, RCX, Home.BASE, RAX, 3, first);
      a.memory(0, 8, 0x89, RCX, Home.BASE, RAX, 3, first + 16);
    }
    a.load(8, RCX, RSI, BlockIndex.CODE);
    a.memory(0, 8, 0x89, RCX, Home.BASE, RAX, 3, Home.state(EngineArea.JUMPS) - 8);
    a.memory(0, 8, 0x89, Home.V, Home.BASE, RAX, 3, Home.state(EngineArea.JUMPS) - 16);
    a.lea(4, RAX, RAX, NONE, 0, -2);
    a.pop(RSI);
    a.pop(RDX);
    a.pop(RCX);
    a.alu(Assembler.CMP, 4, RAX, RAX);
    a.ret();
  }

  /**
   * Writes what comes before the far entry of a block whose only instruction goes on on a second
   * page: goes to {@code block} while that page is at host address {@code second}, else to {@code
   * leave}, which is for unknown addresses.
   *
   * @param page {@link #writePage}
   * @param offset of the instruction in its page
   */
  static void writeStraddle(
      Assembler a, int mode, int offset, long second, long page, long block, long leave) {
    boolean wide = Mode.is(mode, Mode.LONG);
    int tag = Home.state(EngineArea.STUB_SCRATCH);
    a.store(8, Home.BASE, tag, Home.V);
    a.aluLoad(Assembler.XOR, 8, Home.V, Home.BASE, NONE, Home.state(EngineArea.JUMP_KEY));
    a.lea(wide ? 8 : 4, Home.V, Home.V, NONE, 0, 4096 - offset);
    a.mov(8, Home.A, Home.V);
    a.shift(Assembler.SHR, 8, Home.A, 7);
    a.aluImmediate(Assembler.AND, 4, Home.A, (EngineArea.TLB_ENTRIES - 1) * EngineArea.TLB_ENTRY);
    a.aluLoad(Assembler.ADD, 8, Home.A, Home.BASE, NONE, (int) modeTable(mode));
    a.aluLoad(Assembler.CMP, 8, Home.V, Home.A, NONE, EngineArea.TLB_FETCH);
    int mapped = a.shortForward(Assembler.E);
    a.call(page);
    int unmapped = a.shortForward(Assembler.NE);
    a.bindShort(mapped);
    a.constant(Home.V, second);
    a.aluLoad(Assembler.CMP, 8, Home.V, Home.A, NONE, EngineArea.TLB_HOST);
    a.bindShort(unmapped);
    a.load(8, Home.V, Home.BASE, tag);
    a.jump(Assembler.E, block);
    a.jump(leave);
  }

  /**
   * Writes the walk for the page at V whose TLB entry is A. Returns with ZF set if it is there for
   * fetches now; A stays.
   */
  static void writePage(Assembler a, long walk) {
    a.push(RCX);
    a.push(RSI);
    a.mov(8, RCX, Home.V);
    a.mov(8, RSI, Home.A);
    a.call(walk);
    a.mov(8, Home.A, RSI);
    a.pop(RSI);
    a.pop(RCX);
    a.ret();
  }

  private static void restore(Assembler a, int[] saved) {
    for (int i = saved.length - 1; i >= 0; i--) {
      a.pop(saved[i]);
    }
  }

  /** BT or BTS of bit A of the words at {@code offset}. */
  private static void bitTest(Assembler a, int opcode, int offset) {
    a.memory(0, 8, opcode, RAX, Home.BASE, NONE, 0, Home.state(offset));
  }

  /** What {@link EngineArea#MODE_TABLE} is for supervisor modes. */
  private static int kernelTable() {
    return Home.state(EngineArea.TLB_KERNEL);
  }

  /** {@link EngineArea#MODE_TABLE} for {@code mode}. */
  public static long modeTable(int mode) {
    return Mode.is(mode, Mode.USER) ? Home.state(EngineArea.TLB_USER) : kernelTable();
  }

  /** {@link EngineArea#MODE_KEY} for {@code mode}. */
  public static long modeKey(int mode) {
    return BlockIndex.key(mode);
  }
}
