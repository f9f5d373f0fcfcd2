package dev.bothy.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A file that is worth nothing until it is complete: unless it was said to be {@link #finished}, it
 * is removed by {@link #close}, and by a signal that ends this process at any moment. A file that
 * was there before is never touched. Thread-safe.
 */
final class UnfinishedFile implements AutoCloseable {
  private final Path file;
  private final Thread atEnd = new Thread(this::remove);
  private boolean ours;

  /**
   * Watches over a file that is going to be made.
   *
   * @throws IOException if this process is being ended
   */
  UnfinishedFile(Path file) throws IOException {
    this.file = file;
    try {
      Runtime.getRuntime().addShutdownHook(atEnd);
    } catch (IllegalStateException e) {
      throw new IOException(file + " was not made: the command is being ended", e);
    }
  }

  /** Makes a file. */
  interface Making<T> {
    /** Makes the file and leaves nothing behind if it fails. */
    T make() throws IOException;
  }

  /** Makes the file. A signal that comes meanwhile waits until it is known whether that worked. */
  synchronized <T> T make(Making<T> making) throws IOException {
    T made = making.make();
    ours = true;
    return made;
  }

  /** It is complete. */
  synchronized void finished() {
    ours = false;
  }

  /** Removes the file if it was made and is not finished. */
  synchronized void remove() {
    if (!ours) {
      return;
    }
    ours = false;
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      System.err.println("bothy: " + file + " is unfinished and cannot be removed");
    }
  }

  @Override
  public void close() {
    remove();
    try {
      Runtime.getRuntime().removeShutdownHook(atEnd);
    } catch (IllegalStateException e) {
      // It runs already, and finds nothing to remove.
    }
  }
}
