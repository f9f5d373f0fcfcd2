package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.NativeFunction;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.translate.Event;
import dev.bothy.x86.translate.JumpCache;
import dev.bothy.x86.translate.Leave;
import dev.bothy.x86.translate.Mode;
import dev.bothy.x86.translate.TranslatedBlock;
import dev.bothy.x86.translate.Translator;
import dev.bothy.x86.translate.X87Pointers;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Runs translations on one vCPU: enters generated code, and does what it left for. Belongs to the
 * vCPU's thread.
 */
final class TranslatedExecution {
  private static final MethodHandle ENTER =
      NativeFunction.unbound(
          FunctionDescriptor.of(
              ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));

  private static final Op[] OPS = Op.values();
  private static final int FLAGS_OF = 1;

  private final Processor cpu;
  private final Translator translator;
  private final MemorySegment enter;
  private final long state;
  private final long base;
  private final int threshold;
  private final boolean counting;
  private final boolean readsClock;

  /** The next instruction is to be interpreted, whatever there is for it. */
  private boolean interpretNext;

  /** The next block that is entered was the target of a jump that the jump cache did not know. */
  private boolean rememberNext;

  /** The last miss of the TLB that was filled: missed again, it is no matter of filling. */
  private long lastMiss;

  private int lastMissExit = -1;

  /** The one before it, of the same instruction. */
  private long missBefore;

  /** Bits of mode seen, by the number that stands for it in the jump key; 0 is free. */
  private final int[] modeOfNumber = new int[MODE_NUMBERS];

  private final byte[] numberOfMode = new byte[Mode.COUNT];
  private int modes;

  // What the keys in the state were made for.
  private int keyedMode = -1;
  private int keyedSpace;
  private boolean keyedSmap;

  /** The mode that generated code was left in, as far as it is taken over. */
  private int present;

  private long presentKey;

  /** The address space's slot that the keys were made for, and taken over. */
  private int presentSlot;

  private static final int MODE_NUMBERS = 16;

  private static final int MOST_SPACES = 2047;

  /**
   * Stands for the address space in the jump keys of supervisor code, which most kernels have at
   * the same addresses in all of them.
   */
  private int kernelSpace = 1;

  private int lastSpace;

  /** Searches of the jump cache for entries of a page that had none, since it was empty. */
  private int vainSearches;

  private static final int MOST_VAIN_SEARCHES = 1000;

  // Statistics.
  private final long[] leaves = new long[Leave.KINDS];
  private long entries;
  private long fills;

  /** Instructions that generated code left to the interpreter one by one, by {@link Op}. */
  private final long[] interpreted = new long[OPS.length];

  TranslatedExecution(Processor cpu, Translator translator, int threshold, boolean counting) {
    this.cpu = cpu;
    this.translator = translator;
    this.threshold = threshold;
    this.counting = counting;
    enter = translator.enter();
    state = cpu.state;
    base = state + EngineArea.CENTRE;
    readsClock = !counting && clockIsNanoTime();
    putLong(state + EngineArea.BLOCK_INDEX, translator.blockIndex());
    cpu.describeMemory();
    forgetJumps();
  }

  /** True if the clock that generated code reads is the one behind {@link System#nanoTime}. */
  private boolean clockIsNanoTime() {
    try {
      long at = state + EngineArea.STRING_WORDS;
      long before = System.nanoTime();
      long result = (long) ENTER.invokeExact(translator.clock(), 1L, at);
      long after = System.nanoTime();
      long seen = getLong(at) * 1_000_000_000 + getLong(at + 8);
      return (int) result == 0 && seen >= before && seen <= after;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Guest time goes on: generated code may read it until the vCPU stops. */
  void startClock() {
    OptionalLong offset = readsClock ? cpu.machine.clock().hostOffset() : OptionalLong.empty();
    putInt(state + EngineArea.CLOCK_KNOWN, offset.isPresent() ? 1 : 0);
    putLong(state + EngineArea.CLOCK_OFFSET, offset.orElse(0));
    CpuidAnswers.check(cpu);
  }

  /** True once after generated code has left one instruction to the interpreter. */
  boolean takeInterpretNext() {
    boolean next = interpretNext;
    interpretNext = false;
    return next;
  }

  /** The first instruction of {@code block} is interpreted between pieces of generated code. */
  void countInterpreted(Block block) {
    if (block.first != null) {
      interpreted[block.first.ordinal()]++;
    }
  }

  // Mode.

  /** The present mode's {@link Mode} bits, or -1 if its code is not translated. */
  int mode() {
    if (!cpu.protectedMode || cpu.cpl != 0 && cpu.cpl != 3 || cpu.virtual8086()) {
      return -1;
    }
    int mode = cpu.guestMode ? Mode.GUEST : 0;
    if (cpu.enforces()) {
      if (ControlFlow.isSuppressed(cpu)) {
        return -1;
      }
      mode |= enforced(cpu.blockMode);
    }
    if (cpu.codeBits == 64) {
      mode |= Mode.LONG;
      if (cpu.fiveLevels()) {
        if (!JumpCache.knows(getLong(cpu.ripAt))) {
          return -1;
        }
        mode |= Mode.FIVE_LEVELS;
      }
    } else {
      if (cpu.codeBits != 32
          || (cpu.blockMode & 12) != 8
          || cpu.segmentBase(CpuState.CS) != 0
          || cpu.segmentLimit(CpuState.CS) != -1) {
        return -1;
      }
      if (cpu.flatButForBase(CpuState.FS) && cpu.flatButForBase(CpuState.GS)) {
        mode |= Mode.FLAT_FS_GS;
      }
    }
    if (cpu.cpl == 3) {
      mode |= Mode.USER;
    } else if (cpu.tlbKind() == PagingCpu.KERNEL_AC) {
      mode |= Mode.AC;
    }
    long cr0 = getLong(state + CpuState.CR0);
    if ((cr0 & (Bits.CR0_EM | Bits.CR0_TS)) != 0) {
      mode |= Mode.NO_SSE | Mode.NO_X87;
    }
    if ((getLong(state + CpuState.CR4) & Bits.CR4_OSFXSR) == 0) {
      mode |= Mode.NO_SSE;
    }
    if ((~getInt(state + CpuState.MXCSR) & 0x1f80) != 0) {
      mode |= Mode.SSE_TRAPS;
    }
    if ((~getInt(state + CpuState.X87_CONTROL) & 0x3f) != 0) {
      mode |= Mode.X87_TRAPS;
    }
    return mode;
  }

  /** What is enforced, as the interpreter's block modes have it. */
  private static int enforced(int blockMode) {
    return Mode.ENFORCED
        | ((blockMode & ControlFlow.MODE_SHADOW) != 0 ? Mode.SHADOWED : 0)
        | ((blockMode & ControlFlow.MODE_TRACKED) != 0 ? Mode.TRACKED : 0)
        | ((blockMode & ControlFlow.MODE_WAITING) != 0 ? Mode.WAITING : 0);
  }

  private int numberOf(int mode) {
    if (numberOfMode[mode] == 0) {
      numberOfMode[mode] = (byte) ++modes;
      modeOfNumber[modes] = mode;
      long at = state + EngineArea.MODES + 16L * modes;
      putLong(at + EngineArea.MODE_TABLE, JumpCache.modeTable(mode));
      putLong(at + EngineArea.MODE_KEY, JumpCache.modeKey(mode));
    }
    return numberOfMode[mode];
  }

  private long jumpKey(int mode) {
    int space = cpu.addressSpaceId();
    if ((mode & Mode.GUEST) != 0) {
      // All that a guest has in its tables goes at once.
      return ((long) numberOf(mode) << 11 | space) << 48;
    }
    if (space != lastSpace) {
      lastSpace = space;
      if (getInt(state + EngineArea.LOCAL_KERNEL_JUMPS) != 0) {
        forgetKernelJumps();
      }
    }
    return ((long) numberOf(mode) << 11 | ((mode & Mode.USER) != 0 ? space : kernelSpace)) << 48;
  }

  /** Supervisor code may be elsewhere than the jump cache has it. */
  void forgetKernelJumps() {
    putInt(state + EngineArea.LOCAL_KERNEL_JUMPS, 0);
    keyedMode = -1;
    if (kernelSpace == MOST_SPACES) {
      kernelSpace = 0;
      forgetJumps();
    }
    kernelSpace++;
  }

  /** Makes the keys for {@code mode}, and for those that generated code goes to by itself. */
  private void makeKeys(int mode) {
    int common = mode & ~(Mode.USER | Mode.AC | Mode.WAITING);
    int space = cpu.addressSpaceId();
    boolean smap = cpu.smap();
    if (common != keyedMode || space != keyedSpace || smap != keyedSmap) {
      boolean tracked = (mode & Mode.TRACKED) != 0;
      if (modes > MODE_NUMBERS - (tracked ? 7 : 4)
          && (numberOfMode[common] == 0
              || numberOfMode[common | Mode.USER] == 0
              || numberOfMode[common | Mode.AC] == 0)) {
        // There may be more modes than numbers: start again.
        forgetJumps();
        java.util.Arrays.fill(numberOfMode, (byte) 0);
        modes = 0;
      }
      putLong(state + EngineArea.KEY_KERNEL, jumpKey(common));
      putLong(state + EngineArea.KEY_USER, jumpKey(common | Mode.USER));
      putLong(state + EngineArea.KEY_AC, jumpKey(smap ? common | Mode.AC : common));
      if (tracked) {
        int waiting = common | Mode.WAITING;
        putLong(state + EngineArea.KEY_WAITING, jumpKey(waiting));
        putLong(state + EngineArea.KEY_WAITING + 8, jumpKey(waiting | Mode.USER));
        putLong(state + EngineArea.KEY_WAITING + 16, jumpKey(smap ? waiting | Mode.AC : waiting));
      }
      keyedMode = common;
      keyedSpace = space;
      keyedSmap = smap;
    }
    present = mode;
    presentSlot = getInt(state + EngineArea.SPACE_SLOT);
    int level = (mode & Mode.USER) != 0 ? 8 : (mode & Mode.AC) != 0 ? 16 : 0;
    int keys = (mode & Mode.WAITING) != 0 ? EngineArea.KEY_WAITING : EngineArea.KEY_KERNEL;
    presentKey = getLong(state + keys + level);
    putLong(state + EngineArea.JUMP_KEY, presentKey);
  }

  /**
   * Takes over mode and address space that generated code has gone to; RFLAGS must have been taken
   * over.
   */
  private void syncMode() {
    int slot = getInt(state + EngineArea.SPACE_SLOT);
    if (slot != presentSlot) {
      // No supervisor code was one space's alone, and the user's key is new: all are as they
      // should.
      presentSlot = slot;
      keyedSpace = cpu.addressSpaceId();
      lastSpace = keyedSpace;
      cpu.selectTable();
    }
    long key = getLong(state + EngineArea.JUMP_KEY);
    if (key != presentKey) {
      presentKey = key;
      present = modeOfNumber[(int) (key >>> EngineArea.KEY_MODE_SHIFT)];
      cpu.setCpl((present & Mode.USER) != 0 ? 3 : 0);
    }
  }

  // The jump cache.

  /** Empties the jump cache. */
  void forgetJumps() {
    // No address is as far from canonical as the key that this would take.
    RawMemory.segment(
            state + EngineArea.JUMPS,
            16L * EngineArea.JUMP_ENTRIES + EngineArea.JUMP_PAGES_BITS / 8)
        .fill((byte) 0);
    vainSearches = 0;
  }

  /** Forgets the entries of one page, in all modes and address spaces. */
  void forgetJumps(long linear) {
    long page = linear >>> 12;
    if ((getLong(jumpPageWord(page)) & 1L << page) == 0) {
      return;
    }
    boolean some = false;
    for (int i = 0; i < JumpCache.PAIRS_OF_PAGE; i++) {
      long pair = state + JumpCache.pairOfPage(linear, i);
      some |= forgetIfOn(pair, page) | forgetIfOn(pair + 16, page);
    }
    // The bits of pages that have no entries any more become too many.
    if (!some && ++vainSearches == MOST_VAIN_SEARCHES) {
      forgetJumps();
    }
  }

  /** Host address of the word with the bit of {@link EngineArea#JUMP_PAGES} for a page. */
  private long jumpPageWord(long page) {
    return state + EngineArea.JUMP_PAGES + (page & EngineArea.JUMP_PAGES_BITS - 1) / 64 * 8;
  }

  private static boolean forgetIfOn(long entry, long page) {
    if ((getLong(entry) ^ page << 12) << 16 >>> 28 != 0) {
      return false;
    }
    putLong(entry, 0);
    return true;
  }

  /** Whoever jumps to the processor's RIP in the present mode gets to {@code to}. */
  private void rememberJump(TranslatedBlock to) {
    long rip = getLong(cpu.ripAt);
    if ((to.mode & (Mode.USER | Mode.GUEST)) == 0 && !cpu.fetchesGlobally(rip)) {
      putInt(state + EngineArea.LOCAL_KERNEL_JUMPS, 1);
    }
    long tag = rip ^ getLong(state + EngineArea.JUMP_KEY);
    long entry = state + JumpCache.entry(rip);
    if (getLong(entry) != tag) {
      // The one before stays as the second of the pair.
      putLong(entry + 24, getLong(entry + 8));
      putLong(entry + 16, getLong(entry));
    }
    putLong(entry + 8, to.farEntry());
    putLong(entry, tag);
    long word = jumpPageWord(rip >>> 12);
    putLong(word, getLong(word) | 1L << (rip >>> 12));
  }

  // Translating.

  /** Counts a run of {@code block}; true once it has run often enough to be translated. */
  boolean isHot(Block block) {
    if (block.heat < threshold) {
      block.heat++;
      return false;
    }
    return true;
  }

  /** The translation of the code at {@code physical} in the present mode if it is there already. */
  TranslatedBlock known(long physical) {
    if (!translator.keeps()) {
      return null;
    }
    int mode = mode();
    long page = cpu.hostOf(physical & ~0xfffL);
    return mode < 0 || page == 0 ? null : translator.known(physical, page, mode, cpu.codeMap);
  }

  /** The translation of {@code block} for {@code mode}, made if it runs often enough; else null. */
  TranslatedBlock translationOf(Block block, int mode, long limit) {
    if (limit != Long.MAX_VALUE && !counting || mode < 0) {
      return null;
    }
    TranslatedBlock translation = block.translation;
    if (translation == null || !translation.valid() || translation.mode != mode) {
      if (!isHot(block)) {
        return null;
      }
      if (block.untranslatable) {
        interpretNext = true;
        return null;
      }
      translation = translate(block, mode);
      if (translation == null) {
        block.untranslatable = !translator.full();
        interpretNext = true;
        return null;
      }
      block.translation = translation;
      cpu.code.strip(block);
    }
    return counting && limit - cpu.executed < translation.count() ? null : translation;
  }

  /**
   * The translation of {@code block} that takes no accesses together; null if there can be none.
   */
  private TranslatedBlock narrowTranslationOf(Block block, long limit) {
    TranslatedBlock translation = translate(block, present | Mode.NARROW);
    return translation == null || counting && limit - cpu.executed < translation.count()
        ? null
        : translation;
  }

  private TranslatedBlock translate(Block block, int mode) {
    long page = block.physical & ~0xfffL;
    long host = cpu.hostOf(page);
    long second = block.secondPage < 0 ? 0 : cpu.hostOf(block.secondPage);
    if (host == 0 || !block.valid || block.secondPage >= 0 && second == 0) {
      return null;
    }
    if (translator.full()) {
      cpu.engine.clearTranslations();
    }
    return translator.translate(
        block.physical, getLong(cpu.ripAt), host, block.secondPage, second, mode, cpu.codeMap);
  }

  // Running.

  private void syncIn(int mode) {
    int flags = cpu.arithmeticFlags();
    putInt(state + EngineArea.FLAGS, (flags & 0xff | 2) << 8 | flags >>> 11 & FLAGS_OF);
    putInt(state + EngineArea.SYSTEM_FLAGS, cpu.systemFlags);
    makeKeys(mode);
    putInt(state + EngineArea.REFILL_FLAGS, cpu.refillFlags());
    putInt(state + EngineArea.REFILL_EXIT, -1);
    boolean waits = cpu.svm.interruptWaits();
    putInt(
        state + EngineArea.INTERRUPT_WAITS,
        (waits ? 1 : 0) | (cpu.nmiBlocked ? EngineArea.NMIS_BLOCKED : 0));
  }

  private void syncOut() {
    int flags = getInt(state + EngineArea.FLAGS);
    cpu.setArithmeticFlags(flags >>> 8 & 0xff | (flags & FLAGS_OF) << 11);
    cpu.systemFlags = getInt(state + EngineArea.SYSTEM_FLAGS);
    syncMode();
  }

  private void setRip(long rip) {
    putLong(cpu.ripAt, cpu.wrapRip(rip));
  }

  /**
   * Runs generated code from {@code translation}, the one of the processor's RIP, until something
   * is Java's.
   *
   * @return the block that comes next, or null: look it up
   */
  Block run(TranslatedBlock translation, int mode, long limit) {
    long rip = getLong(cpu.ripAt);
    syncIn(mode);
    putLong(state + EngineArea.PAGE_BASE, rip & ~0xfffL);
    if (counting) {
      putLong(state + EngineArea.BUDGET, limit - cpu.executed);
    }
    if (rememberNext) {
      rememberNext = false;
      rememberJump(translation);
    }
    long target = translation.entry();
    for (; ; ) {
      boolean narrow = false;
      int kind = enter(target);
      int exit = getInt(state + EngineArea.EXIT);
      leaves[kind]++;
      // A jump cache miss names no block.
      TranslatedBlock exited = kind == Leave.JUMP ? null : translator.block(exit >>> 8);
      switch (kind) {
        case Leave.ATTENTION, Leave.BUDGET -> {
          int back = kind == Leave.BUDGET ? exited.count() : 0;
          leave(pageBase() + exited.offset(0), limit, back);
          return null;
        }
        case Leave.STALE -> {
          leave(pageBase() + exited.offset(0), limit, 0);
        }
        case Leave.MISS_READ, Leave.MISS_WRITE -> {
          int index = exit & 0xff;
          long address = getLong(state + EngineArea.MISS_ADDRESS) + exited.lookedAhead(index);
          boolean others = kind == Leave.MISS_WRITE && exited.readsFirst(index);
          if (getLong(state + EngineArea.JUMP_KEY) != presentKey
              || getInt(state + EngineArea.SPACE_SLOT) != presentSlot) {
            syncOut();
          }
          // Two accesses of one instruction may take each other's entry.
          int found =
              exit != lastMissExit || address != lastMiss && address != missBefore
                  ? cpu.fill(address, kind == Leave.MISS_WRITE && !others)
                  : PagingCpu.UNUSUAL;
          if (found == PagingCpu.FILLED && !exited.valid()) {
            // Overwritten meanwhile, by another vCPU: what is there now comes next.
            lastMissExit = -1;
            leaveAt(exited, index, limit);
            break;
          }
          if (found == PagingCpu.FILLED) {
            fills++;
            missBefore = exit == lastMissExit ? lastMiss : address;
            lastMiss = address;
            lastMissExit = exit;
            target = exited.retryAt(index);
            if (exited.loadedAt(index) != 0) {
              putLong(state + EngineArea.TARGET, target);
              target = translator.resume(exited.loadedAt(index));
            }
            continue;
          }
          lastMissExit = -1;
          leaveAt(exited, index, limit);
          if (others && found == PagingCpu.UNUSUAL) {
            // It may be read, and not yet be written.
            narrow = true;
            break;
          }
          // What goes over the page's end may have other reasons to fault.
          if (found == PagingCpu.PAGE_FAULT
              && (address & 0xfff) <= 4096 - 64
              && exited.faultsAsFoundAt(index)) {
            cpu.takePageFault();
            return null;
          }
          interpretNext = true;
          return null;
        }
        case Leave.INTERPRET, Leave.INTERPRET_JUMP -> {
          leaveAt(exited, exit & 0xff, limit);
          interpretNext = true;
          rememberNext = kind == Leave.INTERPRET_JUMP;
          return null;
        }
        case Leave.CHAIN -> {
          leave(pageBase() + exited.chainTarget(exit & 0xff), limit, 0);
        }
        case Leave.NARROW -> {
          leave(pageBase() + exited.chainTarget(exit & 0xff), limit, 0);
          narrow = true;
        }
        case Leave.RETURN -> {
          leaveAt(exited, exit & 0xff, limit);
          long sp = cpu.rsp();
          long to = cpu.load64(sp);
          if (!JumpCache.knows(to) || mustStop(limit)) {
            interpretNext = true;
            return null;
          }
          cpu.setGpr(CpuState.RSP, sp + 8);
          putLong(cpu.ripAt, to);
          if (counting) {
            cpu.executed++;
            putLong(state + EngineArea.BUDGET, limit - cpu.executed);
          }
        }
        default -> leave(getLong(state + EngineArea.TARGET), limit, 0);
      }
      // A jump that generated code could not follow: where it leads is known now.
      if (mustStop(limit)) {
        return null;
      }
      Block next = cpu.lookUpNext();
      if (!JumpCache.knows(getLong(cpu.ripAt))) {
        return next;
      }
      TranslatedBlock to =
          narrow ? narrowTranslationOf(next, limit) : translationOf(next, present, limit);
      if (to == null) {
        return next;
      }
      switch (kind) {
        case Leave.STALE -> translator.redirect(exited, to);
        case Leave.MISS_READ, Leave.MISS_WRITE -> {}
        case Leave.CHAIN, Leave.NARROW -> translator.chain(exited, exit & 0xff, to);
        default -> rememberJump(to);
      }
      target = to.entry();
      putLong(state + EngineArea.PAGE_BASE, getLong(cpu.ripAt) & ~0xfffL);
    }
  }

  /** Something comes before the next instruction, its fetch included. */
  private boolean mustStop(long limit) {
    return cpu.attention() != 0 || cpu.executed >= limit;
  }

  private long pageBase() {
    return getLong(state + EngineArea.PAGE_BASE);
  }

  /** The architectural state is as before the instruction at {@code rip}. */
  private void leave(long rip, long limit, int notExecuted) {
    syncOut();
    setRip(rip);
    if (counting) {
      long left = getLong(state + EngineArea.BUDGET) + notExecuted;
      putLong(state + EngineArea.BUDGET, left);
      cpu.executed = limit - left;
    }
  }

  /** Leaves before instruction {@code index} of {@code at}. */
  private void leaveAt(TranslatedBlock at, int index, long limit) {
    X87Pointers.apply(state, at.pointersAt(index), pageBase());
    leave(pageBase() + at.offset(index), limit, at.count() - index);
    if (at.shadowedAt(index)) {
      cpu.shadowAt = cpu.executed;
      cpu.shadowByStack = false;
    }
  }

  private int enter(long target) {
    entries++;
    try {
      return (int) (long) ENTER.invokeExact(enter, base, target);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Adds this vCPU's counters. */
  void count(Map<String, Long> counters) {
    counters.put("translatedEntries", entries);
    counters.put("tlbFills", fills + getLong(state + EngineArea.REFILLS));
    for (int i = 0; i < Leave.KINDS; i++) {
      counters.put("left." + Leave.name(i), leaves[i]);
    }
    if (translator.counts()) {
      for (Event event : Event.values()) {
        counters.put(event.counter(), getLong(state + event.offset()));
      }
    }
    for (Op op : OPS) {
      if (interpreted[op.ordinal()] != 0) {
        counters.put("interpreted." + op, interpreted[op.ordinal()]);
      }
    }
  }
}
