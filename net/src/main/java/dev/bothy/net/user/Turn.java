package dev.bothy.net.user;

import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/** The lock of a stack, for the threads that have something to tell it. */
public final class Turn {
  private final ReentrantLock lock = new ReentrantLock();
  private final Runnable after;

  /**
   * @param after runs at the end of each turn, with the lock still held
   */
  public Turn(Runnable after) {
    this.after = after;
  }

  /** Waits for the lock. */
  public void begin() {
    lock.lock();
  }

  /** Lets the next one have it. */
  public void end() {
    try {
      after.run();
    } finally {
      lock.unlock();
    }
  }

  /** Runs something with the lock. */
  public void run(Runnable action) {
    begin();
    try {
      action.run();
    } finally {
      end();
    }
  }

  /** Something to wait for with the lock. */
  public Condition condition() {
    return lock.newCondition();
  }
}
