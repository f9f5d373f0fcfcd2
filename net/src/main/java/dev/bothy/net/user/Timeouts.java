package dev.bothy.net.user;

import java.util.TreeSet;

/** What is to happen at some time, by time. Guarded by the stack's lock. */
final class Timeouts {
  /** Nothing to wait for. */
  static final long NEVER = Long.MAX_VALUE;

  /** Something that happens once when its time has come, and may be put off for next to nothing. */
  abstract static class Timeout {
    private static long made;

    private final long number;
    private long at = NEVER;

    /** The time by which it is in the set, not after {@link #at}; NEVER if it is not. */
    private long queued = NEVER;

    Timeout() {
      synchronized (Timeout.class) {
        number = made++;
      }
    }

    /** The time has come; it is armed no longer. */
    abstract void expired(long now);

    final boolean armed() {
      return at != NEVER;
    }
  }

  private final TreeSet<Timeout> queue =
      new TreeSet<>(
          (a, b) ->
              a.queued != b.queued
                  ? Long.compare(a.queued, b.queued)
                  : Long.compare(a.number, b.number));

  /** Arms, or moves what is armed, to {@code at} nanoseconds on the stack's clock. */
  void arm(Timeout timeout, long at) {
    timeout.at = at;
    if (at < timeout.queued) {
      if (timeout.queued != NEVER) {
        queue.remove(timeout);
      }
      timeout.queued = at;
      queue.add(timeout);
    }
  }

  /** Disarms and forgets: what a guest has begun and ended is not to wait here for its time. */
  void cancel(Timeout timeout) {
    timeout.at = NEVER;
    if (timeout.queued != NEVER) {
      queue.remove(timeout);
      timeout.queued = NEVER;
    }
  }

  /** How many are kept. */
  int count() {
    return queue.size();
  }

  /** When {@link #run} wants to be called, at the latest; NEVER if there is nothing. */
  long next() {
    return queue.isEmpty() ? NEVER : queue.first().queued;
  }

  /** Lets happen what is due. */
  void run(long now) {
    while (!queue.isEmpty() && queue.first().queued <= now) {
      Timeout timeout = queue.pollFirst();
      timeout.queued = NEVER;
      long at = timeout.at;
      if (at <= now) {
        timeout.at = NEVER;
        timeout.expired(now);
      } else if (at != NEVER) {
        arm(timeout, at);
      }
    }
  }
}
