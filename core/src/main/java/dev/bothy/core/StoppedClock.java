package dev.bothy.core;

/** Guest time that stands still, without timers. For processors that run without a machine. */
public final class StoppedClock implements MachineClock {
  private final long nanos;

  /**
   * @param nanos what {@link #nanos} tells for ever
   */
  public StoppedClock(long nanos) {
    this.nanos = nanos;
  }

  @Override
  public long nanos() {
    return nanos;
  }

  @Override
  public long wallNanos() {
    return 0;
  }

  /**
   * @throws UnsupportedOperationException always: it would never expire
   */
  @Override
  public Timer newTimer(String name, Runnable onExpiry) {
    throw new UnsupportedOperationException("no timers where time stands still");
  }
}
