package dev.bothy.machine;

import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;
import dev.bothy.core.state.Stateful;

/** The clock of a machine as the machine sees it: time that the machine itself starts and stops. */
abstract sealed class GuestClock implements MachineClock, Stateful permits HostClock, CountedClock {
  final TimerQueue timers = new TimerQueue(this::firstDeadlineEarlier);

  /** Time goes on; harmless if it does. */
  abstract void start();

  /** Time stands still, and no timer fires any more when this returns; harmless if it does. */
  abstract void stop();

  /** Frees what {@link #start} took; the clock never starts again. */
  abstract void close();

  /** An armed timer has become the first. */
  abstract void firstDeadlineEarlier();

  @Override
  public final Timer newTimer(String name, Runnable onExpiry) {
    return timers.newTimer(name, onExpiry);
  }

  @Override
  public final String stateName() {
    return "clock";
  }
}
