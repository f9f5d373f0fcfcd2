package dev.bothy.kvm;

import dev.bothy.host.Uninterrupted;
import java.util.Random;

/**
 * Brings a vCPU out again and again, and raises some interrupts meanwhile: at odd moments, between
 * which it has the time to do something. Without that, each run could be over before it has begun.
 */
final class Kicker implements AutoCloseable {
  /** For all that a vCPU is to do beside it, in nanoseconds. */
  static final long PATIENCE = 200_000_000_000L;

  /** Rounds of a loop that waits between kicks, at most: a tenth of a millisecond or two. */
  static final int USUAL_WAIT = 4_000;

  /** One wait of so many may be so many times as long. */
  private static final int LONG_ONES = 8;

  private static final int LONGER = 50;

  private final Random random = new Random(1);
  private final Thread thread;
  private volatile boolean done;

  /** Raises {@code vector} as often as {@code raised} says, and kicks until it is closed. */
  Kicker(TinyMachine machine, int raised, int vector) {
    this(machine, raised, vector, USUAL_WAIT);
  }

  /**
   * The same with other waits.
   *
   * @param longestWait rounds, above 0, of most waits
   */
  Kicker(TinyMachine machine, int raised, int vector, int longestWait) {
    thread = Thread.ofPlatform().start(() -> kick(machine, raised, vector, longestWait));
  }

  private void kick(TinyMachine machine, int raised, int vector, int longestWait) {
    for (int i = 0; !done; i++) {
      if (i < raised) {
        machine.apic.raise(vector);
      }
      machine.cpu.kick();
      // However slow a run is to begin beside this thread: some waits are long enough.
      int longest = random.nextInt(LONG_ONES) == 0 ? LONGER * longestWait : longestWait;
      for (int wait = random.nextInt(longest); wait > 0; wait--) {
        Thread.onSpinWait();
      }
    }
  }

  /** The last kick is over when this returns. */
  @Override
  public void close() {
    done = true;
    Uninterrupted.join(thread);
  }
}
