package dev.bothy.host;

import java.util.function.BooleanSupplier;

/** Waits that an interrupt does not end: it is put off until they are over. Thread-safe. */
public final class Uninterrupted {
  private Uninterrupted() {}

  /** Waits until {@code thread} has ended, if it was ever started. */
  public static void join(Thread thread) {
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Waits while {@code busy}, which is asked under the lock of {@code monitor} and again whenever
   * that is notified.
   */
  public static void awaitWhile(Object monitor, BooleanSupplier busy) {
    boolean interrupted = false;
    synchronized (monitor) {
      while (busy.getAsBoolean()) {
        try {
          monitor.wait();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
