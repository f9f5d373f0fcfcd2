package dev.bothy.machine;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.Trace;
import dev.bothy.core.Vcpu;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.interrupt.LocalApic;
import dev.bothy.device.serial.Uart16550;
import dev.bothy.machine.boot.BootEnvironment;
import dev.bothy.machine.boot.BootException;
import dev.bothy.machine.boot.BootState;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One x86-64 PC: RAM, board, and one platform thread a vCPU. Several live in one process and share
 * nothing.
 *
 * <p>Life: made, {@link #start started} (or {@link #load loaded}, then {@link #resume resumed}),
 * paused and resumed as often as you like, ended by the guest or by {@link #stop}, {@link #close
 * closed}. All methods may be called from any thread but the machine's own.
 */
public final class Machine implements AutoCloseable {
  private final MachineOptions options;
  private final GuestMemory memory;
  private final AddressSpace ports;
  private final AddressSpace mmio;
  private final GuestClock clock;
  private final Board board;
  private final Processors processors;
  private final List<VcpuThread> threads = new ArrayList<>();
  private final MachineDebugger debugger;
  private final TimedOutput serialOutput;

  /** Taken before the other one: by those who need the vCPUs to stay the same ones. */
  private final ReentrantLock engineLock = new ReentrantLock();

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();

  // Guarded by the lock.
  private boolean powered;
  private boolean pauseWanted;
  private boolean resetWanted;

  /** vCPUs that a debugger holds at the gate, one bit each; read without the lock. */
  private volatile long held;

  /** How many look at it and need it to stand. */
  private int looks;

  private boolean closed;

  /** A vCPU thread is at work on a reset, without the lock. */
  private boolean restarting;

  /** RAM may hold something. */
  private boolean memoryUsed;

  /** vCPU threads that wait at the gate, and that have not ended yet. */
  private int waiting;

  private int live;
  private MachineExit end;

  /** True if a vCPU thread must come to the gate before it goes on. */
  private volatile boolean attention;

  private volatile long startedAt;
  private volatile long endedAt;

  /**
   * Makes a machine that is switched off.
   *
   * @throws java.io.UncheckedIOException if the host has no room for its memory
   */
  public Machine(MachineOptions wanted) {
    memory = new GuestMemory(wanted.memory());
    serialOutput = new TimedOutput(wanted.serial());
    Board wired = null;
    try {
      clock =
          wanted.nanosPerInstruction() > 0
              ? new CountedClock(wanted.nanosPerInstruction())
              : new HostClock(wanted.name(), e -> fail("a timer of the machine failed", e));
      options = wanted.timedBy(clock);
      ports = AddressSpace.traced("ports", options.trace(), Trace.Kind.PORTS);
      mmio = AddressSpace.traced("mmio", options.trace(), Trace.Kind.MMIO);
      wired = new Board(options, memory, ports, mmio, clock, serialOutput, new GuestRequests(this));
      board = wired;
      boolean reproducible = clock instanceof CountedClock;
      board.addCards(
          new PciCard.Host(memory, clock, options.cpus(), reproducible, this::pauseSoon));
      processors =
          new Processors(
              options, memory, ports, mmio, clock, cpu -> threads.get(cpu).wake(), board.apics());
      for (int i = 0; i < options.cpus(); i++) {
        threads.add(new VcpuThread(this, i, processors.socket(i), clock));
      }
      debugger = new MachineDebugger(this, processors.engine().debugging());
    } catch (Throwable e) {
      if (wired != null) {
        wired.close();
      }
      memory.close();
      throw e;
    }
  }

  private void pauseSoon() {
    // Before anybody is told: whoever wants it to go on then is not overtaken.
    wantPause();
    Thread.ofVirtual().start(this::bringToStand);
  }

  /**
   * Switches the machine on: loads what it boots and lets the vCPUs run.
   *
   * @throws BootException if there is nothing to boot; the machine then stays off
   * @throws IllegalStateException if it is on, or was
   */
  public void start() throws BootException {
    lock.lock();
    try {
      if (closed || powered || end != null) {
        throw new IllegalStateException("the machine has been started before");
      }
      powerOn();
      startThreads();
    } finally {
      lock.unlock();
    }
  }

  private void startThreads() {
    powered = true;
    startedAt = System.nanoTime();
    live = threads.size();
    if (!stands()) {
      letGo();
    }
    threads.forEach(VcpuThread::start);
  }

  /** Starts guest time and what devices do by themselves. */
  private void letGo() {
    clock.start();
    board.resume();
  }

  /** Stops them; the vCPUs stand. Timers and devices may need the lock until this returns. */
  private void hold() {
    clock.stop();
    board.pause();
  }

  /** Devices, processors and RAM as when a kernel is entered. The vCPUs do not run. */
  private void powerOn() throws BootException {
    if (memoryUsed) {
      memory.clear();
    }
    memoryUsed = true;
    BootEnvironment environment = board.reset();
    BootState state = options.boot().load(environment);
    for (Vcpu vcpu : processors.all()) {
      vcpu.reset();
      Board.setMemoryTypes(vcpu.state());
    }
    state.apply(vcpu(0).state());
  }

  /**
   * Stops guest time and the vCPUs; returns when they stand. Harmless if they do, or if the machine
   * has ended.
   */
  public void pause() {
    wantPause();
    bringToStand();
  }

  private void wantPause() {
    change(() -> pauseWanted = true);
  }

  void bringToStand() {
    lock.lock();
    try {
      awaitStanding();
    } finally {
      lock.unlock();
    }
    hold();
    lock.lock();
    try {
      // Somebody else may have wanted it to go on before all stood.
      if (powered && !stands() && end == null && !restarting) {
        letGo();
      }
    } finally {
      lock.unlock();
    }
  }

  /** All vCPUs are to stay at the gate, and guest time with them. The lock is held. */
  private boolean stands() {
    return pauseWanted || held == -1 || looks > 0;
  }

  /**
   * Does {@code look} while no vCPU runs and guest time stands; then all is as it would be without.
   * Not to be called after {@link #close}.
   */
  public <T, E extends Exception> T whileStanding(Look<T, E> look) throws E {
    engineLock.lock();
    change(() -> looks++);
    try {
      bringToStand();
      return look.look();
    } finally {
      change(() -> looks--);
      engineLock.unlock();
    }
  }

  /**
   * Lets another engine run the machine from now on, whether it runs, stands or is off. RAM,
   * devices and what CPUID has shown stay; guest time stands for the millisecond in which
   * processors' state moves. Nobody is to use {@link #vcpu} without {@link #engineLock}, nor to
   * write to {@link #memory}, meanwhile.
   *
   * @param regardless true: also if the guest has been shown what the other engine lacks
   * @return true if the guest believes that it need not mitigate something, and now should
   * @throws EngineChangeException if that engine cannot take over; the machine goes on as before
   */
  public boolean changeEngine(EngineFactory factory, boolean regardless)
      throws EngineChangeException {
    return EngineChange.run(this, processors, debugger, factory, regardless);
  }

  /** While held, the engine stays, and the vCPUs with it. */
  public Lock engineLock() {
    return engineLock;
  }

  /** The name of the engine that runs it now. */
  public String engine() {
    return processors.engine().name();
  }

  /** Does {@code work} with the lock, and when all have come to the gate if they are to. */
  <T> T unlessEnded(Look<T, EngineChangeException> work) throws EngineChangeException {
    lock.lock();
    try {
      awaitStanding();
      if (closed || end != null) {
        throw new EngineChangeException("the machine has ended", false, null);
      }
      return work.look();
    } finally {
      lock.unlock();
    }
  }

  /**
   * For a debugger: the vCPUs with a bit in {@code mask} stay at the gate, -1 for all, the others
   * go on. {@link #bringToStand} waits for all.
   */
  void hold(long mask) {
    change(() -> held = mask);
  }

  /** Does something to what {@link #stands} looks at, and acts accordingly. */
  private void change(Runnable what) {
    lock.lock();
    try {
      boolean stood = stands();
      what.run();
      if (stood && !stands() && powered && end == null && !restarting) {
        letGo();
      }
      callThreads();
    } finally {
      lock.unlock();
    }
  }

  /** Waits for the vCPUs, unless somebody wants them to go on before all stand. */
  private void awaitStanding() {
    while (powered && end == null && (stands() && waiting < live || restarting)) {
      changed.awaitUninterruptibly();
    }
  }

  /** Lets a paused machine go on, or one that has been loaded, unless a debugger holds it. */
  public void resume() {
    lock.lock();
    try {
      if (end != null || closed) {
        return;
      }
      change(() -> pauseWanted = false);
      if (!powered) {
        throw new IllegalStateException("the machine is off");
      }
    } finally {
      lock.unlock();
    }
  }

  /** Presses the reset button: the machine restarts, or ends if it is not to. */
  public void reset() {
    if (!options.reboot()) {
      stop(new MachineExit.Reset());
      return;
    }
    change(() -> resetWanted = true);
  }

  /** Presses the power button; the guest does what it likes about it. */
  public void pressPowerButton() {
    board.pressPowerButton();
  }

  /** Ends the machine as {@link MachineExit.Stopped}, unless it has ended. Returns at once. */
  public void stop() {
    stop(new MachineExit.Stopped());
  }

  /** Ends the machine for {@code reason}, unless it has ended. Returns at once. */
  public void stop(MachineExit reason) {
    lock.lock();
    try {
      if (end == null) {
        end = reason;
        endedAt = System.nanoTime();
      }
      callThreads();
    } finally {
      lock.unlock();
    }
  }

  void fail(String what, Throwable cause) {
    stop(new MachineExit.HostError(what + ": " + cause, cause));
  }

  /** Brings all vCPU threads to the gate, unless they have ended. The lock is held. */
  private void callThreads() {
    updateAttention();
    // What a processor has in native memory may be gone when none is left.
    for (int i = 0; live > 0 && i < threads.size(); i++) {
      processors.all().get(i).kick();
      threads.get(i).wake();
    }
  }

  private void updateAttention() {
    attention = pauseWanted || resetWanted || looks > 0 || end != null;
    changed.signalAll();
  }

  boolean attention(int vcpu) {
    return attention || (held >>> vcpu & 1) != 0;
  }

  /**
   * Called by a vCPU thread that finds {@link #attention}; returns when it may go on, or false when
   * it must end.
   */
  boolean passGate(int vcpu) {
    lock.lock();
    try {
      waiting++;
      changed.signalAll();
      try {
        while (true) {
          if (end != null) {
            return false;
          }
          if (resetWanted && waiting == live && !restarting) {
            restart();
          } else if (stands() || resetWanted || (held >>> vcpu & 1) != 0) {
            changed.awaitUninterruptibly();
          } else {
            return true;
          }
        }
      } finally {
        waiting--;
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * The last vCPU thread to reach the gate does the reset while the others wait. The lock is held,
   * but for the work itself: a timer that is just firing may need it.
   */
  private void restart() {
    restarting = true;
    lock.unlock();
    MachineExit failure = null;
    try {
      hold();
      powerOn();
    } catch (BootException e) {
      failure = new MachineExit.HostError(e.getMessage(), e);
    } finally {
      lock.lock();
      restarting = false;
    }
    resetWanted = false;
    if (failure != null && end == null) {
      end = failure;
      endedAt = System.nanoTime();
    } else if (!stands()) {
      letGo();
    }
    updateAttention();
  }

  /**
   * A vCPU thread under the test clock has reached the instruction where {@link #runFor} wants to
   * stop.
   */
  void pauseFromWithin() {
    lock.lock();
    try {
      pauseWanted = true;
      updateAttention();
    } finally {
      lock.unlock();
    }
  }

  /** Called by each vCPU thread as the last thing it does. */
  void threadEnded() {
    lock.lock();
    try {
      live--;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits for the machine to end.
   *
   * @throws IllegalStateException if it was never started
   */
  public MachineExit awaitExit() throws InterruptedException {
    return awaitExit(Duration.ofDays(36500)).orElseThrow();
  }

  /** Waits at most {@code timeout} for the machine to end; empty if it goes on. */
  public Optional<MachineExit> awaitExit(Duration timeout) throws InterruptedException {
    long deadline = System.nanoTime() + timeout.toNanos();
    lock.lock();
    try {
      if (!powered && end == null) {
        throw new IllegalStateException("the machine is off");
      }
      while (end == null || live > 0) {
        long left = deadline - System.nanoTime();
        if (left <= 0) {
          return Optional.empty();
        }
        changed.await(left, TimeUnit.NANOSECONDS);
      }
      return Optional.of(end);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Under the test clock: runs exactly {@code instructions} more, then pauses. Returns earlier when
   * the machine ends, or is idle with no timer to wake it.
   */
  public void runFor(long instructions) {
    if (!(clock instanceof CountedClock counted)) {
      throw new IllegalStateException("the machine counts no instructions");
    }
    pause();
    lock.lock();
    try {
      if (end != null) {
        return;
      }
      threads.getFirst().pauseAt(counted.executed() + instructions);
      pauseWanted = false;
      board.resume();
      updateAttention();
      while (end == null ? !(pauseWanted && waiting == live && !restarting) : live > 0) {
        changed.awaitUninterruptibly();
      }
    } finally {
      lock.unlock();
    }
    board.pause();
  }

  /** True from {@link #start} to the end, also while paused. */
  public boolean running() {
    lock.lock();
    try {
      return powered && (end == null || live > 0);
    } finally {
      lock.unlock();
    }
  }

  /** The first serial port. */
  public Uart16550 serial() {
    return board.serial();
  }

  /** Guest RAM; gone after {@link #close}. */
  public GuestMemory memory() {
    return memory;
  }

  /** Processor {@code index}: current while paused, until the next {@link #changeEngine}. */
  public Vcpu vcpu(int index) {
    return processors.all().get(index);
  }

  /** What answers at its ports; and at addresses of memory that are not RAM. */
  public List<AddressSpace> spaces() {
    return List.of(ports, mmio);
  }

  /** The local APIC of processor {@code index}. */
  public LocalApic localApic(int index) {
    return board.apics().localApic(index);
  }

  /** By which it can be debugged; empty if its engine cannot. */
  public Optional<MachineDebugger> debugger() {
    return debugger.possible() ? Optional.of(debugger) : Optional.empty();
  }

  public MachineOptions options() {
    return options;
  }

  /** Guest time in nanoseconds since the first start. */
  public long guestNanos() {
    return clock.nanos();
  }

  /** What it has done so far; also after it ended, but not after {@link #close}. */
  public MachineStatistics statistics() {
    Map<String, Long> exits = new TreeMap<>();
    threads.forEach(thread -> thread.count(exits));
    lock.lock();
    try {
      processors.count(exits);
      long until = endedAt != 0 ? endedAt : System.nanoTime();
      return new MachineStatistics(
          engine(),
          processors.instructions(),
          exits,
          MachineStatistics.accesses(spaces()),
          startedAt == 0 ? 0 : until - startedAt,
          ProcessHandle.current().info().totalCpuDuration().map(Duration::toNanos).orElse(0L),
          serialOutput.first().stream().map(at -> at - startedAt).findFirst());
    } finally {
      lock.unlock();
    }
  }

  /**
   * Writes the complete state of a paused machine.
   *
   * @throws IllegalStateException if it is not paused
   */
  public void save(OutputStream out) throws IOException {
    lock.lock();
    try {
      requireStanding();
      new MachineState(options, memory, sections()).save(out);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Replaces the state of this machine, which is off or paused, by a saved one. It is paused
   * afterwards: {@link #resume} lets it go on.
   *
   * @throws StateException if the state is damaged or of a different machine; the machine is then
   *     good for nothing but {@link #close}
   */
  public void load(InputStream in) throws IOException, StateException {
    lock.lock();
    try {
      if (closed || end != null) {
        throw new IllegalStateException("the machine has ended");
      }
      memoryUsed = true;
      if (!powered) {
        board.reset();
        processors.all().forEach(Vcpu::reset);
      } else {
        requireStanding();
      }
      new MachineState(options, memory, sections()).load(in);
      pauseWanted = true;
      updateAttention();
      if (!powered) {
        startThreads();
      }
      awaitStanding();
    } finally {
      lock.unlock();
    }
  }

  /**
   * SHA-256 over the complete state of a paused machine: equal for machines that the guest cannot
   * tell apart.
   */
  public String stateHash() {
    lock.lock();
    try {
      requireStanding();
      return new MachineState(options, memory, sections()).hash();
    } finally {
      lock.unlock();
    }
  }

  private void requireStanding() {
    if (!isStanding()) {
      throw new IllegalStateException("the machine is not paused");
    }
  }

  /** True if it was started, and no vCPU runs, nor will before somebody lets it. */
  boolean isStanding() {
    lock.lock();
    try {
      boolean standing = end != null ? live == 0 : stands() && waiting == live && !restarting;
      return powered && !closed && standing;
    } finally {
      lock.unlock();
    }
  }

  private List<Stateful> sections() {
    List<Stateful> all = new ArrayList<>();
    all.add(clock);
    all.addAll(board.stateful());
    all.addAll(processors.all());
    return all;
  }

  /**
   * Stops the machine if it runs, joins its threads and gives its memory back. Harmless when
   * repeated.
   */
  @Override
  public void close() {
    lock.lock();
    try {
      if (closed) {
        return;
      }
      closed = true;
    } finally {
      lock.unlock();
    }
    stop(new MachineExit.Stopped());
    threads.forEach(VcpuThread::join);
    clock.close();
    board.pause();
    board.close();
    processors.close();
    memory.close();
  }
}
