package dev.bothy.share;

import dev.bothy.host.FileCalls;

/**
 * A descriptor that is closed when the last of its users has left it: closed earlier, its number
 * could be another file's by the time of a call that is under way. Whoever makes one is its first
 * user. Thread-safe.
 */
final class Descriptor implements AutoCloseable {
  private final int number;
  private int users = 1;

  Descriptor(int number) {
    this.number = number;
  }

  /** For calls by a user. */
  int number() {
    return number;
  }

  /** Becomes a user, for whom {@link #close} is to be called; false if there are none any more. */
  synchronized boolean use() {
    if (users == 0) {
      return false;
    }
    users++;
    return true;
  }

  /** A user leaves. */
  @Override
  public void close() {
    synchronized (this) {
      if (--users != 0) {
        return;
      }
    }
    FileCalls.close(number);
  }
}
