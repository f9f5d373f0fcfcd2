package dev.bothy.cli;

import dev.bothy.image.Progress;
import java.io.PrintStream;

/** Progress of work on an image, shown when it takes more than a second. Not thread-safe. */
final class DiskProgress implements Progress, AutoCloseable {
  private static final long QUIET_NANOS = 1_000_000_000L;

  private final ProgressBar bar;
  private final boolean redraw;
  private final String what;
  private final long start = System.nanoTime();

  /** {@code what} is done, as people say it: "converting". */
  DiskProgress(PrintStream out, boolean redraw, String what) {
    this.bar = new ProgressBar(out, redraw, "");
    this.redraw = redraw;
    this.what = what;
  }

  @Override
  public void update(long done, long total) {
    if (System.nanoTime() - start > QUIET_NANOS) {
      show(done, total);
    }
  }

  /** Shows it, however short it took; where lines cannot be redrawn, one for each quarter. */
  void show(long done, long total) {
    double fraction = total == 0 ? 1 : (double) done / total;
    bar.update(redraw ? what : what + ": " + (int) (fraction * 4) * 25 + " %", fraction);
  }

  @Override
  public void close() {
    bar.close();
  }
}
