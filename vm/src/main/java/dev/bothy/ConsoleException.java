package dev.bothy;

import java.io.IOException;

/** What was expected on a console did not come: the time was over or the machine ended. */
public final class ConsoleException extends IOException {
  private static final long serialVersionUID = 1L;

  ConsoleException(String message) {
    super(message);
  }
}
