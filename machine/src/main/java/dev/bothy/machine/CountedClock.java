package dev.bothy.machine;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;

/**
 * A test clock: guest time that depends on nothing but the number of instructions executed, so that
 * a machine run twice does the same twice. For machines with one vCPU.
 *
 * <p>Time moves in steps of {@link #QUANTUM} instructions: all instructions of one quantum see the
 * same time, wherever runs were interrupted in between. Timers fire between quanta. A halted
 * processor skips to the first deadline.
 *
 * <p>Owned by the vCPU's thread while it runs; {@link #nanos} may be asked by any.
 */
final class CountedClock extends GuestClock {
  /** Instructions a step. */
  static final long QUANTUM = 512;

  private static final long WALL_BASE = 1_767_225_600L * 1_000_000_000L; // 2026-01-01T00:00Z

  private final long nanosPerInstruction;
  private volatile long now;
  private long executed;
  private long skipped;

  CountedClock(long nanosPerInstruction) {
    if (nanosPerInstruction <= 0) {
      throw new IllegalArgumentException(
          "nanoseconds an instruction must be above 0: " + nanosPerInstruction);
    }
    this.nanosPerInstruction = nanosPerInstruction;
  }

  @Override
  public long nanos() {
    return now;
  }

  @Override
  public long wallNanos() {
    return WALL_BASE + now;
  }

  /** Instructions that may run before time moves. */
  long budget() {
    return QUANTUM - executed % QUANTUM;
  }

  /** Counts {@code instructions} that have run; at most {@link #budget} of them. */
  void advance(long instructions) {
    executed += instructions;
    now = executed / QUANTUM * QUANTUM * nanosPerInstruction + skipped;
  }

  /** Fires what is due. */
  void fire() {
    timers.fire(now);
  }

  /**
   * The processor has nothing to do: moves to the first deadline and fires.
   *
   * @return false if there is no deadline, so that only something from outside can wake the machine
   */
  boolean skipToDeadline() {
    long first = timers.firstDeadline();
    if (first == Long.MAX_VALUE) {
      return false;
    }
    if (first > now) {
      skipped += first - now;
      now = first;
    }
    timers.fire(now);
    return true;
  }

  /** Instructions counted since power-on, those of the machine that was loaded included. */
  long executed() {
    return executed;
  }

  @Override
  void start() {}

  @Override
  void stop() {}

  @Override
  void close() {}

  @Override
  void firstDeadlineEarlier() {}

  @Override
  public void save(StateWriter out) {
    out.putLong(executed).putLong(skipped);
  }

  @Override
  public void load(StateReader in) throws StateException {
    long instructions = in.getLong();
    long idle = in.getLong();
    in.end();
    if (instructions < 0 || idle < 0) {
      throw in.damaged("a negative time");
    }
    executed = instructions;
    skipped = idle;
    advance(0);
  }
}
