package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.Timer;
import dev.bothy.core.cpu.CpuState;

/**
 * The four synthetic timers of a processor ("Hypervisor Top Level Functional Specification" 6.0b,
 * 12.4), in ticks of 100 ns: one-shot or periodic, by a message or by an interrupt alone. Owned by
 * its vCPU's thread; expiries come to it as signals.
 */
final class SyntheticTimers {
  private static final int CONFIG0 = 0x4000_00b0;
  static final int TIMERS = 4;

  // A timer's configuration.
  private static final long ENABLE = 1;
  private static final long PERIODIC = 1 << 1;
  private static final long AUTO_ENABLE = 1 << 3;
  private static final int VECTOR_SHIFT = 4; // 8 bits
  private static final long DIRECT = 1 << 12;
  private static final int SOURCE_SHIFT = 16; // 4 bits
  private static final long WRITABLE = 0xf_1fff;
  private static final int FIRST_VECTOR = 16;

  /** HVMSG_TIMER_EXPIRED. */
  private static final int EXPIRED = 0x8000_0010;

  private static final long NANOS = 100;

  /** No timer wakes the host more often than once in so many nanoseconds. */
  private static final long MIN_PERIOD = 20_000;

  /** Some centuries, in ticks: what is later than that never comes. */
  private static final long FOREVER = Long.MAX_VALUE / NANOS / 2;

  private final Processor cpu;
  private final SyntheticInterrupts interrupts;
  private final Timer timer;

  SyntheticTimers(Processor cpu, SyntheticInterrupts interrupts) {
    this.cpu = cpu;
    this.interrupts = interrupts;
    timer = cpu.machine.clock().newTimer("hyperv" + cpu.index, this::expired);
  }

  /** On the machine's event loop. */
  private void expired() {
    cpu.signals.add(ProcessorSignals.TIMER);
    cpu.signalled();
  }

  void reset() {
    for (int i = 0; i < TIMERS; i++) {
      putLong(at(i, CpuState.HYPERV_TIMER_CONFIG), 0);
      putLong(at(i, CpuState.HYPERV_TIMER_COUNT), 0);
      putLong(at(i, CpuState.HYPERV_TIMER_EXPIRY), 0);
    }
    putInt(cpu.state + CpuState.HYPERV_TIMER_MESSAGES, 0);
    timer.cancel();
  }

  void load() {
    arm();
  }

  private long at(int number, int offset) {
    return cpu.state + offset + 8L * number;
  }

  private long config(int number) {
    return getLong(at(number, CpuState.HYPERV_TIMER_CONFIG));
  }

  static boolean owns(int msr) {
    return msr >= CONFIG0 && msr < CONFIG0 + 2 * TIMERS;
  }

  private static int offset(int msr) {
    return (msr & 1) == 0 ? CpuState.HYPERV_TIMER_CONFIG : CpuState.HYPERV_TIMER_COUNT;
  }

  long read(int msr) {
    return getLong(at(msr - CONFIG0 >> 1, offset(msr)));
  }

  void write(int msr, long value) {
    int number = msr - CONFIG0 >> 1;
    setWaiting(number, false);
    if ((msr & 1) == 0) {
      writeConfig(number, value & WRITABLE);
    } else {
      long config = config(number);
      putLong(at(number, CpuState.HYPERV_TIMER_COUNT), value);
      if (value == 0) {
        config &= ~ENABLE;
      } else if ((config & AUTO_ENABLE) != 0) {
        config |= ENABLE;
      }
      putLong(at(number, CpuState.HYPERV_TIMER_CONFIG), config);
    }
    start(number);
    expire();
  }

  private void writeConfig(int number, long value) {
    boolean direct = (value & DIRECT) != 0;
    if ((value & ENABLE) != 0 && direct && vector(value) < FIRST_VECTOR) {
      throw cpu.gp();
    }
    if (!direct && source(value) == 0) {
      value &= ~ENABLE; // the source of no timer
    }
    putLong(at(number, CpuState.HYPERV_TIMER_CONFIG), value);
  }

  private static int vector(long config) {
    return (int) (config >>> VECTOR_SHIFT) & 0xff;
  }

  private static int source(long config) {
    return (int) (config >>> SOURCE_SHIFT) & 0xf;
  }

  private long now() {
    return HypervInterface.ticks(cpu.machine.clock());
  }

  private void start(int number) {
    long config = config(number);
    long count = getLong(at(number, CpuState.HYPERV_TIMER_COUNT));
    if (count != 0 && (config & ENABLE) != 0) {
      long expiry = (config & PERIODIC) != 0 ? now() + period(count) : count;
      putLong(at(number, CpuState.HYPERV_TIMER_EXPIRY), expiry);
    } else {
      putLong(at(number, CpuState.HYPERV_TIMER_EXPIRY), 0);
    }
  }

  /** A count of more than {@link #FOREVER}, unsigned as it is, is that. */
  private static long period(long count) {
    return count < 0 ? FOREVER : Math.min(count, FOREVER);
  }

  /** A message of that timer has found no place. */
  private boolean waiting(int number) {
    return (getInt(cpu.state + CpuState.HYPERV_TIMER_MESSAGES) >>> number & 1) != 0;
  }

  private void setWaiting(int number, boolean waits) {
    int all = getInt(cpu.state + CpuState.HYPERV_TIMER_MESSAGES) & ~(1 << number);
    putInt(cpu.state + CpuState.HYPERV_TIMER_MESSAGES, waits ? all | 1 << number : all);
  }

  /** Does what is due, and sees to being called again. */
  void expire() {
    long now = now();
    for (int i = 0; i < TIMERS; i++) {
      long expiry = getLong(at(i, CpuState.HYPERV_TIMER_EXPIRY));
      if (expiry != 0 && Long.compareUnsigned(expiry, now) <= 0 && !waiting(i)) {
        fire(i, expiry, now);
      }
    }
    arm();
  }

  private void fire(int number, long expiry, long now) {
    long config = config(number);
    if ((config & DIRECT) != 0) {
      interrupts.send(vector(config));
    } else if (!interrupts.post(source(config), EXPIRED, number, expiry, now)) {
      setWaiting(number, true);
      return;
    }
    if ((config & PERIODIC) != 0) {
      // What was missed is not made up for.
      long period = Math.max(1, period(getLong(at(number, CpuState.HYPERV_TIMER_COUNT))));
      long missed = (now - expiry) / period;
      putLong(at(number, CpuState.HYPERV_TIMER_EXPIRY), expiry + (missed + 1) * period);
    } else {
      putLong(at(number, CpuState.HYPERV_TIMER_CONFIG), config & ~ENABLE);
      putLong(at(number, CpuState.HYPERV_TIMER_EXPIRY), 0);
    }
  }

  /** The guest has freed the place of a message. */
  void retry() {
    putInt(cpu.state + CpuState.HYPERV_TIMER_MESSAGES, 0);
    expire();
  }

  private void arm() {
    long next = FOREVER;
    for (int i = 0; i < TIMERS; i++) {
      long expiry = getLong(at(i, CpuState.HYPERV_TIMER_EXPIRY));
      if (expiry > 0 && !waiting(i)) {
        next = Math.min(next, expiry);
      }
    }
    if (next == FOREVER) {
      timer.cancel();
    } else {
      timer.armAt(Math.max((next + 1) * NANOS, cpu.machine.clock().nanos() + MIN_PERIOD));
    }
  }
}
