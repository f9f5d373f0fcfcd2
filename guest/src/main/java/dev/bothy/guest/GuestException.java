package dev.bothy.guest;

import java.io.IOException;

/** The default guest cannot be had here; the message is one line that says why and what to do. */
public final class GuestException extends IOException {
  private static final long serialVersionUID = 1L;

  GuestException(String why) {
    this(why, null);
  }

  GuestException(String why, Throwable cause) {
    super(
        "no default guest: " + why + "; give a guest of your own with --kernel and --initrd",
        cause);
  }
}
