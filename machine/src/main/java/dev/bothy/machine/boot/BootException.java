package dev.bothy.machine.boot;

/**
 * A kernel or initrd that cannot be booted. The message is one sentence for the user: which file,
 * what is wrong with it, and what to do.
 */
public final class BootException extends Exception {
  private static final long serialVersionUID = 1L;

  public BootException(String message) {
    super(message);
  }

  public BootException(String message, Throwable cause) {
    super(message, cause);
  }
}
