package dev.bothy.core;

import java.util.OptionalLong;

/**
 * Guest time. Stops while the machine is paused. The one source behind the TSC, the paravirtual
 * clock, and every timer device; no device asks the host for the time. Any thread.
 */
public interface MachineClock {
  /**
   * Guest time-stamp counter ticks per second of every vCPU, before its own offset: the TSC counts
   * nanoseconds.
   */
  long TSC_HZ = 1_000_000_000L;

  /** Nanoseconds since the machine was started for the first time; never runs backwards. */
  long nanos();

  /**
   * What {@link #nanos} adds to the host's {@link System#nanoTime}, for as long as a vCPU runs that
   * runs now; empty if guest time does not go with the host's.
   */
  default OptionalLong hostOffset() {
    return OptionalLong.empty();
  }

  /** Wall-clock time as the guest sees it, in nanoseconds since 1970-01-01T00:00Z. */
  long wallNanos();

  /**
   * Makes a timer, not armed.
   *
   * @param name for statistics and traces
   * @param onExpiry runs on the machine's event loop; must not block
   */
  Timer newTimer(String name, Runnable onExpiry);
}
