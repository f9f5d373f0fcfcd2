package dev.bothy.x86.interpret;

import java.util.function.IntConsumer;

/**
 * Lets one vCPU do something while no other vCPU of its machine is between two block boundaries:
 * split locks, and making a page a code page. Others are asked by the attention word and wait;
 * vCPUs that are not running are not waited for.
 */
final class ExclusiveSection {
  private final IntConsumer askAll;
  private int running;
  private volatile boolean wanted;

  /** Whose section is open. */
  private Thread holder;

  /**
   * @param askAll sets every vCPU's attention word; its argument is ignored
   */
  ExclusiveSection(IntConsumer askAll) {
    this.askAll = askAll;
  }

  synchronized void enter() {
    awaitFree();
    running++;
  }

  synchronized void leave() {
    running--;
    notifyAll();
  }

  void yieldIfWanted() {
    if (wanted) {
      synchronized (this) {
        running--;
        notifyAll();
        awaitFree();
        running++;
      }
    }
  }

  /**
   * Called by a running vCPU between effects of an instruction that it may finish afterwards; also
   * by an {@code action} itself.
   */
  void run(Runnable action) {
    synchronized (this) {
      if (holder == Thread.currentThread()) {
        action.run();
        return;
      }
      running--;
      notifyAll();
      awaitFree();
      wanted = true;
      askAll.accept(0);
      boolean interrupted = false;
      while (running > 0) {
        interrupted |= waitOnce();
      }
      holder = Thread.currentThread();
      try {
        action.run();
      } finally {
        holder = null;
        wanted = false;
        running++;
        notifyAll();
        if (interrupted) {
          Thread.currentThread().interrupt();
        }
      }
    }
  }

  /** Runs {@code action} while no section is open; from a thread that is no running vCPU's. */
  synchronized void whileNobodyAsks(Runnable action) {
    awaitFree();
    action.run();
  }

  private void awaitFree() {
    boolean interrupted = false;
    while (wanted) {
      interrupted |= waitOnce();
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private boolean waitOnce() {
    try {
      wait();
      return false;
    } catch (InterruptedException e) {
      return true;
    }
  }
}
