package dev.bothy.device.interrupt;

import dev.bothy.core.IrqLine;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A device's end of an interrupt wire. The device notes the level it wants under its own lock with
 * {@link #want}, and calls {@link #drive} once the lock is released: changes then reach the wire in
 * the order in which they were noted, no edge is lost, and no lock is held meanwhile.
 */
public final class IrqOutput {
  private final IrqLine line;

  /** Level changes noted so far; odd means high. */
  private final AtomicInteger noted = new AtomicInteger();

  /** Threads that want to drive; whoever comes first drives for the others too. */
  private final AtomicInteger turns = new AtomicInteger();

  /** The value of {@link #noted} that the wire shows; written by the driving thread alone. */
  private volatile int driven;

  public IrqOutput(IrqLine line) {
    this.line = line;
  }

  /** Notes the level. Calls must be ordered by the device's lock. */
  public void want(boolean high) {
    if (wanted() != high) {
      noted.incrementAndGet();
    }
  }

  /** The level noted last. */
  public boolean wanted() {
    return (noted.get() & 1) != 0;
  }

  /** Shows the wire what has been noted. Call it without locks, from any thread. */
  public void drive() {
    if (noted.get() == driven || turns.getAndIncrement() != 0) {
      return;
    }
    int seen;
    do {
      seen = turns.get();
      int target = noted.get();
      int behind = target - driven;
      if (behind != 0) {
        boolean high = (target & 1) != 0;
        if ((behind & 1) == 0) {
          line.set(!high);
        }
        line.set(high);
        driven = target;
      }
    } while (turns.addAndGet(-seen) != 0);
  }

  /** Takes over the level of a loaded state, which the other end of the wire has loaded as well. */
  public void restore(boolean high) {
    noted.set(high ? 1 : 0);
    driven = high ? 1 : 0;
  }
}
