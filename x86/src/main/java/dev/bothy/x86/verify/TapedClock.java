package dev.bothy.x86.verify;

import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;

/** The machine's clock as one engine sees it through its tape. */
final class TapedClock implements MachineClock {
  private final MachineClock real;
  private final Tape tape;

  TapedClock(MachineClock real, Tape tape) {
    this.real = real;
    this.tape = tape;
  }

  @Override
  public long nanos() {
    Journal.Entry entry = tape.turn(Journal.Kind.NANOS, 0, 0, 0);
    if (tape.asks()) {
      entry.answer = real.nanos();
    }
    return entry.answer;
  }

  @Override
  public long wallNanos() {
    Journal.Entry entry = tape.turn(Journal.Kind.WALL_NANOS, 0, 0, 0);
    if (tape.asks()) {
      entry.answer = real.wallNanos();
    }
    return entry.answer;
  }

  @Override
  public Timer newTimer(String name, Runnable onExpiry) {
    return real.newTimer(name, onExpiry);
  }
}
