package dev.bothy.kvm;

import static dev.bothy.host.RawMemory.getByte;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.kvm.KvmHeader.*;

import dev.bothy.core.Engine;
import dev.bothy.core.Exit;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.StopCause;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.ResetValues;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.host.DeviceCalls;
import dev.bothy.host.FileCalls;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A vCPU that the kernel runs. Its registers are in KVM, or in {@link CpuState} from when somebody
 * asks for them until it runs again; what it waits for is in {@link CpuState} always.
 */
final class KvmVcpu implements Vcpu {
  private static final int EINTR = -4;
  private static final int EAGAIN = -11;

  // Signals of other threads; the low byte is the page of a start-up IPI.
  private static final int SIGNAL_STARTUP = 0x100;
  private static final int SIGNAL_INIT = 0x200;
  private static final int SIGNAL_NMI = 0x400;
  private static final int SIGNAL_KICK = 0x800;
  private static final int STARTUP_PAGE = 0xff;

  private static final int INTERRUPT_FLAG = 1 << 9;

  /** Of a hypercall that is not there: KVM_ENOSYS. */
  private static final long NO_HYPERCALL = -1000;

  /** What exits are counted under; others are rare. */
  private static final Map<Integer, String> EXIT_NAMES =
      Map.of(
          KVM_EXIT_IO, "kvmPortExits",
          KVM_EXIT_MMIO, "kvmMmioExits",
          KVM_EXIT_HLT, "kvmHaltExits",
          KVM_EXIT_IRQ_WINDOW_OPEN, "kvmInterruptWindows",
          KVM_EXIT_X86_RDMSR, "kvmMsrReads",
          KVM_EXIT_X86_WRMSR, "kvmMsrWrites");

  private static final int EXITS = 64;

  /** The first one may do no more than end a HLT. */
  private static final int ENTRIES_TO_SETTLE = 2;

  private final KvmEngine engine;
  private final Engine.Environment machine;
  private final int index;
  private final LocalInterruptController apic;
  private final int descriptor;
  private final int runSize;
  private final long run;
  private final CpuState state;
  private final KvmTransfer transfer;
  private final AccessExits accesses;
  private final MsrExits msrExits;
  private final GuestTsc tsc;
  private final KvmDebug debug;

  /** The local APIC that the kernel has; null where {@link #apic} is all there is. */
  private final KernelApic kernelApic;

  private final VcpuSignal signal;
  private final DeviceCalls.Repeated enter;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment vector = arena.allocate(KvmInterrupt.SIZE, 4);
  private final AtomicInteger signals = new AtomicInteger();

  /** The registers are in {@link #state}, and KVM's are old. */
  private boolean lent;

  /** KVM has to be entered before an access that it came out for is complete. */
  private boolean completing;

  /** The guest takes interrupts, as of the last exit. */
  private boolean ready;

  /**
   * How often KVM has to be entered before an interrupt that it was given, with an APIC of its own,
   * is where its state shows it.
   */
  private int settling;

  /** Where the instruction is that is {@linkplain #step stepped}. */
  private long steppedFrom;

  private boolean windowRequested;
  private int taskPriority;

  /** Statistics, read by other threads. */
  private final long[] exits = new long[EXITS];

  private long interruptedRuns;
  private long injected;

  KvmVcpu(
      KvmEngine engine,
      Engine.Environment machine,
      int index,
      LocalInterruptController apic,
      int descriptor,
      int tscKhz,
      KvmDevice device,
      MsrList msrs,
      boolean inKernel) {
    this.engine = engine;
    this.machine = machine;
    this.index = index;
    this.apic = apic;
    this.descriptor = descriptor;
    runSize = device.runSize();
    try {
      run = DeviceCalls.map(descriptor, runSize);
    } catch (IOException e) {
      throw new KvmException("the page shared with a vCPU: " + e.getMessage());
    }
    state = new CpuState(0);
    transfer = new KvmTransfer(descriptor, state, msrs, device, inKernel);
    tsc = new GuestTsc(descriptor, tscKhz, machine.clock(), state);
    kernelApic = inKernel ? new KernelApic(this, descriptor, tsc) : null;
    accesses = new AccessExits(run, apic, machine, engine::written);
    msrExits = new MsrExits(run, apic, state, tsc);
    debug = new KvmDebug(descriptor, device);
    signal = new VcpuSignal(descriptor, run);
    enter = new DeviceCalls.Repeated(descriptor, KVM_RUN, 0);
    clear();
  }

  @Override
  public Exit run(long budget) {
    if (budget != UNLIMITED) {
      throw new UnsupportedOperationException("KVM counts no instructions");
    }
    return run(false);
  }

  @Override
  public Exit step() {
    // An interrupt that KVM has been given waits in its controller.
    takeState();
    steppedFrom = state.get(CpuState.RIP);
    return run(true);
  }

  private Exit run(boolean step) {
    signal.begin();
    try {
      debug.want(engine.stopPoints(), step);
      tsc.align();
      engine.alignClock();
      Exit exit = loop();
      if (kernelApic != null) {
        kernelApic.rest();
      }
      return exit;
    } catch (KvmException e) {
      return new Exit.Failed(e.getMessage());
    } finally {
      signal.end();
    }
  }

  private Exit loop() {
    while (true) {
      signal.expect();
      boolean asked = signals.get() != 0;
      if (completing) {
        // KVM would step on behind what is written to a device.
        if (asked || debug.stepping()) {
          signal.finishOnly();
        }
      } else if (settling == 0) {
        Exit exit = asked ? takeSignals() : null;
        if (exit == null) {
          exit = idle();
        }
        if (exit != null) {
          return exit;
        }
        if (lent) {
          giveStateToKvm();
        }
      }
      debug.apply();
      prepareInterrupt();
      int result = kernelApic == null ? enter() : enterWithApic(asked);
      Exit exit = result == 0 ? dispatch() : interrupted(result);
      if (exit != null) {
        return exit;
      }
    }
  }

  private int enter() {
    putLong(run + KvmRun.CR8, taskPriority);
    signal.enter();
    int result = enter.call();
    signal.leave();
    return result;
  }

  private int enterWithApic(boolean asked) {
    kernelApic.align();
    if (settling == 0) {
      return enter();
    }
    signal.insist(asked);
    int result = enter.call();
    signal.relent();
    if (result != 0) {
      settling--;
    } else if (getInt(run + KvmRun.EXIT_REASON) != KVM_EXIT_IOAPIC_EOI) {
      // Of an end of interrupt KVM tells before it gives the guest anything.
      settling = 0;
    }
    return result;
  }

  /** KVM_RUN has not come to an exit. */
  private Exit interrupted(int error) {
    if (error != EINTR && error != EAGAIN) {
      return failed(KvmException.of("KVM_RUN", error).getMessage());
    }
    interruptedRuns++;
    boolean stepped = completing && debug.stepping();
    completing = false;
    noteExit();
    if (stepped) {
      takeState();
      // A repeated instruction stays where it is.
      stepped = state.get(CpuState.RIP) != steppedFrom;
    }
    return stepped ? new Exit.DebugStop(new StopCause.Stepped()) : null;
  }

  /** What KVM tells at every exit. */
  private void noteExit() {
    ready = getByte(run + KvmRun.READY_FOR_INTERRUPT_INJECTION) != 0;
    if (kernelApic != null) {
      return;
    }
    int priority = (int) getLong(run + KvmRun.CR8) & 0xf;
    if (priority != taskPriority) {
      taskPriority = priority;
      apic.setTaskPriority(priority);
    }
  }

  private Exit dispatch() {
    noteExit();
    int reason = getInt(run + KvmRun.EXIT_REASON);
    exits[reason & EXITS - 1]++;
    completing = false;
    switch (reason) {
      case KVM_EXIT_IO -> {
        completing = true;
        accesses.port();
      }
      case KVM_EXIT_MMIO -> {
        completing = true;
        if (accesses.memory()) {
          taskPriority = apic.taskPriority();
        }
      }
      case KVM_EXIT_X86_RDMSR -> {
        completing = true;
        msrExits.read();
      }
      case KVM_EXIT_X86_WRMSR -> {
        completing = true;
        msrExits.write();
        if (kernelApic == null) {
          taskPriority = apic.taskPriority();
        }
      }
      case KVM_EXIT_HLT -> {
        state.setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_HALTED);
        return debug.stepping() ? new Exit.DebugStop(new StopCause.Stepped()) : null;
      }
      case KVM_EXIT_IOAPIC_EOI -> apic.endOfInterrupt(getByte(run + KvmRun.Eoi.VECTOR) & 0xff);
      case KVM_EXIT_HYPERCALL -> {
        completing = true;
        putLong(run + KvmRun.Hypercall.RET, NO_HYPERCALL);
      }
      case KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_INTR, KVM_EXIT_SET_TPR -> {
        // Looked at before each entry.
      }
      case KVM_EXIT_SHUTDOWN -> {
        state.setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_SHUTDOWN);
        return new Exit.Shutdown(report("triple fault"));
      }
      case KVM_EXIT_DEBUG -> {
        return debug.cause(run).map(Exit.DebugStop::new).orElse(null);
      }
      default -> {
        return failed(ExitReport.reason(run));
      }
    }
    return null;
  }

  // Interrupts.

  private void prepareInterrupt() {
    boolean window = apic.interruptPending() && !debug.stepping();
    // With an APIC of its own, KVM has one place for it until it enters the guest.
    if (window && ready && (kernelApic == null || !completing)) {
      int number = apic.acknowledge();
      if (number >= 0) {
        vector.set(ValueLayout.JAVA_INT, KvmInterrupt.IRQ, number);
        KvmRequest.require(descriptor, "KVM_INTERRUPT", KVM_INTERRUPT, vector.address());
        injected++;
        ready = false;
        settling = kernelApic == null ? 0 : ENTRIES_TO_SETTLE;
      }
      window = apic.interruptPending();
    }
    if (window != windowRequested) {
      windowRequested = window;
      putByte(run + KvmRun.REQUEST_INTERRUPT_WINDOW, (byte) (window ? 1 : 0));
    }
  }

  /** Deals with what other threads have sent; the exit it leads to, or null. */
  private Exit takeSignals() {
    int taken = signals.getAndSet(0);
    if (kernelApic != null && (taken & ~SIGNAL_KICK) != 0) {
      takeState();
      if (!kernelApic.passesNmi()) {
        taken &= ~SIGNAL_NMI; // those of others the kernel delivers
      }
    }
    if ((taken & SIGNAL_INIT) != 0) {
      takeState();
      ResetValues.init(state.address(), index);
      apic.init();
      transfer.forgetEvents();
    }
    int activity = state.getInt32(CpuState.ACTIVITY);
    if ((taken & SIGNAL_STARTUP) != 0 && activity == CpuState.ACTIVITY_WAIT_STARTUP) {
      takeState();
      int page = taken & STARTUP_PAGE;
      state.setInt32(CpuState.segment(CpuState.CS, CpuState.SEGMENT_SELECTOR), page << 8);
      state.set(CpuState.segment(CpuState.CS, CpuState.SEGMENT_BASE), (long) page << 12);
      state.set(CpuState.RIP, 0);
      state.setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
    }
    if ((taken & SIGNAL_NMI) != 0) {
      if (lent) {
        state.setInt32(CpuState.NMI_PENDING, Math.max(1, state.getInt32(CpuState.NMI_PENDING)));
      } else {
        KvmRequest.require(descriptor, "KVM_NMI", KVM_NMI, 0);
      }
      if (activity == CpuState.ACTIVITY_HALTED) {
        state.setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
      }
    }
    return (taken & SIGNAL_KICK) != 0 ? new Exit.Kicked() : null;
  }

  /** What a processor that does not run waits for; null if it runs. */
  private Exit idle() {
    int activity = state.getInt32(CpuState.ACTIVITY);
    if (kernelApic != null && activity != CpuState.ACTIVITY_SHUTDOWN) {
      return null;
    }
    return switch (activity) {
      case CpuState.ACTIVITY_HALTED -> {
        if (interruptible() && apic.interruptPending()) {
          state.setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
          yield null;
        }
        yield new Exit.Halted();
      }
      case CpuState.ACTIVITY_WAIT_STARTUP -> new Exit.WaitingForStartup();
      case CpuState.ACTIVITY_SHUTDOWN -> new Exit.Shutdown("the processor is shut down\n");
      default -> null;
    };
  }

  private boolean interruptible() {
    return lent
        ? (state.get(CpuState.RFLAGS) & INTERRUPT_FLAG) != 0
        : getByte(run + KvmRun.IF_FLAG) != 0;
  }

  @Override
  public boolean hasWork() {
    if (kernelApic != null) {
      return true;
    }
    int waiting = signals.get();
    return switch (state.getInt32(CpuState.ACTIVITY)) {
      case CpuState.ACTIVITY_HALTED ->
          (waiting & (SIGNAL_KICK | SIGNAL_INIT | SIGNAL_NMI)) != 0
              || interruptible() && apic.interruptPending();
      case CpuState.ACTIVITY_WAIT_STARTUP, CpuState.ACTIVITY_SHUTDOWN ->
          (waiting & (SIGNAL_KICK | SIGNAL_INIT | SIGNAL_STARTUP)) != 0;
      default -> true;
    };
  }

  private void send(int bits, int forgotten) {
    signals.accumulateAndGet(bits, (old, more) -> old & ~forgotten | more);
    signal.interrupt();
    machine.wakeUp().wake(index);
  }

  @Override
  public void kick() {
    send(SIGNAL_KICK, 0);
  }

  @Override
  public void interruptChanged() {
    signal.interrupt();
    machine.wakeUp().wake(index);
  }

  @Override
  public void nmi() {
    send(SIGNAL_NMI, 0);
  }

  @Override
  public void init() {
    send(SIGNAL_INIT, SIGNAL_STARTUP | STARTUP_PAGE);
  }

  @Override
  public void startup(int page) {
    send(SIGNAL_STARTUP | page & STARTUP_PAGE, STARTUP_PAGE);
  }

  // State.

  private void takeState() {
    if (!lent) {
      boolean down = state.getInt32(CpuState.ACTIVITY) == CpuState.ACTIVITY_SHUTDOWN;
      if (kernelApic != null && !down) {
        // First, as that lets INIT and start-up messages have their effect.
        state.setInt32(CpuState.ACTIVITY, kernelApic.activity());
      }
      transfer.store(apic);
      lent = true;
    }
  }

  /** The vector of an interrupt of the kernel's APIC that the guest has not taken yet, or -1. */
  int interruptOnItsWay() {
    takeState();
    return transfer.interruptOnItsWay();
  }

  /** What is in {@link #state} becomes KVM's. */
  void giveStateToKvm() {
    transfer.load(apic);
    tsc.align();
    if (kernelApic == null) {
      taskPriority = apic.taskPriority();
      ready = readyByState();
    } else {
      kernelApic.setActivity(state.getInt32(CpuState.ACTIVITY));
      // Its LINT0 has a say, too: an interrupt window will tell.
      ready = false;
    }
    lent = false;
  }

  /** What KVM would tell at an exit here. */
  private boolean readyByState() {
    return interruptible()
        && state.getInt32(CpuState.INTERRUPT_SHADOW) == 0
        && transfer.nothingOnItsWay();
  }

  private Exit failed(String line) {
    return new Exit.Failed(report(line));
  }

  private String report(String line) {
    takeState();
    return ExitReport.of(line, descriptor, index, state, machine.memory());
  }

  @Override
  public CpuState state() {
    takeState();
    return state;
  }

  @Override
  public void reset() {
    clear();
    apic.setTscOffset(0);
  }

  private void clear() {
    ResetValues.reset(state, index);
    replaced();
    signals.set(0);
    engine.fillResetPage();
  }

  @Override
  public void takeApic() {
    if (kernelApic != null) {
      apic.moveTo(kernelApic);
    }
  }

  @Override
  public void settle() {
    if (state.getInt32(CpuState.PENDING_DEBUG) != 0) {
      throw new KvmException("processor " + index + " is about to trap: try again");
    }
    // It stays lent: the counter and what else goes with time is set when the vCPU runs.
    transfer.load(apic);
  }

  /** The state is another one: nothing of what was under way is left. */
  private void replaced() {
    transfer.forgetEvents();
    tsc.forget();
    lent = true;
    completing = false;
    settling = 0;
  }

  @Override
  public String stateName() {
    return "cpu" + index;
  }

  @Override
  public void save(StateWriter out) {
    if (signals.get() != 0) {
      takeSignals();
    }
    takeState();
    state.save(out);
  }

  @Override
  public void load(StateReader in) throws StateException {
    state.load(in);
    state.set(CpuState.EFER, state.get(CpuState.EFER) & engine.settableEfer());
    replaced();
    signals.set(0);
    apic.setTscOffset(state.get(CpuState.TSC_OFFSET));
  }

  // Statistics and the end.

  /** KVM does not count them: 0. */
  @Override
  public long instructions() {
    return 0;
  }

  @Override
  public Map<String, Long> counters() {
    Map<String, Long> counters = new TreeMap<>();
    EXIT_NAMES.forEach((reason, name) -> counters.put(name, exits[reason]));
    counters.put("kvmInterruptedRuns", interruptedRuns);
    counters.put("interrupts", injected);
    if (index == 0) {
      engine.count(counters);
    }
    return counters;
  }

  @Override
  public void close() {
    signal.close();
    transfer.close();
    debug.close();
    if (kernelApic != null) {
      kernelApic.close();
    }
    arena.close();
    DeviceCalls.unmap(run, runSize);
    FileCalls.close(descriptor);
    state.close();
  }
}
