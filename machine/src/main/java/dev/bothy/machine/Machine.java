package dev.bothy.machine;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.Trace;
import dev.bothy.core.Vcpu;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.interrupt.LocalApic;
import dev.bothy.device.serial.Uart16550;
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
  private final Gate gate;
  private final MachineDebugger debugger;
  private final MachineRecording recording;
  private final TimedOutput serialOutput;

  /** Taken before the other one: by those who need the vCPUs to stay the same ones. */
  private final ReentrantLock engineLock = new ReentrantLock();

  /** RAM may hold something. */
  private boolean memoryUsed;

  /**
   * Makes a machine that is switched off.
   *
   * @throws java.io.UncheckedIOException if the host has no room for its memory
   */
  public Machine(MachineOptions wanted) {
    gate = new Gate(wanted.name(), wanted.cpus(), new Works());
    memory = new GuestMemory(wanted.memory());
    serialOutput = new TimedOutput(wanted.serial());
    Board wired = null;
    try {
      clock =
          wanted.nanosPerInstruction() > 0
              ? new CountedClock(wanted.nanosPerInstruction())
              : new HostClock(wanted.name(), e -> gate.fail("a timer of the machine failed", e));
      options = wanted.timedBy(clock);
      ports = AddressSpace.traced("ports", options.trace(), Trace.Kind.PORTS);
      mmio = AddressSpace.traced("mmio", options.trace(), Trace.Kind.MMIO);
      wired = new Board(options, memory, ports, mmio, clock, serialOutput, new GuestRequests(this));
      board = wired;
      boolean reproducible = clock instanceof CountedClock;
      board.addCards(
          new PciCard.Host(memory, clock, options.cpus(), reproducible, gate::pauseSoon));
      processors =
          new Processors(
              options, memory, ports, mmio, clock, cpu -> threads.get(cpu).wake(), board);
      debugger = new MachineDebugger(gate, processors.engine().debugging());
      for (int i = 0; i < options.cpus(); i++) {
        threads.add(new VcpuThread(options.name(), gate, debugger, i, processors.socket(i), clock));
      }
      recording = new MachineRecording(options.name(), gate, processors, threads);
    } catch (Throwable e) {
      if (wired != null) {
        wired.close();
      }
      memory.close();
      throw e;
    }
  }

  /**
   * Switches the machine on: loads what it boots and lets the vCPUs run.
   *
   * @throws BootException if there is nothing to boot; the machine then stays off
   * @throws IllegalStateException if it is on, or was
   */
  public void start() throws BootException {
    gate.start();
  }

  /** What the gate opens and closes. */
  private final class Works implements Gate.Works {
    @Override
    public void letGo() {
      clock.start();
      board.resume();
    }

    @Override
    public void hold() {
      clock.stop();
      processors.engine().ringDoorbells();
      board.pause();
    }

    @Override
    public void powerOn() throws BootException {
      Optional<BootState> woken = board.wake();
      if (woken.isEmpty() && memoryUsed) {
        memory.clear();
      }
      memoryUsed = true;
      BootState state = woken.isPresent() ? woken.get() : options.boot().load(board.reset());
      for (Vcpu vcpu : processors.all()) {
        vcpu.reset();
        Board.setMemoryTypes(vcpu.state(), options.model());
      }
      state.apply(vcpu(0).state());
    }

    @Override
    public boolean asleep() {
      return board.asleep();
    }

    @Override
    public boolean wakes() {
      return board.wakes();
    }

    @Override
    public void begin() {
      threads.forEach(VcpuThread::start);
    }

    @Override
    public void call(int index) {
      vcpu(index).kick();
      threads.get(index).wake();
    }
  }

  /**
   * Stops guest time and the vCPUs; returns when they stand. Harmless if they do, or if the machine
   * has ended.
   */
  public void pause() {
    gate.pause();
  }

  /**
   * Does {@code look} while no vCPU runs and guest time stands; then all is as it would be without.
   * Not to be called after {@link #close}.
   */
  public <T, E extends Exception> T whileStanding(Look<T, E> look) throws E {
    engineLock.lock();
    try {
      return gate.whileStanding(look);
    } finally {
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
    return EngineChange.run(this, gate, processors, debugger, factory, regardless);
  }

  /** While held, the engine stays, and the vCPUs with it. */
  public Lock engineLock() {
    return engineLock;
  }

  /** The name of the engine that runs it now. */
  public String engine() {
    return processors.engine().name();
  }

  /** Lets a paused machine go on, or one that has been loaded, unless a debugger holds it. */
  public void resume() {
    gate.resume();
  }

  /** Presses the reset button: the machine restarts, or ends if it is not to. */
  public void reset() {
    if (!options.reboot()) {
      stop(new MachineExit.Reset());
      return;
    }
    gate.reset();
  }

  /** The guest has gone to sleep: no vCPU runs until it wakes. */
  void sleep() {
    gate.callThreads();
  }

  /** It wakes up; if it has not said where it goes on, this is a reset. Any thread. */
  void wake() {
    // While it runs there is memory to look at.
    try (Gate.Held _ = gate.lock()) {
      if (gate.running() && board.wakingVector() == 0) {
        reset();
      } else {
        gate.reset();
      }
    }
  }

  /** True while the guest sleeps (S3): until the clock's alarm or the power button wakes it. */
  public boolean asleep() {
    return board.asleep();
  }

  /**
   * Presses the power button; the guest does what it likes about it. One that is {@link #asleep}
   * wakes up.
   */
  public void pressPowerButton() {
    board.pressPowerButton();
  }

  /** Ends the machine as {@link MachineExit.Stopped}, unless it has ended. Returns at once. */
  public void stop() {
    stop(new MachineExit.Stopped());
  }

  /** Ends the machine for {@code reason}, unless it has ended. Returns at once. */
  public void stop(MachineExit reason) {
    gate.end(reason);
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
    return gate.awaitExit(timeout);
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
    gate.runOnce(
        () -> {
          threads.getFirst().pauseAt(counted.executed() + instructions);
          board.resume();
        });
    board.pause();
  }

  /** True from {@link #start} to the end, also while paused. */
  public boolean running() {
    return gate.running();
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
    try (Gate.Held _ = gate.lock()) {
      processors.count(exits);
      return new MachineStatistics(
          engine(),
          processors.instructions(),
          exits,
          MachineStatistics.accesses(spaces()),
          gate.wallNanos(),
          ProcessHandle.current().info().totalCpuDuration().map(Duration::toNanos).orElse(0L),
          serialOutput.first().stream().map(at -> at - gate.startedAt()).findFirst());
    }
  }

  /**
   * Writes the complete state of a paused machine.
   *
   * @throws IllegalStateException if it is not paused
   */
  public void save(OutputStream out) throws IOException {
    try (Gate.Held _ = gate.lock()) {
      gate.requireStanding();
      new MachineState(options, memory, sections()).save(out);
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
    try (Gate.Held _ = gate.lock()) {
      gate.requireAlive();
      memoryUsed = true;
      if (!gate.powered()) {
        board.reset();
        processors.all().forEach(Vcpu::reset);
      } else {
        gate.requireStanding();
      }
      new MachineState(options, memory, sections()).load(in);
      gate.startPaused();
    }
  }

  /**
   * SHA-256 over the complete state of a paused machine: equal for machines that the guest cannot
   * tell apart.
   */
  public String stateHash() {
    try (Gate.Held _ = gate.lock()) {
      gate.requireStanding();
      return new MachineState(options, memory, sections()).hash();
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
    if (!gate.close()) {
      return;
    }
    threads.forEach(VcpuThread::join);
    recording.close();
    clock.close();
    board.pause();
    processors.close();
    board.close();
    memory.close();
  }
}
