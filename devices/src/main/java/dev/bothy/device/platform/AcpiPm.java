package dev.bothy.device.platform;

import dev.bothy.core.BusDevice;
import dev.bothy.core.IrqLine;
import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.interrupt.IrqOutput;

/**
 * ACPI fixed hardware (ACPI specification, chapter 4.8): PM1a event and control block, 32-bit PM
 * timer, one GPE block of 16 events, SCI. There is no legacy mode: SCI_EN is always set. Sleep
 * states S3, from which the real-time clock and the power button wake, and S5.
 */
public final class AcpiPm implements BusDevice, Stateful {
  /** Port of the block; everything else is relative to it. */
  public static final int BASE = 0x600;

  public static final int LENGTH = 0x40;

  /** Two bytes of status, two of enable. */
  public static final int PM1A_EVENT = 0x00;

  public static final int PM1A_CONTROL = 0x04;
  public static final int PM_TIMER = 0x08;

  /** Two bytes of status, two of enable. */
  public static final int GPE0 = 0x20;

  /** What the guest does to the machine's power. */
  @FunctionalInterface
  public interface Power {
    /** It enters S5; on a vCPU's thread. */
    void off();

    /** It enters S3, see {@link #asleep}; on a vCPU's thread. */
    default void sleep() {}

    /** It is to wake up: {@link #wakes} is true until {@link #awake}. Any thread. */
    default void wake() {}
  }

  /** SLP_TYP of S3 in the DSDT's _S3_ package. */
  public static final int SLEEP_TYPE_S3 = 1;

  /** SLP_TYP of S5 in the DSDT's _S5_ package. */
  public static final int SLEEP_TYPE_S5 = 5;

  public static final int SCI_IRQ = 9;

  /** Ticks of the PM timer per second. */
  public static final long TIMER_HZ = 3_579_545;

  private static final int STATUS = PM1A_EVENT;
  private static final int ENABLE = PM1A_EVENT + 2;
  private static final int GPE_STATUS = GPE0;
  private static final int GPE_ENABLE = GPE0 + 2;

  private static final int TIMER_EVENT = 1;
  private static final int POWER_BUTTON = 1 << 8;
  private static final int CLOCK_ALARM = 1 << 10;
  private static final int WOKEN = 1 << 15;
  private static final int EVENTS = 0x8731; // status bits that exist
  private static final int ENABLES = 0x0721;

  private static final int SCI_ENABLED = 1;
  private static final int CONTROL_KEPT = 0x1c02; // BM_RLD, SLP_TYP
  private static final int SLEEP = 1 << 13;

  private static final int GPES = 0xffff;

  private final MachineClock clock;
  private final IrqOutput sci;
  private final Power power;
  private final Timer timer;

  private volatile boolean asleep;
  private volatile boolean wakes;

  private int status;
  private int enable;
  private int control;
  private int gpeStatus;
  private int gpeEnable;

  /** Half-turns of the timer (bit 31 toggles) that the status bit has been told of. */
  private long halfTurns;

  /**
   * @param sci ISA interrupt {@link #SCI_IRQ}, level-triggered
   */
  public AcpiPm(MachineClock clock, IrqLine sci, Power power) {
    this.clock = clock;
    this.sci = new IrqOutput(sci);
    this.power = power;
    this.timer = clock.newTimer("acpi-pm", this::turned);
    halfTurns = ticks() >>> 31;
  }

  /** Presses the power button, which wakes a machine that is asleep. Any thread. */
  public void pressPowerButton() {
    happens(POWER_BUTTON, true);
  }

  /** The real-time clock interrupts, which wakes a machine if its guest wants that. Any thread. */
  public void clockInterrupts() {
    happens(CLOCK_ALARM, false);
  }

  private void happens(int event, boolean alwaysWakes) {
    boolean wake;
    synchronized (this) {
      status |= event;
      update();
      wake = asleep && !wakes && (alwaysWakes || (enable & event) != 0);
      wakes |= wake;
    }
    sci.drive();
    if (wake) {
      power.wake();
    }
  }

  /** True from when the guest has entered S3 to {@link #awake} or a reset. */
  public boolean asleep() {
    return asleep;
  }

  /** True if it is asleep and something has happened that ends this. */
  public boolean wakes() {
    return wakes;
  }

  /** It is awake again, and its guest finds out why. */
  public void awake() {
    synchronized (this) {
      asleep = false;
      wakes = false;
      status |= WOKEN;
      update();
    }
    sci.drive();
  }

  /**
   * Signals general-purpose event {@code number}. Any thread.
   *
   * @param number 0 to 15
   */
  public void raiseGeneralEvent(int number) {
    java.util.Objects.checkIndex(number, 16);
    synchronized (this) {
      gpeStatus |= 1 << number;
      update();
    }
    sci.drive();
  }

  private long ticks() {
    long nanos = clock.nanos();
    return nanos / 1_000_000_000L * TIMER_HZ + nanos % 1_000_000_000L * TIMER_HZ / 1_000_000_000L;
  }

  private void update() {
    sci.want((status & enable & ENABLES) != 0 || (gpeStatus & gpeEnable) != 0);
    if ((enable & TIMER_EVENT) != 0 && (status & TIMER_EVENT) == 0) {
      long ticks = (halfTurns + 1) << 31;
      long rest = ticks % TIMER_HZ * 1_000_000_000L;
      timer.armAt(ticks / TIMER_HZ * 1_000_000_000L + (rest + TIMER_HZ - 1) / TIMER_HZ);
    } else {
      timer.cancel();
    }
  }

  private void settleTimer(long ticks) {
    if (ticks >>> 31 != halfTurns) {
      halfTurns = ticks >>> 31;
      status |= TIMER_EVENT;
    }
  }

  private void turned() {
    synchronized (this) {
      settleTimer(ticks());
      update();
    }
    sci.drive();
  }

  @Override
  public long read(long offset, int size) {
    long value = 0;
    synchronized (this) {
      long ticks = ticks();
      settleTimer(ticks);
      for (int i = 0; i < size; i++) {
        value |= (long) readByte((int) offset + i, ticks) << (8 * i);
      }
      update();
    }
    sci.drive();
    return value;
  }

  private int readByte(int at, long ticks) {
    if (at >= PM_TIMER && at < PM_TIMER + 4) {
      return (int) (ticks >>> (8 * (at - PM_TIMER))) & 0xff;
    }
    int word =
        switch (at & ~1) {
          case STATUS -> status;
          case ENABLE -> enable;
          case PM1A_CONTROL -> control | SCI_ENABLED;
          case GPE_STATUS -> gpeStatus;
          case GPE_ENABLE -> gpeEnable;
          default -> 0;
        };
    return word >>> (8 * (at & 1)) & 0xff;
  }

  @Override
  public void write(long offset, int size, long value) {
    int sleeps = -1;
    synchronized (this) {
      settleTimer(ticks());
      for (int i = 0; i < size; i++) {
        sleeps = Math.max(sleeps, writeByte((int) offset + i, (int) (value >>> (8 * i)) & 0xff));
      }
      asleep |= sleeps == SLEEP_TYPE_S3;
      update();
    }
    sci.drive();
    if (sleeps == SLEEP_TYPE_S5) {
      power.off();
    } else if (sleeps == SLEEP_TYPE_S3) {
      power.sleep();
      wakeIfItHappened();
    }
  }

  /** What wakes it has come between the guest's last look and its sleep. */
  private void wakeIfItHappened() {
    happens(0, (status & enable & (CLOCK_ALARM | POWER_BUTTON)) != 0);
  }

  /** The sleep type if the guest goes to sleep, else -1. */
  private int writeByte(int at, int value) {
    int shift = 8 * (at & 1);
    int bits = value << shift;
    int others = ~(0xff << shift);
    switch (at & ~1) {
      case STATUS -> status &= ~bits;
      case ENABLE -> enable = (enable & others | bits) & ENABLES;
      case PM1A_CONTROL -> {
        control = (control & others | bits) & CONTROL_KEPT;
        return (bits & SLEEP) != 0 ? control >>> 10 : -1;
      }
      case GPE_STATUS -> gpeStatus &= ~bits;
      case GPE_ENABLE -> gpeEnable = (gpeEnable & others | bits) & GPES;
      default -> {
        // The timer is read-only; nothing else is there.
      }
    }
    return -1;
  }

  public void reset() {
    synchronized (this) {
      status = 0;
      enable = 0;
      control = 0;
      gpeStatus = 0;
      gpeEnable = 0;
      asleep = false;
      wakes = false;
      halfTurns = ticks() >>> 31;
      update();
    }
    sci.drive();
  }

  @Override
  public String stateName() {
    return "acpi-pm";
  }

  /** 2: with sleep. */
  @Override
  public int stateVersion() {
    return 2;
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putInt(status).putInt(enable).putInt(control).putInt(gpeStatus).putInt(gpeEnable);
    out.putLong(halfTurns).putBoolean(sci.wanted());
    out.putBoolean(asleep).putBoolean(wakes);
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    status = in.getInt() & EVENTS;
    enable = in.getInt() & ENABLES;
    control = in.getInt() & CONTROL_KEPT;
    gpeStatus = in.getInt() & GPES;
    gpeEnable = in.getInt() & GPES;
    halfTurns = in.getLong();
    sci.restore(in.getBoolean());
    asleep = in.getBoolean();
    wakes = in.getBoolean();
    update();
  }
}
