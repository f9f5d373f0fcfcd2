package dev.bothy.device.virtio;

import dev.bothy.host.Uninterrupted;
import java.util.function.BooleanSupplier;

/**
 * Keeps count of threads that work for a device, so that it can be reset, saved or closed when none
 * does. Any thread.
 */
final class WorkGate {
  private final Runnable onEmpty;
  private final BooleanSupplier wanted;
  private int inside;

  /** Reasons to let nobody in. */
  private int holds;

  private volatile boolean held;

  /**
   * @param onEmpty called without locks whenever the last thread has left while the gate is held
   * @param wanted says whether there may be work at all; called while the gate is locked
   */
  WorkGate(Runnable onEmpty, BooleanSupplier wanted) {
    this.onEmpty = onEmpty;
    this.wanted = wanted;
  }

  /**
   * Lets a thread in, or says no: then there will be another call when the gate opens, or when
   * there may be work again.
   */
  synchronized boolean enter() {
    // Not to be inside for nothing either: who holds the gate then would have to wait.
    if (holds > 0 || !wanted.getAsBoolean()) {
      return false;
    }
    inside++;
    return true;
  }

  void leave() {
    boolean tell;
    synchronized (this) {
      inside--;
      tell = inside == 0 && holds > 0;
      notifyAll();
    }
    if (tell) {
      onEmpty.run();
    }
  }

  /** True if those inside should leave soon. */
  boolean held() {
    return held;
  }

  synchronized void hold() {
    holds++;
    held = true;
  }

  synchronized void release() {
    holds--;
    held = holds > 0;
  }

  synchronized boolean empty() {
    return inside == 0;
  }

  /** Waits until nobody is inside; the gate is held. */
  void awaitEmpty() {
    Uninterrupted.awaitWhile(this, () -> inside > 0);
  }
}
