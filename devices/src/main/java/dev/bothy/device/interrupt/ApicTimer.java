package dev.bothy.device.interrupt;

import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;

/**
 * The timer of a local APIC (Intel SDM volume 3, 11.5.4): one-shot, periodic and TSC-deadline.
 * Guarded by its local APIC's lock.
 */
final class ApicTimer {
  static final int ONE_SHOT = 0;
  static final int PERIODIC = 1;
  static final int TSC_DEADLINE = 2;

  /**
   * No more interrupts than one in so many nanoseconds in periodic mode, whatever the guest asks
   * for.
   */
  private static final long MIN_PERIOD = 20_000;

  private final MachineClock clock;
  private final Timer timer;

  private int mode;
  private int divide;
  private long initialCount;

  /** The count at {@link #start}; 0 when stopped. */
  private long startCount;

  private long start;
  private long deadline;
  private long tscOffset;

  ApicTimer(MachineClock clock, String name, Runnable onExpiry) {
    this.clock = clock;
    this.timer = clock.newTimer(name, onExpiry);
  }

  /**
   * Before the guest changes anything of the timer: true if it has expired and the clock has not
   * told so yet, and the LVT entry fires as it is. Else what has passed would be taken for what the
   * guest sets now: a count that has run down for one that begins again, and its interrupt would be
   * lost.
   */
  boolean catchUp() {
    if (mode == TSC_DEADLINE) {
      return deadline != 0 && deadlinePassed();
    }
    return startCount != 0 && clock.nanos() >= expiry() && expired();
  }

  /** From bits 17 and 18 of the LVT entry. */
  void setMode(int newMode) {
    if ((mode == TSC_DEADLINE) != (newMode == TSC_DEADLINE)) {
      stop();
    }
    mode = newMode;
  }

  private void stop() {
    initialCount = 0;
    startCount = 0;
    deadline = 0;
    timer.cancel();
  }

  void reset() {
    stop();
    mode = ONE_SHOT;
    divide = 0;
  }

  long initialCount() {
    return initialCount;
  }

  void setInitialCount(long value) {
    if (mode == TSC_DEADLINE) {
      return;
    }
    initialCount = value;
    restart(value);
  }

  long currentCount() {
    if (startCount == 0) {
      return 0;
    }
    long ticks = clock.nanos() - start >> shift();
    if (ticks < startCount) {
      return startCount - ticks;
    }
    return mode == PERIODIC && initialCount != 0
        ? initialCount - (ticks - startCount) % initialCount
        : 0;
  }

  int divide() {
    return divide;
  }

  void setDivide(int value) {
    long count = currentCount();
    divide = value & 0xb;
    if (startCount != 0) {
      restart(count);
    }
  }

  /** Bits 0, 1 and 3 count 2, 4 ... 128, then 1. */
  private int shift() {
    return (divide & 3 | divide >> 1 & 4) + 1 & 7;
  }

  private void restart(long count) {
    startCount = count;
    start = clock.nanos();
    if (count == 0) {
      timer.cancel();
    } else {
      timer.armAt(expiry());
    }
  }

  private long expiry() {
    return start + (startCount << shift());
  }

  long deadline() {
    return mode == TSC_DEADLINE ? deadline : 0;
  }

  /**
   * Sets the deadline in ticks of the vCPU's TSC; true if it has passed already, which disarms the
   * timer. The last one has been {@linkplain #catchUp looked at}.
   */
  boolean setDeadline(long value) {
    if (mode != TSC_DEADLINE) {
      return false;
    }
    deadline = value;
    return deadlinePassed();
  }

  /** As {@link #setDeadline}, for a new offset; which is noted alone if the timer is elsewhere. */
  boolean setTscOffset(long ticks, boolean here) {
    tscOffset = ticks;
    return here && mode == TSC_DEADLINE && deadlinePassed();
  }

  private boolean deadlinePassed() {
    if (deadline == 0) {
      timer.cancel();
      return false;
    }
    long now = clock.nanos();
    long left = deadline - (now + tscOffset);
    if (Long.compareUnsigned(deadline, now + tscOffset) <= 0) {
      deadline = 0;
      timer.cancel();
      return true;
    }
    if (left > 0 && now + left > 0) {
      timer.armAt(now + left);
    } else {
      timer.cancel(); // centuries away
    }
    return false;
  }

  /** The timer has expired, or seems to have: true if the LVT entry fires. */
  boolean expired() {
    if (mode == TSC_DEADLINE) {
      return deadlinePassed();
    }
    if (startCount == 0) {
      return false;
    }
    long now = clock.nanos();
    long due = expiry();
    if (now < due) {
      timer.armAt(due);
      return false;
    }
    if (mode == PERIODIC && initialCount != 0) {
      long period = initialCount << shift();
      start = due + (now - due) / period * period;
      startCount = initialCount;
      timer.armAt(Math.max(expiry(), now + MIN_PERIOD));
    } else {
      startCount = 0;
      timer.cancel();
    }
    return true;
  }

  /** Puts its registers where the register page has them. */
  void show(int[] page) {
    page[ApicRegisters.INITIAL_COUNT] = (int) initialCount;
    page[ApicRegisters.CURRENT_COUNT] = (int) currentCount();
    page[ApicRegisters.DIVIDE] = divide;
  }

  /**
   * Becomes what a timer elsewhere is, by its register page and its deadline. It stands until
   * {@link #arm}.
   */
  void take(int[] page, long newDeadline) {
    timer.cancel();
    mode = page[ApicRegisters.LVT_TIMER] >>> 17 & 3;
    divide = page[ApicRegisters.DIVIDE] & 0xb;
    initialCount = page[ApicRegisters.INITIAL_COUNT] & 0xffff_ffffL;
    long current = page[ApicRegisters.CURRENT_COUNT] & 0xffff_ffffL;
    startCount = mode == PERIODIC && current == 0 ? initialCount : current;
    start = clock.nanos();
    deadline = mode == TSC_DEADLINE ? newDeadline : 0;
  }

  /** Leaves the time to a timer elsewhere. */
  void rest() {
    timer.cancel();
  }

  void save(StateWriter out) {
    out.putByte(mode).putByte(divide).putLong(initialCount).putLong(startCount);
    out.putLong(startCount == 0 ? 0 : start).putLong(deadline).putLong(tscOffset);
    // Not always the expiry: periods below the least are stretched.
    out.putLong(timer.armed() ? timer.deadline() : 0);
  }

  void load(StateReader in) throws StateException {
    timer.cancel();
    mode = in.getByte() & 3;
    divide = in.getByte() & 0xb;
    initialCount = in.getLong() & 0xffff_ffffL;
    startCount = in.getLong() & 0xffff_ffffL;
    start = in.getLong();
    deadline = in.getLong();
    tscOffset = in.getLong();
    arm(in.getLong());
  }

  /**
   * Runs from what it is.
   *
   * @param armedFor when it expires in a counting mode; 0: by its counts
   */
  void arm(long armedFor) {
    if (mode == TSC_DEADLINE) {
      if (deadline != 0) {
        // One that has passed meanwhile fires on the event loop.
        long left = deadline - (clock.nanos() + tscOffset);
        timer.armAt(clock.nanos() + Math.max(0, Math.min(left, Long.MAX_VALUE / 2)));
      }
    } else if (startCount != 0) {
      timer.armAt(armedFor > 0 ? armedFor : expiry());
    }
  }
}
