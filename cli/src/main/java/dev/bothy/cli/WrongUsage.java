package dev.bothy.cli;

/** What was typed is no command; the message says what is wrong with it, in one line. */
final class WrongUsage extends RuntimeException {
  private static final long serialVersionUID = 1L;

  WrongUsage(String message) {
    super(message);
  }
}
