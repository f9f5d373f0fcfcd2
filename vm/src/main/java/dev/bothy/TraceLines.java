package dev.bothy;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Consumer;

/**
 * Where the lines of a trace end up: a file or somebody who takes them, so many and no more. Any
 * thread.
 */
final class TraceLines implements Consumer<String>, AutoCloseable {
  private final BufferedWriter file;
  private final Consumer<String> taker;
  private final Consumer<String> troubles;
  private final long last;

  // Guarded by this.
  private final Deque<String> kept = new ArrayDeque<>();
  private long left;
  private long dropped;
  private boolean over;

  /**
   * Opens the option's file, if it has one.
   *
   * @param taker gets the lines otherwise
   * @param troubles hears in one line that the file cannot be written any more
   * @throws IOException in one line, if the file cannot be opened
   */
  TraceLines(TraceOption option, Consumer<String> taker, Consumer<String> troubles)
      throws IOException {
    this.taker = taker;
    this.troubles = troubles;
    last = option.last().orElse(0L);
    left = last > 0 ? last : option.limit().orElse(TraceOption.USUAL_LIMIT);
    try {
      file = option.file().isPresent() ? Files.newBufferedWriter(option.file().get()) : null;
    } catch (IOException e) {
      throw new IOException(
          "cannot write the trace to " + option.file().get() + " (" + e.getMessage() + ")", e);
    }
  }

  @Override
  public synchronized void accept(String line) {
    if (over) {
      return;
    }
    if (last > 0) {
      if (kept.size() == left) {
        kept.removeFirst();
        dropped++;
      }
      kept.addLast(line);
      return;
    }
    write(line);
    if (--left == 0) {
      write("the trace is cut here, at its limit of lines");
      over = true;
      flush();
    }
  }

  private void write(String line) {
    if (file == null) {
      taker.accept(line);
      return;
    }
    try {
      file.write(line);
      file.newLine();
    } catch (IOException e) {
      fail(e);
    }
  }

  private void flush() {
    if (file != null) {
      try {
        file.flush();
      } catch (IOException e) {
        fail(e);
      }
    }
  }

  private void fail(IOException e) {
    if (!over) {
      over = true;
      troubles.accept("the trace ends, its file cannot be written: " + e.getMessage());
    }
  }

  /** Writes what has been kept; then nothing any more. Harmless when repeated. */
  @Override
  public synchronized void close() {
    if (dropped > 0) {
      write("the trace is cut: " + dropped + " lines came before these");
    }
    dropped = 0;
    kept.forEach(this::write);
    kept.clear();
    over = true;
    if (file != null) {
      try {
        file.close();
      } catch (IOException e) {
        troubles.accept("the trace's file cannot be written: " + e.getMessage());
      }
    }
  }
}
