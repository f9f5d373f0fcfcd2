package dev.bothy.x86.oracle;

import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;

/** Time that stands still. */
final class StoppedClock implements MachineClock {
  @Override
  public long nanos() {
    return 0;
  }

  @Override
  public long wallNanos() {
    return 0;
  }

  @Override
  public Timer newTimer(String name, Runnable onExpiry) {
    throw new UnsupportedOperationException();
  }
}
