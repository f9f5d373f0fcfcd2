package dev.bothy.core.state;

/**
 * Saved state that cannot be loaded: damaged, of another version, or of another machine. The
 * message says which.
 */
public final class StateException extends Exception {
  private static final long serialVersionUID = 1L;

  public StateException(String message) {
    super(message);
  }
}
