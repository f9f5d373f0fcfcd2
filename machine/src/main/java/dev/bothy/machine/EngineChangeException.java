package dev.bothy.machine;

/**
 * Another engine cannot take over a machine, which goes on with the one that it has; the message
 * says why, in a line for people.
 */
public final class EngineChangeException extends Exception {
  private static final long serialVersionUID = 1L;

  private final boolean forcible;

  EngineChangeException(String message, boolean forcible, Throwable cause) {
    super(message, cause);
    this.forcible = forcible;
  }

  /** True if it could, for a guest that does not use what would be missing. */
  public boolean forcible() {
    return forcible;
  }
}
