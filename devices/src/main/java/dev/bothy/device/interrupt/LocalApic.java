package dev.bothy.device.interrupt;

import static dev.bothy.device.interrupt.ApicRegisters.*;

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

  private static final int MSR_FIRST = 0x800;
  private static final int MSR_LAST = 0x8ff;
  private static final int MSR_TSC_DEADLINE = 0x6e0;

  /** Integrated APIC with six LVT entries, no suppression of EOI broadcasts. */
  private static final int VERSION_VALUE = 0x0005_0014;

  private static final int ENABLED = 1 << 8; // of SPURIOUS_VECTOR

  private static final int COMMAND_WRITABLE = 0x000c_cfff;
  private static final int COMMAND_LEVEL_TRIGGER = 1 << 15;
  private static final int COMMAND_ASSERT = 1 << 14;
  private static final int COMMAND_LOGICAL = 1 << 11;

  private static final int ERROR_SEND_VECTOR = 1 << 5;
  private static final int ERROR_RECEIVE_VECTOR = 1 << 6;
  private static final int ERROR_REGISTER = 1 << 7;

  private final ApicBus bus;
  private final int id;
  private final ApicTimer timer;

  /** Written under the lock. */
  private volatile long base;

  /** The id in xAPIC mode, which software may change. */
  private int changedId;

  private int taskPriority;
  private int logicalDestination;
  private int destinationFormat;
  private int spuriousVector;
  private int errorStatus;
  private int errorsSeen;
  private int command;
  private int commandHigh;
  private final LocalVectorTable lvt = new LocalVectorTable();
  private final VectorSet inService = new VectorSet();
  private final VectorSet triggerMode = new VectorSet();
  private final VectorSet requests = new VectorSet();

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

  private int readRegister(int register) {
    synchronized (this) {
      switch (register) {
        case ID:
          return isX2Apic() ? id : changedId << 24;
        case VERSION:
          return VERSION_VALUE;
        case TASK_PRIORITY:
          return taskPriority;
        case PROCESSOR_PRIORITY:
          return processorPriority();
        case ARBITRATION_PRIORITY, EOI, REMOTE_READ:
          return 0;
        case LOGICAL_DESTINATION:
          return logicalDestination;
        case DESTINATION_FORMAT:
          return destinationFormat;
        case SPURIOUS_VECTOR:
          return spuriousVector;
        case ERROR_STATUS:
          return errorStatus;
        case COMMAND:
          return command;
        case COMMAND_HIGH:
          return commandHigh;
        case LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR:
          return lvt.get(register);
        case INITIAL_COUNT:
          return (int) timer.initialCount();
        case CURRENT_COUNT:
          return (int) timer.currentCount();
        case DIVIDE:
          return timer.divide();
        default:
          if (register >= IN_SERVICE && register < ERROR_STATUS) {
            VectorSet set =
                register < TRIGGER_MODE ? inService : register < REQUESTS ? triggerMode : requests;
            return set.word(register & 7);
          }
          raiseError(ERROR_REGISTER);
      }
    }
    flush();
    return 0;
  }

  private void writeRegister(int register, int value) {
    switch (register) {
      case EOI -> endOfInterrupt();
      case COMMAND -> {
        long destination;
        synchronized (this) {
          command = value & COMMAND_WRITABLE;
          destination = isX2Apic() ? commandHigh & 0xffff_ffffL : commandHigh >>> 24;
        }
        sendCommand(value, (int) destination);
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
      case TASK_PRIORITY -> {
        taskPriority = value & 0xff;
        update();
      }
      case ID -> changedId = value >>> 24;
      case LOGICAL_DESTINATION -> logicalDestination = value & 0xff00_0000;
      case DESTINATION_FORMAT -> destinationFormat = value | 0x0fff_ffff;
      case SPURIOUS_VECTOR -> {
        spuriousVector = value & SPURIOUS_WRITABLE;
        if (!isEnabled()) {
          lvt.maskAll();
        }
        update();
      }
      case ERROR_STATUS -> {
        errorStatus = errorsSeen;
        errorsSeen = 0;
      }
      case COMMAND_HIGH -> commandHigh = value & 0xff00_0000;
      case LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR ->
          writeLvt(register, value);
      case INITIAL_COUNT -> timer.setInitialCount(value & 0xffff_ffffL);
      case DIVIDE -> timer.setDivide(value);
      case VERSION, ARBITRATION_PRIORITY, PROCESSOR_PRIORITY, REMOTE_READ, CURRENT_COUNT -> {
        // Read-only: dropped.
      }
      default -> {
        if (register < IN_SERVICE || register >= ERROR_STATUS) {
          raiseError(ERROR_REGISTER);
        }
      }
    }
  }

  private void writeLvt(int register, int value) {
    lvt.write(register, value, isEnabled());
    if (register == LVT_TIMER) {
      timer.setMode(lvt.get(register) >>> 17 & 3);
    } else if (register == LVT_LINT0 || register == LVT_LINT1) {
      levelInterrupt(register - LVT_LINT0);
      update();
    }
  }

  // MSRs.

  @Override
  public long apicBase() {
    return base;
  }

  @Override
  public boolean setApicBase(long value) {
    synchronized (this) {
      if (!ApicRegisters.baseAllowed(base, value)) {
        return false;
      }
      boolean wasX2Apic = isX2Apic();
      boolean wasOn = isOn();
      base = value;
      if (wasOn && !isOn()) {
        changedId = id;
        clear();
      } else if (isX2Apic() && !wasX2Apic) {
        logicalDestination = ApicRegisters.clusterDestination(id);
        changedId = id;
        commandHigh = 0;
      }
      update();
    }
    flush();
    return true;
  }

  @Override
  public long baseAddress() {
    long now = base;
    return (now & (BASE_ENABLE | BASE_X2APIC)) == BASE_ENABLE ? now & BASE_ADDRESS : -1;
  }

  @Override
  public boolean ownsMsr(int index) {
    return index == MSR_TSC_DEADLINE || index >= MSR_FIRST && index <= MSR_LAST && isX2Apic();
  }

  @Override
  public OptionalLong readMsr(int index) {
    if (index == MSR_TSC_DEADLINE) {
      synchronized (this) {
        return OptionalLong.of(timer.deadline());
      }
    }
    int register = index - MSR_FIRST;
    if (!ownsMsr(index) || !ApicRegisters.readable(register)) {
      return OptionalLong.empty();
    }
    long value = readRegister(register) & 0xffff_ffffL;
    if (register == COMMAND) {
      value |= (long) readRegister(COMMAND_HIGH) << 32;
    }
    return OptionalLong.of(value);
  }

  @Override
  public boolean writeMsr(int index, long value) {
    if (index == MSR_TSC_DEADLINE) {
      synchronized (this) {
        if (timer.setDeadline(value)) {
          fire(LVT_TIMER);
        }
      }
      flush();
      return true;
    }
    int register = index - MSR_FIRST;
    if (!ownsMsr(index)
        || !ApicRegisters.writable(register)
        || (value & ApicRegisters.reserved(register)) != 0) {
      return false;
    }
    switch (register) {
      case COMMAND -> {
        synchronized (this) {
          command = (int) value & COMMAND_WRITABLE;
          commandHigh = (int) (value >>> 32);
        }
        sendCommand((int) value, (int) (value >>> 32));
        flush();
      }
      case SELF_IPI -> {
        sendCommand(0x4_4000 | (int) value, 0);
        flush();
      }
      default -> writeRegister(register, (int) value);
    }
    return true;
  }

  // Interrupts going out.

  @Override
  public void sendCommand(int word, int destination) {
    DeliveryMode mode = DeliveryMode.ofWord(word);
    int vector = word & 0xff;
    boolean level = (word & COMMAND_LEVEL_TRIGGER) != 0;
    if (mode == DeliveryMode.INIT && level && (word & COMMAND_ASSERT) == 0) {
      return; // INIT level de-assert means nothing to this APIC
    }
    if ((mode == DeliveryMode.FIXED || mode == DeliveryMode.LOWEST_PRIORITY) && vector < 16) {
      synchronized (this) {
        raiseError(ERROR_SEND_VECTOR);
      }
      return;
    }
    switch (word >>> 18 & 3) {
      case 0 -> {
        boolean logical = (word & COMMAND_LOGICAL) != 0;
        boolean broadcast = destination == (isX2Apic() ? -1 : 0xff);
        bus.deliver(destination, logical, broadcast, mode, vector, false);
      }
      case 1 -> accept(mode, vector, false);
      case 2 -> bus.deliverToAll(null, mode, vector);
      default -> bus.deliverToAll(this, mode, vector);
    }
  }

  private void endOfInterrupt() {
    int vector;
    boolean broadcast;
    synchronized (this) {
      vector = inService.highest();
      if (vector < 0) {
        return;
      }
      inService.remove(vector);
      broadcast = triggerMode.contains(vector);
      if (broadcast) {
        for (int i = 0; i < 2; i++) {
          if (lvt.remoteIrr(i) && lvt.vector(LVT_LINT0 + i) == vector) {
            lvt.setRemoteIrr(i, false);
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
    if (!isOn()) {
      return false;
    }
    if (broadcast) {
      return true;
    }
    if (!logical) {
      return destination == (isX2Apic() ? id : changedId);
    }
    return isX2Apic()
        ? ApicRegisters.matchesCluster(logicalDestination, destination)
        : ApicRegisters.matchesLogical(logicalDestination, destinationFormat, destination);
  }

  /** What a lowest-priority message is decided by, or -1 if this APIC takes none. */
  synchronized int arbitrationPriority() {
    return isOn() && isEnabled() ? processorPriority() : -1;
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
          accepted = isOn() && isEnabled() && request(vector, level);
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
    requests.add(vector);
    if (level) {
      triggerMode.add(vector);
    } else {
      triggerMode.remove(vector);
    }
    update();
    return true;
  }

  /** Drives the LINT0 or LINT1 wire. */
  void lint(int pin, boolean high) {
    synchronized (this) {
      boolean rising = high && !lint[pin];
      lint[pin] = high;
      if (lvt.isLevel(pin)) {
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
        && lvt.isLevel(pin)
        && !lvt.remoteIrr(pin)
        && !lvt.masked(LVT_LINT0 + pin)
        && request(lvt.vector(LVT_LINT0 + pin), true)) {
      lvt.setRemoteIrr(pin, true);
    }
  }

  private void timerExpired() {
    synchronized (this) {
      if (timer.expired()) {
        fire(LVT_TIMER);
      }
    }
    flush();
  }

  /** An event of the local vector table happens. */
  private void fire(int register) {
    if (lvt.masked(register)) {
      return;
    }
    switch (lvt.mode(register)) {
      case FIXED -> request(lvt.vector(register), false);
      case NMI -> nmiSignal = true;
      default -> {
        // ExtINT follows the 8259 pair's output; the others are not for LVT entries.
      }
    }
  }

  private void raiseError(int bit) {
    boolean first = (errorsSeen & bit) == 0;
    errorsSeen |= bit;
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
      int vector = requests.highest();
      requests.remove(vector);
      inService.add(vector);
      update();
      return vector;
    }
  }

  @Override
  public boolean giveBack(int vector) {
    synchronized (this) {
      if (inService.contains(vector)) {
        inService.remove(vector);
        requests.add(vector);
        update();
        return true;
      }
    }
    return bus.giveBackExternal(vector);
  }

  @Override
  public synchronized int taskPriority() {
    return taskPriority >>> 4;
  }

  @Override
  public void setTaskPriority(int priority) {
    writeRegister(TASK_PRIORITY, (priority & 0xf) << 4);
  }

  @Override
  public void setTscOffset(long ticks) {
    synchronized (this) {
      if (timer.setTscOffset(ticks)) {
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

  private boolean isX2Apic() {
    return (base & BASE_X2APIC) != 0;
  }

  private boolean isEnabled() {
    return (spuriousVector & ENABLED) != 0;
  }

  private int processorPriority() {
    int serving = Math.max(inService.highest(), 0) & 0xf0;
    return (taskPriority & 0xf0) >= serving ? taskPriority : serving;
  }

  /** Works out anew what {@link #interruptPending} answers. */
  private void update() {
    int vector = requests.highest();
    boolean deliverable = vector >>> 4 > processorPriority() >>> 4 && vector >= 0 && isOn();
    boolean external =
        isOn()
            ? !lvt.masked(LVT_LINT0) && lvt.mode(LVT_LINT0) == DeliveryMode.EXTERNAL
            : (base & BASE_BOOT_PROCESSOR) != 0;
    signal |= deliverable || external && !acceptsExternal;
    pending = deliverable;
    acceptsExternal = external;
  }

  @Override
  public synchronized void reset() {
    base = DEFAULT_BASE | BASE_ENABLE | (id == 0 ? BASE_BOOT_PROCESSOR : 0);
    changedId = id;
    clear();
  }

  @Override
  public synchronized void init() {
    clear();
  }

  /** Registers as after reset or INIT, or once the APIC has been disabled. */
  private void clear() {
    taskPriority = 0;
    logicalDestination = isX2Apic() ? ApicRegisters.clusterDestination(id) : 0;
    destinationFormat = -1;
    spuriousVector = 0xff;
    errorStatus = 0;
    errorsSeen = 0;
    command = 0;
    commandHigh = 0;
    lvt.reset();
    inService.clear();
    triggerMode.clear();
    requests.clear();
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
    writeRegister(SPURIOUS_VECTOR, 0x1ff);
    writeRegister(LVT_LINT0, 0x8700);
    writeRegister(LVT_LINT1, 0x8400);
  }

  @Override
  public String stateName() {
    return "apic" + id;
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putLong(base)
        .putInt(changedId)
        .putInt(taskPriority)
        .putInt(logicalDestination)
        .putInt(destinationFormat);
    out.putInt(spuriousVector).putInt(errorStatus).putInt(errorsSeen);
    out.putInt(command).putInt(commandHigh);
    lvt.save(out);
    inService.save(out);
    triggerMode.save(out);
    requests.save(out);
    out.putBoolean(lint[0]).putBoolean(lint[1]).putBoolean(externalMessage);
    timer.save(out);
  }

  @Override
  public void load(StateReader in) throws StateException {
    synchronized (this) {
      base = in.getLong() & BASE_BITS;
      changedId = in.getInt(0, 0xff);
      taskPriority = in.getInt(0, 0xff);
      logicalDestination = in.getInt();
      destinationFormat = in.getInt();
      spuriousVector = in.getInt() & SPURIOUS_WRITABLE;
      errorStatus = in.getInt();
      errorsSeen = in.getInt();
      command = in.getInt();
      commandHigh = in.getInt();
      lvt.load(in);
      inService.load(in);
      triggerMode.load(in);
      requests.load(in);
      lint[0] = in.getBoolean();
      lint[1] = in.getBoolean();
      externalMessage = in.getBoolean();
      timer.load(in);
      update();
    }
    flush();
  }
}
