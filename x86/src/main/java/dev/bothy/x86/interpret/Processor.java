package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getAndBitwiseAndInt;
import static dev.bothy.host.RawMemory.getAndBitwiseOrInt;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getIntAcquire;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.Engine;
import dev.bothy.core.Exit;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.translate.TranslatedBlock;

/**
 * The interpreter's processor: the loop that runs decoded blocks, and what happens between
 * instructions (AMD64 APM volume 2, chapter 8: priorities, interrupts, traps).
 *
 * <p>While a block runs, RIP holds the address of its start; a node's own address is that plus its
 * offset.
 */
final class Processor extends SegmentingCpu {
  /** Looked at between all instructions while set: single-step, breakpoints, interrupt shadow. */
  static final int ATTENTION_STEP = 16;

  final Engine.Environment machine;
  final CpuModel model;
  final int index;
  final InterpreterEngine engine;
  final CodeCache code;
  final long ripAt;
  final DebugStops debug;

  /** What runs may be a guest's guest. */
  final Svm svm;

  final WorldSwitch worlds;

  final Transaction transactions = new Transaction(this);
  private final long attentionAt;

  /** Host address of {@link EngineArea#STUB_RESULTS}. */
  final long scratch;

  /** The machine's only vCPU: LOCK needs no atomic operation, since devices do not lock. */
  final boolean alone;

  /** Instructions executed; read by other threads for statistics. */
  long executed;

  /** Linear address of the read-modify-write under way. */
  long updateAt;

  /** Offset of the running generic instruction from RIP. */
  int at;

  /** Where the running end leads; starts as the next instruction. */
  long branchTo;

  /** Value of {@link #executed} at which interrupts are shadowed by STI or MOV SS, else -1. */
  long shadowAt = -1;

  /** The shadow is MOV SS's: it also holds debug traps. */
  boolean shadowByStack;

  boolean nmiBlocked;

  /** A code breakpoint is armed. */
  boolean breakpoints;

  /** A port breakpoint is armed. */
  boolean portBreakpoints;

  /** DR6 bits of debug traps to be taken at the next boundary. */
  int pendingDebug;

  /** Runs machine code instead of blocks where there is some; null in the plain interpreter. */
  final TranslatedExecution translated;

  /** Decoded instructions kept. */
  private static final int INSTRUCTIONS = 600_000;

  /**
   * Beside generated code, which runs what is hot: a block that is dropped has to become hot again.
   */
  private static final int INSTRUCTIONS_BESIDE_TRANSLATIONS = 1_800_000;

  private Block running;
  private int runningIndex;
  private End linkFrom;
  private int stepLimit = Integer.MAX_VALUE;
  private boolean stepTraps;

  /** RIP of the instruction that runs alone, while branches are recorded. */
  private long steppedFrom;

  /** The instruction just run has loaded RF: it stays for the next one. */
  private boolean resumeLoaded;

  /** Microsoft's hypervisor interface, or null. */
  final HypervInterface hyperv;

  /** A triple fault's report. */
  String shutdownReport;

  final ProcessorSignals signals = new ProcessorSignals();

  private final PostedPages posted = new PostedPages();

  // Statistics.
  long exceptions;
  long interrupts;
  final long[] exceptionsByVector = new long[32];

  /** Accesses to ports by this vCPU. */
  long portAccesses;

  Processor(
      InterpreterEngine engine,
      Engine.Environment machine,
      int index,
      CpuState cpuState,
      LocalInterruptController apic,
      CodeMap codeMap) {
    super(cpuState, machine, apic, codeMap);
    this.engine = engine;
    this.machine = machine;
    this.model = machine.model();
    this.index = index;
    ripAt = state + CpuState.RIP;
    attentionAt = state + CpuState.ATTENTION;
    debug = new DebugStops(this, codeMap.breakpoints);
    svm = new Svm(this);
    worlds = new WorldSwitch(this, svm);
    scratch = state + EngineArea.STUB_RESULTS;
    alone = machine.cpus() == 1;
    translated =
        engine.translator == null
            ? null
            : new TranslatedExecution(this, engine.translator, engine.threshold, engine.counting);
    ReturnTargets.forget(state);
    hyperv = model.has(CpuFeature.HYPERV) ? new HypervInterface(this) : null;
    code =
        new CodeCache(
            this,
            index,
            machine.memory(),
            codeMap,
            translated == null ? INSTRUCTIONS : INSTRUCTIONS_BESIDE_TRANSLATIONS);
  }

  // The loop.

  /** Runs until an exit; see {@link dev.bothy.core.Vcpu#run}. */
  Exit run(long budget) {
    long limit = budget > Long.MAX_VALUE - executed ? Long.MAX_VALUE : executed + budget;
    engine.exclusive.enter();
    try {
      // Whatever happened while we were away is looked at first.
      getAndBitwiseOrInt(attentionAt, CpuState.ATTENTION_ENGINE);
      if (translated != null) {
        translated.startClock();
      }
      for (; ; ) {
        try {
          Exit exit = runBlocks(limit);
          if (exit != null) {
            return exit;
          }
        } catch (GuestFault f) {
          takeFault();
        } catch (VirtualExit e) {
          settle();
          worlds.leave(e);
        } catch (StopBlock s) {
          settle();
        }
      }
    } catch (Shutdown s) {
      putInt(state + CpuState.ACTIVITY, CpuState.ACTIVITY_SHUTDOWN);
      return new Exit.Shutdown(shutdownReport);
    } catch (RuntimeException | AssertionError | StackOverflowError e) {
      // A mistake of ours or of a device. The state may be that of half an instruction: there is no
      // going on.
      return new Exit.Failed(CpuReport.ofFailure(this, e));
    } finally {
      engine.exclusive.leave();
    }
  }

  private Exit runBlocks(long limit) {
    Block block = null;
    for (; ; ) {
      int most = Integer.MAX_VALUE;
      if (getIntAcquire(attentionAt) != 0 || executed >= limit) {
        Exit exit = attend(limit);
        if (exit != null) {
          return exit;
        }
        most = stepLimit;
        // An interrupt may have been taken: what comes next is not where the last block led.
        block = null;
        linkFrom = null;
      }
      if (block == null || !block.valid) {
        block = lookUp();
      }
      boolean one = false;
      if (translated != null && most == Integer.MAX_VALUE) {
        one = translated.takeInterpretNext();
        if (!one && translated.isHot(block)) {
          int mode = translated.mode();
          TranslatedBlock machineCode = translated.translationOf(block, mode, limit);
          if (machineCode != null) {
            running = null;
            linkFrom = null;
            block = translated.run(machineCode, mode, limit);
            continue;
          }
          one = translated.takeInterpretNext();
        }
        if (one) {
          // What is behind it has machine code again.
          most = 1;
        }
      }
      if (block.body == null) {
        long rip = getLong(ripAt);
        long linear = codeBits == 64 ? rip : segmentBase(CpuState.CS) + rip & 0xffff_ffffL;
        block = code.restore(block, linear);
      }
      if (one) {
        translated.countInterpreted(block);
      }
      if (codeBits != 64) {
        most = Math.min(most, insideLimit(block));
      }
      if (block.count > limit - executed || block.count > most) {
        runPart(block, (int) Math.min(most, limit - executed));
        block = null;
        continue;
      }
      running = block;
      Node[] body = block.body;
      int i = 0;
      try {
        for (; i < body.length; i++) {
          body[i].run(this);
        }
        Block next = block.end.run(this);
        executed += block.count;
        block = next;
      } catch (Throwable e) {
        runningIndex = i;
        throw e;
      }
      if (most == 1) {
        afterStep();
        block = null;
      }
    }
  }

  /** Runs the first {@code n} instructions of a block that has more. */
  private void runPart(Block block, int n) {
    running = block;
    int i = 0;
    try {
      for (; i < n; i++) {
        block.body[i].run(this);
      }
    } catch (Throwable e) {
      runningIndex = i;
      throw e;
    }
    executed += n;
    putLong(ripAt, wrapRip(getLong(ripAt) + block.offsets[n]));
    if (stepLimit == 1) {
      afterStep();
    }
  }

  /**
   * Runs the block at RIP for who counts its instructions himself; whatever it raises is his.
   *
   * @param most instructions; none are run if there are more
   * @return how many it has
   */
  int runNext(int most) {
    Block block = lookUpNext();
    if (block.body == null) {
      long rip = getLong(ripAt);
      block = code.restore(block, codeBits == 64 ? rip : segmentBase(CpuState.CS) + rip);
    }
    int count = block.count;
    if (count > most || codeBits != 64 && insideLimit(block) < count) {
      return Integer.MAX_VALUE;
    }
    for (Node node : block.body) {
      node.run(this);
    }
    block.end.run(this);
    return count;
  }

  /** Instructions of {@code block} that end inside the code segment; #GP(0) if it is none. */
  private int insideLimit(Block block) {
    long rip = getLong(ripAt);
    long limit = segmentLimit(CpuState.CS) & 0xffff_ffffL;
    if (rip + block.length - 1 <= limit) {
      return Integer.MAX_VALUE;
    }
    int whole = 0;
    while (whole < block.body.length && rip + block.offsets[whole + 1] - 1 <= limit) {
      whole++;
    }
    if (whole == 0) {
      running = null;
      throw raise(GuestFault.GP, 0);
    }
    return whole;
  }

  /** The block at RIP, for who runs it otherwise. */
  Block lookUpNext() {
    linkFrom = null;
    return lookUp();
  }

  private Block lookUp() {
    long rip = getLong(ripAt);
    End from = linkFrom;
    linkFrom = null;
    running = null;
    runningIndex = 0;
    long linear = rip;
    if (codeBits != 64) {
      if (Long.compareUnsigned(rip, segmentLimit(CpuState.CS) & 0xffff_ffffL) > 0) {
        throw raise(GuestFault.GP, 0);
      }
      linear = segmentBase(CpuState.CS) + rip & 0xffff_ffffL;
    }
    Block block = code.find(rip, linear, blockMode);
    if (from != null) {
      from.link(block);
    }
    return block;
  }

  /** {@code from}'s jump stays on its page: the block found next may be remembered there. */
  Block wantLink(End from) {
    linkFrom = from;
    return null;
  }

  void settle() {
    Block block = running;
    if (block != null) {
      executed += runningIndex;
      putLong(ripAt, wrapRip(getLong(ripAt) + block.offsets[runningIndex]));
      running = null;
    }
    linkFrom = null;
  }

  long wrapRip(long rip) {
    return codeBits == 64 ? rip : rip & 0xffff_ffffL;
  }

  /** Delivers the page fault that the instruction at RIP raises, as generated code has found. */
  void takePageFault() {
    running = null;
    takeFault();
  }

  private void takeFault() {
    if (fault.nonCanonical && running != null) {
      fault.vector = FaultVector.of(this, running, running.offsets[runningIndex]);
    }
    settle();
    int vector = fault.vector;
    exceptions++;
    if (vector < 32) {
      exceptionsByVector[vector]++;
    }
    shadowAt = -1;
    // An instruction that faults will be started again: its data breakpoints count then.
    pendingDebug = 0;
    debug.faulted();
    try {
      EventDelivery.exception(this, vector, fault.errorCode);
    } catch (VirtualExit e) {
      worlds.leave(e);
    }
  }

  @Override
  long nextRip(Instruction i) {
    return wrapRip(getLong(ripAt) + at + i.length);
  }

  // Between instructions.

  @Override
  void requestAttention() {
    getAndBitwiseOrInt(attentionAt, CpuState.ATTENTION_INTERRUPT);
  }

  /** Has {@link #signals} looked at. Any thread. */
  void signalled() {
    setAttention(CpuState.ATTENTION_EVENT);
    machine.wakeUp().wake(index);
  }

  /** Sets attention bits from any thread. */
  void setAttention(int bits) {
    getAndBitwiseOrInt(attentionAt, bits);
  }

  int attention() {
    return getIntAcquire(attentionAt);
  }

  /** Interrupts stay off for one more instruction. */
  void shadow(boolean byStack) {
    // The instruction that calls this is an end: it is counted after it returns.
    shadowAt = executed + running.count;
    shadowByStack = byStack;
    if (pendingDebug != 0 || (systemFlags & Bits.TF) != 0) {
      setAttention(ATTENTION_STEP);
    }
  }

  private Exit attend(long limit) {
    stepLimit = Integer.MAX_VALUE;
    running = null;
    int seen =
        getAndBitwiseAndInt(
            attentionAt,
            ~(CpuState.ATTENTION_INTERRUPT
                | CpuState.ATTENTION_EVENT
                | CpuState.ATTENTION_KICK
                | CpuState.ATTENTION_ENGINE
                | ATTENTION_STEP));
    posted.take(page -> code.drop(page, 4096));
    engine.exclusive.yieldIfWanted();
    if ((seen & CpuState.ATTENTION_EVENT) != 0 || getInt(state + CpuState.STARTUP_PENDING) != 0) {
      EventDelivery.processSignals(this);
    }
    Exit stop = debug.take();
    if (stop != null) {
      return stop;
    }
    if ((seen & CpuState.ATTENTION_KICK) != 0) {
      // What else was there is looked at again on the next entry.
      return new Exit.Kicked();
    }
    int activity = getInt(state + CpuState.ACTIVITY);
    if (activity == CpuState.ACTIVITY_WAIT_STARTUP) {
      return new Exit.WaitingForStartup();
    }
    if (activity == CpuState.ACTIVITY_SHUTDOWN) {
      return new Exit.Shutdown(shutdownReport == null ? "processor is shut down" : shutdownReport);
    }
    if (executed >= limit) {
      return new Exit.BudgetSpent();
    }
    boolean shadowed = shadowed();
    if (pendingDebug != 0 && !(shadowed && shadowByStack)) {
      int bits = pendingDebug;
      pendingDebug = 0;
      wake();
      EventDelivery.debugTrap(this, bits);
      shadowed = false;
    }
    if (!shadowed && !debug.holdsInterrupts()) {
      Interrupts.take(this);
    } else {
      setAttention(CpuState.ATTENTION_INTERRUPT);
      stepLimit = 1;
    }
    activity = getInt(state + CpuState.ACTIVITY);
    if (activity != CpuState.ACTIVITY_RUNNING) {
      return activity == CpuState.ACTIVITY_HALTED
          ? new Exit.Halted()
          : new Exit.WaitingForStartup();
    }
    if (DebugRegisters.armedForCode(this)) {
      setAttention(ATTENTION_STEP);
      stepLimit = 1;
      DebugRegisters.checkFetch(this);
    }
    if (BranchRecord.on(this)) {
      setAttention(ATTENTION_STEP);
      stepLimit = 1;
      steppedFrom = getLong(ripAt);
    }
    stepTraps = (systemFlags & Bits.TF) != 0;
    // RF ends with the instruction, so that one is run alone as well.
    if ((systemFlags & (Bits.TF | Bits.RF)) != 0) {
      setAttention(ATTENTION_STEP);
      stepLimit = 1;
    }
    resumeLoaded = false;
    if (debug.traced()) {
      setAttention(ATTENTION_STEP);
      stepLimit = 1;
    }
    return null;
  }

  /** Ends HLT. */
  void wake() {
    putInt(state + CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
  }

  private void afterStep() {
    // VMRUN and what it leads to have left the block; in longer ones no branch comes first.
    if (running != null && running.count == 1) {
      BranchRecord.ran(this, steppedFrom, running.length);
    }
    if (!resumeLoaded) {
      systemFlags &= ~Bits.RF;
    }
    // MOV SS and POP SS do not put off their own step, they lose it.
    if (stepTraps && !(shadowByStack && shadowed())) {
      trapStep();
    }
  }

  /** A single-step trap follows the instruction under way. */
  void trapStep() {
    pendingDebug |= DebugRegisters.SINGLE_STEP;
    setAttention(ATTENTION_STEP);
  }

  /** IRET has loaded RF: it holds for the instruction returned to. */
  void resumeFlagLoaded() {
    resumeLoaded = true;
  }

  /**
   * The instruction under way has left TF's reach (INT n, SYSCALL): it traps only if {@code still}.
   */
  void stepOnlyIf(boolean still) {
    stepTraps &= still;
  }

  /** True if the vCPU has a reason to leave HLT or wait-for-startup. */
  boolean hasWork() {
    int attention = getIntAcquire(attentionAt);
    if ((attention & (CpuState.ATTENTION_EVENT | CpuState.ATTENTION_KICK)) != 0) {
      return true;
    }
    return getInt(state + CpuState.ACTIVITY) == CpuState.ACTIVITY_RUNNING
        || getInt(state + CpuState.ACTIVITY) == CpuState.ACTIVITY_HALTED && Interrupts.wake(this);
  }

  void halt() {
    putInt(state + CpuState.ACTIVITY, CpuState.ACTIVITY_HALTED);
    setAttention(CpuState.ATTENTION_ENGINE);
  }

  // Code that changes.

  @Override
  public void pageForgotten(long linear) {
    if (translated != null) {
      translated.forgetJumps(linear);
    }
  }

  @Override
  public void allForgotten() {
    if (translated != null) {
      translated.forgetKernelJumps();
    }
  }

  @Override
  public void addressSpacesForgotten() {
    if (translated != null) {
      translated.forgetJumps();
    }
  }

  @Override
  void dropCode(long physical, long length) {
    code.drop(physical, length);
  }

  @Override
  void postDropCode(long physical, long length) {
    posted.add(physical);
    setAttention(CpuState.ATTENTION_ENGINE);
  }

  /**
   * The code cache has dropped {@code block}; if it is running, it stops after the present
   * instruction.
   */
  void blockDropped(Block block) {
    if (block == running) {
      block.stop();
    }
  }

  /** The running block ends after the present instruction: something waits between instructions. */
  void stopAfterThis() {
    if (running != null) {
      code.drop(running.physical, 1);
      // Code outside RAM is not in the cache.
      running.valid = false;
      running.stop();
    }
  }

  // What semantics ask.

  @Override
  void watch(long linear, int size, boolean write) {
    DebugRegisters.checkData(this, linear, size, write);
    debug.accessed(linear, size, write);
  }

  @Override
  boolean watchesPage(long linear) {
    return DebugRegisters.watchesPage(this, linear) || debug.watchesPage(linear);
  }

  @Override
  VirtualExit nestedFault(long information, long physical) {
    return svm.exit(VirtualExit.NESTED_PAGE_FAULT, information, physical);
  }

  /** #GP(0). */
  GuestFault gp() {
    return raise(GuestFault.GP, 0);
  }

  GuestFault ud() {
    return raise(GuestFault.UD);
  }

  void requireCpl0() {
    if (cpl != 0) {
      throw gp();
    }
  }

  /** CPL follows CS; tables of the TLB follow CPL. */
  void setCpl(int level) {
    cpl = level;
    selectTable();
    if (enforces()) {
      updateControlFlow();
    }
  }

  /** This vCPU's time-stamp counter. */
  long tsc() {
    return machine.clock().nanos() + getLong(state + CpuState.TSC_OFFSET);
  }

  /** True if that, but for what a guest's host adds to it, is not the machine's clock. */
  boolean timeMoved() {
    return getLong(state + CpuState.TSC_OFFSET) != getLong(state + SvmState.TSC_OFFSET);
  }

  /**
   * Leaves a string instruction between two iterations, to be gone on with after a look at the
   * attention word.
   */
  void restart() {
    if (stepTraps) {
      // Each iteration is a step.
      pendingDebug |= DebugRegisters.SINGLE_STEP;
    }
    throw StopBlock.SIGNAL;
  }

  /** Nothing is running, or remembered from what ran. */
  void forgetRun() {
    running = null;
    linkFrom = null;
  }

  /** True while the shadow of STI or MOV SS covers the next instruction. */
  boolean shadowed() {
    return shadowAt == executed;
  }
}
