package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.interpret.EngineArea;

/**
 * The block being translated: its code, what is known about the guest's flags at the present
 * instruction, and the ways out of it, whose code is collected behind the block's.
 *
 * <p>Flags live in the host's flags after an instruction that wrote them, and are saved to {@link
 * EngineArea#FLAGS} before anything that clobbers them or may leave the block.
 */
final class BlockWriter {
  /** Instructions in a block at most. */
  static final int MOST = 64;

  /** Ways out of a block at most, and chained jumps among them. */
  private static final int MOST_COLD = 512;

  private static final int MOST_CHAINS = 2 * MOST;

  final Assembler a = new Assembler();
  final Stubs stubs;
  final Spans spans = new Spans();
  final Scratch scratch = new Scratch(a);
  int mode;

  /** Index of the present instruction. */
  int index;

  /** Offset of the present instruction in its page. */
  int offset;

  /** Nothing follows the present instruction in this block, not even a way to the interpreter. */
  boolean last;

  /** A bit for each instruction that STI keeps interrupts off for. */
  long shadowed;

  /** Flags that some later instruction needs, as RFLAGS bits. */
  int liveAfter;

  private boolean flagsInHost;
  private boolean flagsSaved;

  /** {@link Units} whose registers are known to be loaded. */
  int loadedUnits;

  final X87Pointers x87Pointers = new X87Pointers();

  // The code behind the block.
  private int colds;
  private final int[] coldKind = new int[MOST_COLD];
  private final int[] coldJump = new int[MOST_COLD];
  private final int[] coldArgument = new int[MOST_COLD];
  private final boolean[] coldFlags = new boolean[MOST_COLD];
  private final int[] coldBack = new int[MOST_COLD];
  private final int[] coldIndex = new int[MOST_COLD];

  private static final int COLD_CHAIN = 100;
  private static final int COLD_FAR = 103;
  private static final int COLD_SPAN = 104;
  private static final int COLD_STACK = 105;
  private static final int COLD_JUMP = 106;
  private static final int COLD_SPAN_ON_STACK = 107;
  private static final int COLD_LOAD = 200;

  /** Position of each instruction's code. */
  private final int[] retry;

  /** Where exits have room for the block's number above what names the exit: four bytes each. */
  final int[] exitSites = new int[MOST_COLD + MOST_CHAINS + 1];

  int exitSiteCount;

  int chains;
  final int[] chainSites = new int[MOST_CHAINS];
  final short[] chainTargets = new short[MOST_CHAINS];
  final short[] chainCounts = new short[MOST_CHAINS];

  /** Position of the block's entry. */
  int entry;

  /** Offset of the block's first instruction in its page. */
  private int startOffset;

  /** Events are counted. */
  private final boolean counts;

  BlockWriter(Stubs stubs, boolean counts, int[] retry) {
    this.retry = retry;
    this.stubs = stubs;
    this.counts = counts;
  }

  void start(int mode, long origin) {
    this.mode = mode;
    a.start(origin);
    colds = 0;
    chains = 0;
    exitSiteCount = 0;
    scratch.forget();
    flagsInHost = false;
    flagsSaved = true;
    loadedUnits = 0;
    shadowed = 0;
    x87Pointers.start();
  }

  boolean is64() {
    return (mode & Mode.LONG) != 0;
  }

  /** Counts {@code event} at run time, if that is wanted; the host's flags are lost then. */
  void count(Event event) {
    if (counts) {
      a.memoryExtended(0, 8, 0xff, 0, Home.BASE, NONE, 0, Home.state(event.offset()));
    }
  }

  // Flags.

  /** Saves the flags if they are nowhere else: before anything that may leave the block. */
  void observe() {
    if (!flagsSaved) {
      saveFlags();
      flagsSaved = true;
    }
  }

  private void saveFlags() {
    a.lahf();
    a.setcc(Assembler.O, Home.A);
    a.store(2, Home.BASE, Home.state(EngineArea.FLAGS), Home.A);
  }

  /** The host's flags are about to be lost; they were saved by {@link #observe} if they matter. */
  void clobberFlags() {
    flagsInHost = false;
  }

  /** The present instruction has left all of its flags in the host's. */
  void flagsWritten() {
    flagsInHost = true;
    flagsSaved = false;
  }

  boolean flagsInHost() {
    return flagsInHost;
  }

  boolean flagsSaved() {
    return flagsSaved;
  }

  /** Brings all arithmetic flags into the host's; clobbers {@link Home#A}. */
  void needFlags() {
    if (!flagsInHost) {
      a.memory(
          0,
          4 | Assembler.BYTE_RM,
          0x0fb7,
          Home.A,
          Home.BASE,
          NONE,
          0,
          Home.state(EngineArea.FLAGS));
      // OF: 127 + 1 overflows.
      a.aluImmediate(Assembler.ADD, 1, Home.A, 0x7f);
      a.sahf();
      flagsInHost = true;
    }
  }

  /** Brings CF alone into the host's flags, without a scratch register. */
  void needCarry() {
    if (!flagsInHost) {
      // BT of bit 8: AH's bit 0.
      a.memoryExtended(0, 2, 0x0fba, 4, Home.BASE, NONE, 0, Home.state(EngineArea.FLAGS));
      a.int8(8);
    }
  }

  // Ways out.

  /** The present instruction is the interpreter's: leaves if the jump is taken. */
  void interpretIf(int condition) {
    cold(Leave.INTERPRET, a.jumpForward(condition), index);
  }

  /** The present instruction is the interpreter's: leaves. The flags must have been saved. */
  void interpret() {
    cold(Leave.INTERPRET, a.jumpForward(), index);
  }

  /** Leaves by {@code kind} if the jump is taken. */
  void leaveIf(int condition, int kind) {
    cold(kind, a.jumpForward(condition), index);
  }

  private void cold(int kind, int jump, int argument) {
    coldKind[colds] = kind;
    coldJump[colds] = jump;
    coldArgument[colds] = argument;
    coldFlags[colds] = false;
    coldIndex[colds] = index;
    coldBack[colds++] = a.size();
  }

  /**
   * The stack copy has another page: finds the right one behind the block, and comes back to {@link
   * #bindBack}.
   */
  void probeStackElsewhereIf(int condition, int size, boolean write) {
    cold(COLD_STACK, a.jumpForward(condition), size | (write ? 0x1000 : 0));
  }

  /** The code behind the block that was asked for last comes back here. */
  void bindBack() {
    coldBack[colds - 1] = a.size();
  }

  /**
   * The {@code length} bytes of the span that the present instruction leads are not on the page
   * that was looked at, or not in the TLB.
   */
  void spanElsewhereIf(int condition, int length, boolean write) {
    cold(COLD_SPAN, a.jumpForward(condition), length | (write ? 0x1000 : 0));
  }

  /**
   * The same for the stack copy: finds the right page behind the block, and comes back to {@link
   * #bindBack}.
   */
  void spanOnStackElsewhereIf(int condition, int length, boolean write) {
    cold(COLD_SPAN_ON_STACK, a.jumpForward(condition), length | (write ? 0x1000 : 0));
  }

  /** The host address of the span with that word into A. Keeps flags, unless events are counted. */
  void loadSpan(int word) {
    if (counts) {
      clobberFlags();
      count(Event.SHARED_LOOK_UP);
    }
    scratch.loadSpan(word);
  }

  /** The code of the present instruction has left its span's host address in A, if it has one. */
  void keepSpan(boolean ofStack) {
    if (spans.leads(index, ofStack) || spans.follows(index, ofStack)) {
      scratch.holdsSpan(spans.word(index, ofStack));
    }
  }

  /** True while there is room for another instruction's ways out. */
  boolean roomForMore() {
    return colds + 48 < MOST_COLD && chains + 4 < MOST_CHAINS;
  }

  /** Goes to the instruction at {@code target} of this page if {@code condition} holds. */
  void chainIf(int condition, int target) {
    chain(a.jumpForward(condition), target);
  }

  /** Goes to the instruction at {@code target} of this page; the block ends. */
  void chain(int target) {
    observe();
    if (target == startOffset) {
      a.bindTo(a.jumpForward(), entry);
      return;
    }
    alignSite(1);
    chainTargets[chains] = (short) target;
    chainCounts[chains] = (short) (index + 1);
    int jump = a.jumpForward();
    chainSites[chains] = jump - 4;
    cold(Leave.CHAIN, jump, chains++);
  }

  /**
   * A displacement {@code ahead} bytes from here must not cross a multiple of 8: it is replaced
   * while others run there.
   */
  private void alignSite(int ahead) {
    while ((a.here() + ahead & 7) > 4) {
      a.int8(0x90);
    }
  }

  /**
   * Goes to {@code target}, an offset from the page's start beyond its page, if the condition
   * holds.
   */
  void farIf(int condition, int target) {
    cold(COLD_FAR, a.jumpForward(condition), target);
    coldFlags[colds - 1] = !flagsSaved;
  }

  private void chain(int jump, int target) {
    chainTargets[chains] = (short) target;
    chainCounts[chains] = (short) (index + 1);
    cold(COLD_CHAIN, jump, chains++);
    coldFlags[colds - 1] = !flagsSaved;
  }

  /**
   * Goes to linear address {@link Home#V}, through the jump cache. Flags must have been saved;
   * 32-bit addresses must be zero-extended.
   */
  void jumpToV() {
    count(Event.JUMP);
    stubs.jumpCacheLookUp(a);
  }

  /** The next instruction is in STI's shadow. */
  void shadowNext() {
    shadowed |= 1L << (index + 1);
  }

  /** The mode is that of the key at {@code key} from now on; clobbers {@link Home#A}. */
  void takeKey(int key) {
    a.load(8, Home.A, Home.BASE, Home.state(key));
    a.store(8, Home.BASE, Home.state(EngineArea.JUMP_KEY), Home.A);
  }

  /**
   * Finds linear address V in the jump cache, its place in A; leaves by {@code kind} if it is not
   * there.
   */
  private void compareJump(int kind) {
    JumpCache.place(a);
    leaveIf(Assembler.O, kind);
    JumpCache.compare(a);
    cold(COLD_JUMP, a.jumpForward(Assembler.NE), kind);
    bindBack();
  }

  /**
   * Goes to linear address {@link Home#V}, where an indirect jump leads. Nothing may have changed
   * yet: where the jump cache does not know the address, the interpreter does all of it.
   *
   * @param release what the jump adds to the stack pointer
   */
  void jumpIndirectlyToV(int release) {
    count(Event.JUMP);
    compareJump(is64() && release == 8 ? Leave.RETURN : Leave.INTERPRET_JUMP);
    if (release != 0) {
      a.lea(is64() ? 8 : 4, Home.STACK, Home.STACK, NONE, 0, release);
    }
    JumpCache.go(a);
  }

  /**
   * The same for a call: {@code push} writes the push of the return address. It comes only when the
   * target is known, since it may overwrite where the target was read from.
   */
  void callIndirectlyToV(Runnable push) {
    count(Event.JUMP);
    compareJump(Leave.INTERPRET_JUMP);
    a.store(8, Home.BASE, Rewriting.SCRATCH, Home.V);
    JumpCache.target(a);
    a.store(8, Home.BASE, Home.state(EngineArea.TARGET), Home.A);
    push.run();
    a.load(8, Home.V, Home.BASE, Rewriting.SCRATCH);
    a.jumpIndirect(Home.BASE, NONE, 0, Home.state(EngineArea.TARGET));
  }

  /** Linear address of offset {@code target} from the page's start, into {@link Home#V}. */
  void addressToV(int target) {
    a.load(8, Home.V, Home.BASE, Home.state(EngineArea.PAGE_BASE));
    if (target != 0) {
      a.lea(is64() ? 8 : 4, Home.V, Home.V, NONE, 0, target);
    }
  }

  /** Jumps to {@code target}, an offset from the page's start that may lie on another page. */
  void jumpTo(int target) {
    if (target >= 0 && target < 4096) {
      chain(target);
    } else {
      jumpFar(target);
    }
  }

  /** Jumps to {@code target}, an offset from the page's start, through the jump cache. */
  void jumpFar(int target) {
    observe();
    addressToV(target);
    jumpToV();
  }

  /**
   * The registers of {@code unit}, one of {@link Units}, are the guest's from here on; with those
   * of {@link Units#UPPER}, AVX is enabled, else the present instruction is the interpreter's.
   * Flags must have been saved.
   */
  void need(int unit) {
    if ((loadedUnits & unit) == 0) {
      loadedUnits |= unit == Units.UPPER ? Units.VECTORS | Units.UPPER : unit;
      a.testStoreImmediate(1, Home.BASE, Home.state(EngineArea.LOADED), unit);
      cold(COLD_LOAD + unit, a.jumpForward(Assembler.E), index);
      clobberFlags();
    }
  }

  // The frame of a block.

  /** The far entry, then the entry with its look at the attention word and the budget. */
  void head(boolean counting) {
    startOffset = offset;
    int delta = -offset;
    // The far entry ends where the entry starts, on a multiple of 16.
    int length = 4 + (delta == (byte) delta ? 4 : 7) + 4;
    while ((a.here() + length & 15) != 0) {
      a.int8(0xcc);
    }
    farEntry = a.size();
    a.aluLoad(Assembler.XOR, 8, Home.V, Home.BASE, NONE, Home.state(EngineArea.JUMP_KEY));
    a.memory(0, 8, 0x8d, Home.V, Home.V, NONE, 0, delta);
    a.store(8, Home.BASE, Home.state(EngineArea.PAGE_BASE), Home.V);
    while ((a.here() & 15) != 0) {
      a.int8(0x90);
    }
    entry = a.size();
    index = 0;
    a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, Home.state(CpuState.ATTENTION), 0);
    leaveIf(Assembler.NE, Leave.ATTENTION);
    count(Event.BLOCK);
    if (counting) {
      a.memoryExtended(
          0, 8, 0x81, Assembler.SUB, Home.BASE, NONE, 0, Home.state(EngineArea.BUDGET));
      countAt = a.size();
      a.int32(0);
      leaveIf(Assembler.S, Leave.BUDGET);
    }
    this.counting = counting;
  }

  int farEntry;
  private boolean counting;
  private int countAt;

  /** Offsets of the block's instructions in its page. */
  private int[] offsets;

  /**
   * Writes the code behind the block.
   *
   * @param count its instructions
   * @param offsets where they lie in their page
   */
  int finish(int count, int[] offsets) {
    this.offsets = offsets;
    if (counting) {
      byte[] code = a.buffer();
      for (int i = 0; i < 4; i++) {
        code[countAt + i] = (byte) (count >> 8 * i);
      }
    }
    for (int c = 0; c < colds; c++) {
      if (coldKind[c] == COLD_CHAIN
          && !coldFlags[c]
          && !counting
          && chainTargets[coldArgument[c]] == startOffset) {
        a.bindTo(coldJump[c], entry);
        chainSites[coldArgument[c]] = -1;
        continue;
      }
      a.bind(coldJump[c]);
      switch (coldKind[c]) {
        case COLD_CHAIN -> {
          if (coldFlags[c]) {
            saveFlags();
          }
          uncount(count, c);
          int exit = coldArgument[c];
          if (chainTargets[exit] == startOffset) {
            a.bindTo(a.jumpForward(), entry);
            chainSites[exit] = -1;
            continue;
          }
          alignSite(1);
          int site = a.jumpForward();
          chainSites[exit] = site - 4;
          a.bind(site);
          leave(Leave.CHAIN, exit);
        }
        case COLD_FAR -> {
          if (coldFlags[c]) {
            saveFlags();
          }
          uncount(count, c);
          addressToV(coldArgument[c]);
          stubs.jumpCacheLookUp(a);
        }
        case COLD_JUMP -> {
          int known = stubs.jumpCacheFind(a);
          a.bindTo(known, coldBack[c]);
          if (coldArgument[c] == Leave.JUMP) {
            a.jump(stubs.leave[Leave.JUMP]);
          } else {
            leave(coldArgument[c], coldIndex[c]);
          }
        }
        case COLD_SPAN -> spanElsewhere(c, count);
        case COLD_SPAN_ON_STACK -> spanOnStackElsewhere(c, count);
        case COLD_STACK -> probeStackElsewhere(c);
        case COLD_LOAD + Units.VECTORS -> {
          a.call(stubs.loadVectors);
          back(coldBack[c]);
        }
        case COLD_LOAD + Units.UPPER -> {
          a.call(stubs.loadUppers);
          a.bindTo(a.jumpForward(Assembler.AE), coldBack[c]);
          leave(Leave.INTERPRET, coldArgument[c]);
        }
        case COLD_LOAD + Units.X87 -> {
          a.call(stubs.loadX87);
          back(coldBack[c]);
        }
        default -> leave(coldKind[c], coldArgument[c]);
      }
    }
    int stale = a.size();
    leave(Leave.STALE, 0);
    return stale;
  }

  /** A is the linear address xor the tag in the entry at V. */
  private void spanElsewhere(int c, int count) {
    boolean write = (coldArgument[c] & 0x1000) != 0;
    int length = coldArgument[c] & 0xfff;
    a.aluLoad(Assembler.XOR, 8, Home.A, Home.V, NONE, Memory.tag(write));
    a.store(8, Home.BASE, Home.state(EngineArea.MISS_ADDRESS), Home.A);
    int crossing = jumpIfCrossing(Home.A, length);
    miss(stubs.leaveKnown(write), coldIndex[c]);
    a.bind(crossing);
    narrow(c, count);
  }

  /** A is the linear address xor the copy's tag. */
  private void spanOnStackElsewhere(int c, int count) {
    count(Event.STACK_MISS);
    int length = coldArgument[c] & 0xfff;
    int copy = Memory.stackCopy(mode);
    a.mov(8, Home.V, Home.A);
    a.aluLoad(Assembler.XOR, 8, Home.V, Home.BASE, NONE, copy);
    int crossing = jumpIfCrossing(Home.V, length);
    findStack(c);
    a.bind(crossing);
    narrow(c, count);
  }

  /** Jumps if {@code length} bytes at the address in {@code register}, which is lost, cross. */
  private int jumpIfCrossing(int register, int length) {
    a.aluImmediate(Assembler.AND, 4, register, 0xfff);
    a.aluImmediate(Assembler.CMP, 4, register, 4096 - length);
    return a.jumpForward(Assembler.A);
  }

  /** Goes on in the block whose accesses all look for themselves. */
  private void narrow(int c, int count) {
    if (counting) {
      a.aluStoreImmediate(
          Assembler.ADD, 8, Home.BASE, Home.state(EngineArea.BUDGET), count - coldIndex[c]);
    }
    int exit = chains++;
    chainTargets[exit] = (short) offsets[coldIndex[c]];
    chainCounts[exit] = (short) coldIndex[c];
    alignSite(1);
    int site = a.jumpForward();
    chainSites[exit] = site - 4;
    a.bind(site);
    leave(Leave.NARROW, exit);
  }

  private void probeStackElsewhere(int c) {
    count(Event.STACK_MISS);
    findStack(c);
  }

  /** Finds the page behind the stack copy, and comes back or leaves. */
  private void findStack(int c) {
    boolean write = (coldArgument[c] & 0x1000) != 0;
    a.constant(Home.V, 4096 - (coldArgument[c] & 0xfff));
    a.call(stubs.findStack(mode, write));
    int back = a.jumpForward(Assembler.AE);
    a.bindTo(back, coldBack[c]);
    leave(write ? Leave.MISS_WRITE : Leave.MISS_READ, coldIndex[c]);
  }

  /** Gives back to the budget what a side exit does not execute. */
  private void uncount(int count, int c) {
    if (counting && coldIndex[c] + 1 != count) {
      a.aluStoreImmediate(
          Assembler.ADD, 8, Home.BASE, Home.state(EngineArea.BUDGET), count - coldIndex[c] - 1);
    }
  }

  private void back(int position) {
    int jump = a.jumpForward();
    a.bindTo(jump, position);
  }

  private void leave(int kind, int argument) {
    if (kind == Leave.MISS_READ || kind == Leave.MISS_WRITE) {
      miss(stubs.leave[kind], argument);
      return;
    }
    nameExit(argument);
    a.jump(stubs.leave[kind]);
  }

  /** Leaves by {@code stub}, or tries again where it has found the page. */
  private void miss(long stub, int argument) {
    nameExit(argument);
    a.call(stub);
    back(retry[argument]);
  }

  private void nameExit(int argument) {
    a.storeImmediate(4, Home.BASE, Home.state(EngineArea.EXIT), argument);
    exitSites[exitSiteCount++] = a.size() - 4;
  }

  // Operands.

  /** The general register of operand {@code n} as a host register, loaded into V if it has none. */
  int source(Instruction i, int n) {
    int register = Home.of(i.register[n]);
    if (register == Home.MEMORY) {
      scratch.load(i.register[n]);
      return Home.V;
    }
    return register;
  }

  /** Stores V to operand {@code n} if that has no host register. */
  void result(Instruction i, int n) {
    if (Home.of(i.register[n]) == Home.MEMORY) {
      scratch.store(i.register[n]);
    }
  }

  /** Copies guest register {@code gpr} (8 bytes) into a host register. */
  void get(int to, int gpr) {
    int home = Home.of(gpr);
    if (home == Home.MEMORY && to == Home.V) {
      scratch.load(gpr);
    } else if (home == Home.MEMORY) {
      a.load(8, to, Home.BASE, Home.displacement(gpr));
    } else {
      a.mov(8, to, home);
    }
  }

  /** Copies a host register into guest register {@code gpr}. */
  void put(int gpr, int from) {
    int home = Home.of(gpr);
    if (home == Home.MEMORY && from == Home.V) {
      scratch.store(gpr);
    } else if (home == Home.MEMORY) {
      a.store(8, Home.BASE, Home.displacement(gpr), from);
    } else {
      a.mov(8, home, from);
    }
  }
}
