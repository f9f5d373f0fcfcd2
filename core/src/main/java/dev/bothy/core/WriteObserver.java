package dev.bothy.core;

/**
 * Hears of writes by devices to guest RAM, so that an engine can drop what it derived from those
 * bytes. Any thread.
 */
@FunctionalInterface
public interface WriteObserver {
  /** {@code length} bytes at guest-physical {@code address}, at least one, have been written. */
  void written(long address, long length);
}
