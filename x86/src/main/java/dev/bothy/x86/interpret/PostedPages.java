package dev.bothy.x86.interpret;

import java.util.HashSet;
import java.util.Set;
import java.util.function.LongConsumer;

/**
 * Pages that other threads have written and whose decoded code a vCPU is to drop. Any thread adds.
 */
final class PostedPages {
  private final Set<Long> pages = new HashSet<>();
  private volatile boolean any;

  /** Adds the page of {@code physical}. */
  void add(long physical) {
    synchronized (pages) {
      pages.add(physical & ~0xfffL);
      any = true;
    }
  }

  /** Takes out what there is. */
  void take(LongConsumer drop) {
    if (!any) {
      return;
    }
    synchronized (pages) {
      any = false;
      pages.forEach(drop::accept);
      pages.clear();
    }
  }
}
