package dev.bothy.device;

import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;
import java.util.ArrayList;
import java.util.List;

/**
 * A clock that moves when told to, firing timers on the way at the time they are armed for. One
 * thread.
 */
public final class TestClock implements MachineClock {
  /** 2026-03-14T15:09:26Z, a Saturday. */
  public static final long WALL_START = 1_773_500_966L * 1_000_000_000L;

  private final List<ManualTimer> timers = new ArrayList<>();
  private long now;

  @Override
  public long nanos() {
    return now;
  }

  @Override
  public long wallNanos() {
    return WALL_START + now;
  }

  @Override
  public Timer newTimer(String name, Runnable onExpiry) {
    ManualTimer timer = new ManualTimer(onExpiry);
    timers.add(timer);
    return timer;
  }

  /** Lets {@code nanos} pass. Returns how many timers fired. */
  public int advance(long nanos) {
    long end = now + nanos;
    int fired = 0;
    for (ManualTimer next = first(); next != null && next.deadline <= end; next = first()) {
      now = Math.max(now, next.deadline);
      next.armed = false;
      next.onExpiry.run();
      fired++;
    }
    now = end;
    return fired;
  }

  /** As if the host had slept: time passes first, what is due fires late. */
  public int oversleep(long nanos) {
    now += nanos;
    return advance(0);
  }

  /** Time passes, and nobody has come to fire what is due: the next {@link #advance} does. */
  public void outrun(long nanos) {
    now += nanos;
  }

  private ManualTimer first() {
    ManualTimer best = null;
    for (ManualTimer timer : timers) {
      if (timer.armed && (best == null || timer.deadline < best.deadline)) {
        best = timer;
      }
    }
    return best;
  }

  private static final class ManualTimer implements Timer {
    private final Runnable onExpiry;
    private boolean armed;
    private long deadline;

    ManualTimer(Runnable onExpiry) {
      this.onExpiry = onExpiry;
    }

    @Override
    public void armAt(long nanos) {
      armed = true;
      deadline = nanos;
    }

    @Override
    public void cancel() {
      armed = false;
    }

    @Override
    public boolean armed() {
      return armed;
    }

    @Override
    public long deadline() {
      return deadline;
    }
  }
}
