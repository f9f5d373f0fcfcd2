package dev.bothy.cli;

import dev.bothy.guest.Progress;
import java.io.PrintStream;

/**
 * Progress on standard error: a bar that is redrawn on a terminal, a line a step otherwise. Not
 * thread-safe.
 */
final class ProgressBar implements Progress, AutoCloseable {
  private static final int WIDTH = 30;

  private final PrintStream out;
  private final boolean redraw;
  private final String heading;
  private String step = "";
  private int shown = -1;

  /** {@code heading}: what is said once, before anything else; empty: nothing. */
  ProgressBar(PrintStream out, boolean redraw, String heading) {
    this.out = out;
    this.redraw = redraw;
    this.heading = heading;
  }

  @Override
  public void update(String what, double fraction) {
    int filled = (int) Math.round(Math.clamp(fraction, 0, 1) * WIDTH);
    if (what.equals(step) && (filled == shown || !redraw)) {
      return;
    }
    if (step.isEmpty() && !heading.isEmpty()) {
      out.println("bothy: " + heading);
    }
    step = what;
    shown = filled;
    if (redraw) {
      // Erase to the end of the line first: the last step may have had a longer name.
      out.print("\r\033[K[" + "#".repeat(filled) + " ".repeat(WIDTH - filled) + "] " + what);
      out.flush();
    } else {
      out.println("bothy: " + what);
    }
  }

  @Override
  public void close() {
    if (redraw && shown >= 0) {
      out.print("\r\033[K");
      out.flush();
    }
  }
}
