package dev.bothy.share;

import java.util.concurrent.atomic.AtomicLong;

/**
 * How many descriptors guests may have the host keep open: each share a quarter of what this
 * process may have, all shares together half of it, so that enough is left for everything else.
 * Descriptors that are closed before a request is over do not count. Thread-safe.
 */
final class DescriptorBudget {
  /** More than any guest has a use for. */
  private static final long MOST = 1 << 16;

  private static final AtomicLong ALL = new AtomicLong();

  private final AtomicLong ours = new AtomicLong();
  private final long most;
  private final long mostOfAll;

  /**
   * @param limit descriptors that this process may have
   */
  DescriptorBudget(long limit) {
    most = Math.min(limit / 4, MOST);
    mostOfAll = limit / 2;
  }

  /** Takes one; false if that would be too many. */
  boolean take() {
    if (ours.incrementAndGet() > most) {
      ours.decrementAndGet();
      return false;
    }
    if (ALL.incrementAndGet() > mostOfAll) {
      give();
      return false;
    }
    return true;
  }

  /** Gives one back. */
  void give() {
    ALL.decrementAndGet();
    ours.decrementAndGet();
  }

  /** How many this share may have. */
  long most() {
    return most;
  }

  /** How many this share has. */
  long taken() {
    return ours.get();
  }
}
