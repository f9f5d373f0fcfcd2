package dev.bothy.device.interrupt;

import static dev.bothy.device.interrupt.ApicRegisters.*;

import dev.bothy.core.ApicState;
import dev.bothy.core.EngineApic;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.MachineClock;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.OptionalLong;

/**
 * Local APIC in xAPIC and x2APIC mode (Intel SDM volume 3, chapter 11; AMD64 APM volume 2, chapter
 * 16), made by {@link ApicBus}. Registers are known here by their number: the offset in the
 * register page divided by 16, or the MSR index less 0x800.
 *
 * <p>INIT messages are passed on to the processor, which calls {@link #init} when it takes them.
 */
public final class LocalApic implements LocalInterruptController {
  /** Ticks per second of the timer before its divider, in one-shot and periodic mode. */
  public static final long TIMER_HZ = 1_000_000_000L;

  /** Where the register page is after reset. */
  public static final long DEFAULT_BASE = 0xFEE0_0000L;

  /** Integrated APIC with six LVT entries, no suppression of EOI broadcasts. */
  private static final int VERSION_VALUE = 0x0005_0014;

  private static final int COMMAND_WRITABLE = 0x000c_cfff;

  private static final int ERROR_SEND_VECTOR = 1 << 5;
  private static final int ERROR_RECEIVE_VECTOR = 1 << 6;
  private static final int ERROR_REGISTER = 1 << 7;

  private final ApicBus bus;
  private final int id;
  private final ApicTimer timer;
  private final ApicMsrs msrs = new ApicMsrs(this);

  /** Written under the lock. */
  private volatile long base;

  private final ApicRegisterFile registers = new ApicRegisterFile();

  /** Levels of the LINT0 and LINT1 wires. */
  private final boolean[] lint = new boolean[2];

  /** An ExtINT message has come; it is met by asking the 8259 pair. */
  private volatile boolean externalMessage;

  /** An interrupt of the IRR outranks the processor priority. */
  private volatile boolean pending;

  /** The 8259 pair's output interrupts this processor directly. */
  private volatile boolean acceptsExternal;

  /** The processor must be told; set under the lock, acted upon outside. */
  private volatile boolean signal;

  private volatile boolean nmiSignal;

  /** Has the registers, if not null; those here are of the last look. */
  private volatile EngineApic engine;

  LocalApic(ApicBus bus, MachineClock clock, int id) {
    this.bus = bus;
    this.id = id;
    this.timer = new ApicTimer(clock, "apic" + id, this::timerExpired);
    reset();
  }

  // Register page.

  @Override
  public long read(long offset, int size) {
    int within = (int) (offset & 0xf);
    int register = (int) (offset >>> 4 & 0xff);
    if (within >= 4) {
      return 0; // only the first four bytes of each sixteen exist
    }
    fetch();
    long value = readRegister(register) & 0xffff_ffffL;
    return value >>> (8 * within);
  }

  @Override
  public void write(long offset, int size, long value) {
    // Anything but whole registers is undefined by the manual: dropped.
    if ((offset & 0xf) == 0 && size >= 4) {
      writeRegister((int) (offset >>> 4 & 0xff), (int) value);
    }
  }

  int readRegister(int register) {
    synchronized (this) {
      switch (register) {
        case ID:
          return isX2Apic() ? id : registers.changedId << 24;
        case VERSION:
          return VERSION_VALUE;
        case PROCESSOR_PRIORITY:
          return registers.processorPriority();
        case ARBITRATION_PRIORITY, EOI, REMOTE_READ:
          return 0;
        case INITIAL_COUNT:
          return (int) timer.initialCount();
        case CURRENT_COUNT:
          return (int) timer.currentCount();
        case DIVIDE:
          return timer.divide();
        default:
          if (ApicRegisterFile.has(register)) {
            return registers.get(register);
          }
          raiseError(ERROR_REGISTER);
      }
    }
    flush();
    return 0;
  }

  void writeRegister(int register, int value) {
    switch (register) {
      case EOI -> endOfInterrupt();
      case COMMAND -> {
        int destination;
        synchronized (this) {
          registers.command = value & COMMAND_WRITABLE;
          destination = isX2Apic() ? registers.commandHigh : registers.commandHigh >>> 24;
        }
        sendCommand(value, destination);
      }
      default -> {
        synchronized (this) {
          writePlainRegister(register, value);
        }
      }
    }
    flush();
  }

  private void writePlainRegister(int register, int value) {
    switch (register) {
      case LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR ->
          writeLvt(register, value);
      case INITIAL_COUNT -> {
        catchUp();
        timer.setInitialCount(value & 0xffff_ffffL);
      }
      case DIVIDE -> {
        catchUp();
        timer.setDivide(value);
      }
      case VERSION, ARBITRATION_PRIORITY, PROCESSOR_PRIORITY, REMOTE_READ, CURRENT_COUNT -> {
        // Read-only: dropped.
      }
      default -> {
        if (registers.set(register, value)) {
          update();
        } else if (register < IN_SERVICE || register >= ERROR_STATUS) {
          raiseError(ERROR_REGISTER);
        }
      }
    }
  }

  private void writeLvt(int register, int value) {
    if (register == LVT_TIMER) {
      catchUp();
    }
    registers.lvt.write(register, value, registers.isEnabled());
    if (register == LVT_TIMER) {
      timer.setMode(registers.lvt.get(register) >>> 17 & 3);
    } else if (register == LVT_LINT0 || register == LVT_LINT1) {
      levelInterrupt(register - LVT_LINT0);
      update();
    }
  }

  // MSRs.

  @Override
  public long apicBase() {
    fetch();
    return base;
  }

  @Override
  public boolean setApicBase(long value) {
    synchronized (this) {
      if (engine != null || !ApicRegisters.baseAllowed(base, value)) {
        return false;
      }
      boolean wasX2Apic = isX2Apic();
      boolean wasOn = isOn();
      base = value;
      if (wasOn && !isOn()) {
        registers.changedId = id;
        clear();
      } else if (isX2Apic() && !wasX2Apic) {
        registers.logicalDestination = ApicRegisters.clusterDestination(id);
        registers.changedId = id;
        registers.commandHigh = 0;
      }
      update();
    }
    flush();
    return true;
  }

  @Override
  public long baseAddress() {
    long now = engine == null ? base : 0;
    return (now & (BASE_ENABLE | BASE_X2APIC)) == BASE_ENABLE ? now & BASE_ADDRESS : -1;
  }

  @Override
  public boolean ownsMsr(int index) {
    return msrs.owns(index);
  }

  @Override
  public OptionalLong readMsr(int index) {
    return msrs.read(index);
  }

  @Override
  public boolean writeMsr(int index, long value) {
    return msrs.write(index, value);
  }

  /** The registers are in this object, and no engine's. */
  boolean isHere() {
    return engine == null;
  }

  synchronized long deadline() {
    return timer.deadline();
  }

  void setDeadline(long value) {
    synchronized (this) {
      catchUp();
      if (timer.setDeadline(value)) {
        fire(LVT_TIMER);
      }
    }
    flush();
  }

  /** The timer's past is over before its guest sets what comes. */
  private void catchUp() {
    if (engine == null && timer.catchUp()) {
      fire(LVT_TIMER);
    }
  }

  /** A write of the whole command register in x2APIC mode. */
  void command(int word, int destination) {
    synchronized (this) {
      registers.command = word & COMMAND_WRITABLE;
      registers.commandHigh = destination;
    }
    send(word, destination);
  }

  // Interrupts going out.

  @Override
  public void sendCommand(int word, int destination) {
    if (!bus.command(this, word, destination)) {
      synchronized (this) {
        raiseError(ERROR_SEND_VECTOR);
      }
    }
  }

  /** As {@link #sendCommand}, and tells the processor what comes of it. */
  void send(int word, int destination) {
    sendCommand(word, destination);
    flush();
  }

  private void endOfInterrupt() {
    int vector;
    boolean broadcast;
    synchronized (this) {
      vector = registers.inService.highest();
      if (vector < 0) {
        return;
      }
      registers.inService.remove(vector);
      broadcast = registers.triggerMode.contains(vector);
      if (broadcast) {
        for (int i = 0; i < 2; i++) {
          if (registers.lvt.remoteIrr(i) && registers.lvt.vector(LVT_LINT0 + i) == vector) {
            registers.lvt.setRemoteIrr(i, false);
            levelInterrupt(i);
          }
        }
      }
      update();
    }
    if (broadcast) {
      bus.endOfInterrupt(vector);
    }
  }

  // Interrupts coming in.

  /** True if a message for {@code destination} is for this APIC (SDM volume 3, 11.6.2). */
  synchronized boolean matches(int destination, boolean logical, boolean broadcast) {
    return isOn() && (broadcast || registers.matches(destination, logical, isX2Apic(), id));
  }

  /** What a lowest-priority message is decided by, or -1 if this APIC takes none. */
  synchronized int arbitrationPriority() {
    return isOn() && registers.isEnabled() ? registers.processorPriority() : -1;
  }

  /**
   * Takes a message that {@linkplain #matches is for this APIC}; false if it is not accepted. Any
   * thread.
   */
  boolean accept(DeliveryMode mode, int vector, boolean level) {
    boolean accepted = true;
    switch (mode) {
      case FIXED, LOWEST_PRIORITY -> {
        synchronized (this) {
          accepted = isOn() && registers.isEnabled() && request(vector, level);
        }
        flush();
      }
      case NMI -> bus.events(id).nmi();
      case INIT -> bus.events(id).init();
      case STARTUP -> bus.events(id).startup(vector);
      case EXTERNAL -> {
        externalMessage = true;
        bus.events(id).interruptChanged();
      }
      case SMI -> bus.events(id).smi();
      default -> accepted = false; // Reserved.
    }
    return accepted;
  }

  private boolean request(int vector, boolean level) {
    if (vector < 16) {
      raiseError(ERROR_RECEIVE_VECTOR);
      return false;
    }
    registers.request(vector, level);
    update();
    return true;
  }

  /** Drives the LINT0 or LINT1 wire. */
  void lint(int pin, boolean high) {
    synchronized (this) {
      boolean rising = high && !lint[pin];
      lint[pin] = high;
      if (engine != null) {
        nmiSignal |= rising && pin == 1; // its table decides what becomes of it
      } else if (registers.lvt.isLevel(pin)) {
        levelInterrupt(pin);
      } else if (rising && isOn()) {
        fire(LVT_LINT0 + pin);
      } else if (rising && pin == 1) {
        nmiSignal = true; // a disabled APIC leaves the processor its INTR and NMI pins
      }
      signal |= pin == 0 && high;
    }
    flush();
  }

  private void levelInterrupt(int pin) {
    if (lint[pin]
        && registers.lvt.isLevel(pin)
        && !registers.lvt.remoteIrr(pin)
        && !registers.lvt.masked(LVT_LINT0 + pin)
        && request(registers.lvt.vector(LVT_LINT0 + pin), true)) {
      registers.lvt.setRemoteIrr(pin, true);
    }
  }

  private void timerExpired() {
    synchronized (this) {
      if (engine == null && timer.expired()) {
        fire(LVT_TIMER);
      }
    }
    flush();
  }

  /** An event of the local vector table happens. */
  private void fire(int register) {
    if (registers.lvt.masked(register)) {
      return;
    }
    switch (registers.lvt.mode(register)) {
      case FIXED -> request(registers.lvt.vector(register), false);
      case NMI -> nmiSignal = true;
      default -> {
        // ExtINT follows the 8259 pair's output; the others are not for LVT entries.
      }
    }
  }

  private void raiseError(int bit) {
    boolean first = (registers.errorsSeen & bit) == 0;
    registers.errorsSeen |= bit;
    // An error interrupt with an illegal vector is an error itself, once.
    if (first && isOn()) {
      fire(LVT_ERROR);
    }
  }

  /** Tells the processor what has been noted; without locks. */
  private void flush() {
    if (signal) {
      signal = false;
      bus.events(id).interruptChanged();
    }
    if (nmiSignal) {
      nmiSignal = false;
      bus.events(id).nmi();
    }
  }

  // The processor's side.

  @Override
  public boolean interruptPending() {
    return pending || externalPending();
  }

  private boolean externalPending() {
    return (acceptsExternal || externalMessage) && bus.externalPending();
  }

  @Override
  public int acknowledge() {
    if (externalPending()) {
      externalMessage = false;
      return bus.acknowledgeExternal();
    }
    synchronized (this) {
      if (!pending) {
        return -1;
      }
      int vector = registers.acknowledge();
      update();
      return vector;
    }
  }

  @Override
  public boolean giveBack(int vector) {
    synchronized (this) {
      if (engine == null && registers.giveBack(vector)) {
        update();
        return true;
      }
    }
    return bus.giveBackExternal(vector);
  }

  @Override
  public int taskPriority() {
    fetch();
    synchronized (this) {
      return registers.taskPriority >>> 4;
    }
  }

  @Override
  public void setTaskPriority(int priority) {
    fetch();
    writeRegister(TASK_PRIORITY, (priority & 0xf) << 4);
    handOn();
  }

  @Override
  public void setTscOffset(long ticks) {
    synchronized (this) {
      if (timer.setTscOffset(ticks, engine == null)) {
        fire(LVT_TIMER);
      }
    }
    flush();
  }

  @Override
  public int id() {
    return id;
  }

  // State.

  private boolean isOn() {
    return (base & BASE_ENABLE) != 0;
  }

  boolean isX2Apic() {
    return (base & BASE_X2APIC) != 0;
  }

  /** Works out anew what {@link #interruptPending} answers. */
  private void update() {
    if (engine != null) {
      pending = false;
      acceptsExternal = true; // as far as its own LINT0 lets it
      return;
    }
    int vector = registers.requests.highest();
    boolean deliverable =
        vector >>> 4 > registers.processorPriority() >>> 4 && vector >= 0 && isOn();
    boolean external =
        isOn()
            ? !registers.lvt.masked(LVT_LINT0)
                && registers.lvt.mode(LVT_LINT0) == DeliveryMode.EXTERNAL
            : (base & BASE_BOOT_PROCESSOR) != 0;
    signal |= deliverable || external && !acceptsExternal;
    pending = deliverable;
    acceptsExternal = external;
  }

  @Override
  public void reset() {
    synchronized (this) {
      base = DEFAULT_BASE | BASE_ENABLE | (id == 0 ? BASE_BOOT_PROCESSOR : 0);
      registers.changedId = id;
      clear();
    }
    handOn();
  }

  @Override
  public void init() {
    fetch();
    synchronized (this) {
      clear();
    }
    handOn();
  }

  /** Registers as after reset or INIT, or once the APIC has been disabled. */
  private void clear() {
    registers.clear();
    registers.logicalDestination = isX2Apic() ? ApicRegisters.clusterDestination(id) : 0;
    externalMessage = false;
    nmiSignal = false;
    timer.reset();
    update();
  }

  /**
   * Leaves the state in which firmware hands over: enabled, LINT0 = ExtINT, LINT1 = NMI. Boot
   * processor only.
   */
  public void enterVirtualWireMode() {
    fetch();
    writeRegister(SPURIOUS_VECTOR, 0x1ff);
    writeRegister(LVT_LINT0, 0x8700);
    writeRegister(LVT_LINT1, 0x8400);
    handOn();
  }

  // Registers elsewhere.

  @Override
  public void moveTo(EngineApic to) {
    ApicState state;
    synchronized (this) {
      state = state();
      engine = to;
      timer.rest();
      update();
    }
    to.write(state);
  }

  @Override
  public void moveBack() {
    fetch();
    synchronized (this) {
      if (engine == null) {
        return;
      }
      engine = null;
      timer.arm(0);
      update();
    }
    flush();
  }

  @Override
  public void endOfInterrupt(int vector) {
    bus.endOfInterrupt(vector);
  }

  private ApicState state() {
    int[] page = new int[ApicState.REGISTERS];
    registers.show(page);
    timer.show(page);
    return new ApicState(base, page, timer.deadline());
  }

  /** The registers here are those that count, wherever these are. */
  private void fetch() {
    EngineApic from = engine;
    if (from == null) {
      return;
    }
    ApicState state = from.read();
    synchronized (this) {
      base = state.base() & BASE_BITS;
      registers.take(state.registers());
      timer.take(state.registers(), state.deadline());
      registers.changedId = isX2Apic() ? id : registers.changedId;
    }
  }

  /** Those that count become what is here. */
  private void handOn() {
    EngineApic to = engine;
    if (to != null) {
      ApicState state;
      synchronized (this) {
        timer.rest();
        state = state();
      }
      to.write(state);
    }
  }

  @Override
  public String stateName() {
    return "apic" + id;
  }

  @Override
  public void save(StateWriter out) {
    fetch();
    synchronized (this) {
      out.putLong(base);
      registers.save(out);
      out.putBoolean(lint[0]).putBoolean(lint[1]).putBoolean(externalMessage);
      timer.save(out);
    }
  }

  @Override
  public void load(StateReader in) throws StateException {
    synchronized (this) {
      base = in.getLong() & BASE_BITS;
      registers.load(in);
      lint[0] = in.getBoolean();
      lint[1] = in.getBoolean();
      externalMessage = in.getBoolean();
      timer.load(in);
      update();
    }
    handOn();
    flush();
  }
}
