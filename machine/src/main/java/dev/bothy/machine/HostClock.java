package dev.bothy.machine;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.host.Uninterrupted;
import java.time.Instant;
import java.util.OptionalLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * Guest time that runs with the host's, while the machine runs. One daemon thread fires the timers;
 * it sleeps until the first deadline. Thread-safe.
 */
final class HostClock extends GuestClock {
  /**
   * Guest time is {@code nanos} at host time {@code origin}, and goes on from there if {@code
   * running}.
   */
  private record Epoch(boolean running, long nanos, long origin, long wallBase) {
    long now() {
      return running ? nanos + (System.nanoTime() - origin) : nanos;
    }
  }

  private final Object monitor = new Object();
  private final Consumer<Throwable> onFailure;
  private final Thread thread;
  private volatile Epoch epoch;
  private boolean firing;
  private boolean closed;

  /**
   * Makes a clock that stands at 0.
   *
   * @param onFailure hears of an exception out of a timer, after which no timer fires any more
   */
  HostClock(String machine, Consumer<Throwable> onFailure) {
    this.onFailure = onFailure;
    epoch = new Epoch(false, 0, 0, hostWallNanos());
    thread = Thread.ofPlatform().daemon().name(machine + "-events").unstarted(this::loop);
  }

  private static long hostWallNanos() {
    Instant now = Instant.now();
    return now.getEpochSecond() * 1_000_000_000L + now.getNano();
  }

  @Override
  public long nanos() {
    return epoch.now();
  }

  @Override
  public OptionalLong hostOffset() {
    Epoch e = epoch;
    return e.running ? OptionalLong.of(e.nanos - e.origin) : OptionalLong.empty();
  }

  @Override
  public long wallNanos() {
    Epoch e = epoch;
    return e.wallBase + e.now();
  }

  @Override
  void start() {
    synchronized (monitor) {
      if (epoch.running || closed) {
        return;
      }
      epoch = new Epoch(true, epoch.nanos, System.nanoTime(), hostWallNanos() - epoch.nanos);
      if (thread.getState() == Thread.State.NEW) {
        thread.start();
      }
      LockSupport.unpark(thread);
    }
  }

  @Override
  void stop() {
    synchronized (monitor) {
      if (epoch.running) {
        epoch = new Epoch(false, epoch.now(), 0, epoch.wallBase);
      }
      awaitQuiet();
    }
  }

  private void awaitQuiet() {
    Uninterrupted.awaitWhile(monitor, () -> firing && Thread.currentThread() != thread);
  }

  @Override
  void close() {
    synchronized (monitor) {
      closed = true;
    }
    LockSupport.unpark(thread);
    if (Thread.currentThread() == thread || thread.getState() == Thread.State.NEW) {
      return;
    }
    Uninterrupted.join(thread);
  }

  @Override
  void firstDeadlineEarlier() {
    LockSupport.unpark(thread);
  }

  private void loop() {
    try {
      while (awaitDeadline()) {
        timers.fire(nanos());
        synchronized (monitor) {
          firing = false;
          monitor.notifyAll();
        }
      }
    } catch (Throwable e) {
      onFailure.accept(e);
    } finally {
      synchronized (monitor) {
        firing = false;
        monitor.notifyAll();
      }
    }
  }

  /**
   * Sleeps until a timer is due and marks this thread as firing; false when the clock is closed.
   */
  private boolean awaitDeadline() {
    while (true) {
      long wait = Long.MAX_VALUE;
      synchronized (monitor) {
        if (closed) {
          return false;
        }
        if (epoch.running) {
          // The queue's own lock is taken inside this one, never the other way round.
          long first = timers.firstDeadline();
          wait = first == Long.MAX_VALUE ? first : first - nanos();
          if (wait <= 0) {
            firing = true;
            return true;
          }
        }
      }
      // Whoever changes something unparks after the change, so that no change is slept over.
      if (wait == Long.MAX_VALUE) {
        LockSupport.park(this);
      } else {
        LockSupport.parkNanos(this, wait);
      }
    }
  }

  @Override
  public void save(StateWriter out) {
    out.putLong(nanos()).putLong(wallNanos());
  }

  /** Guest time goes on where it was; the wall clock is the host's at the next {@link #start}. */
  @Override
  public void load(StateReader in) throws StateException {
    long nanos = in.getLong();
    long wall = in.getLong();
    in.end();
    if (nanos < 0) {
      throw in.damaged("a time of " + nanos);
    }
    synchronized (monitor) {
      epoch = new Epoch(false, nanos, 0, wall - nanos);
    }
  }
}
