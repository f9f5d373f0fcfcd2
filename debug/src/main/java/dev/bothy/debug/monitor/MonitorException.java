package dev.bothy.debug.monitor;

/** A command that cannot be done; the message says why, in a line. */
public final class MonitorException extends Exception {
  private static final long serialVersionUID = 1L;

  public MonitorException(String message) {
    super(message);
  }
}
