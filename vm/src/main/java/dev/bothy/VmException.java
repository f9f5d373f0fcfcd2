package dev.bothy;

/**
 * A machine that cannot be made or started; the message is one line for the user: what is wrong and
 * what to do.
 */
public final class VmException extends Exception {
  private static final long serialVersionUID = 1L;

  VmException(String message, Throwable cause) {
    super(message, cause);
  }
}
