package dev.bothy.core;

/**
 * One shot at a guest time. Any thread. Arming an armed timer moves it. An expiry may race with a
 * cancel.
 */
public interface Timer {
  /** Fires once at or after {@code nanos} on the machine's clock; at once if that is past. */
  void armAt(long nanos);

  void cancel();

  /** True from {@link #armAt} until expiry or cancel. */
  boolean armed();

  /** The guest time it is armed for; meaningless when not armed. */
  long deadline();
}
