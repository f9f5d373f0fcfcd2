package dev.bothy.bench;

import dev.bothy.guest.DefaultGuest;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * Folders that are made once and kept below the user's cache folder, by any number of processes.
 */
final class KeptFolder {
  private KeptFolder() {}

  /** Fills a folder. */
  interface Maker {
    void make(Path work) throws IOException, InterruptedException;
  }

  /** What is done while no other process does the same. */
  interface Locked<T> {
    T in(Path cache) throws IOException, InterruptedException;
  }

  /** Waits for other processes that have the lock of that name. */
  static <T> T locked(String name, Locked<T> action) throws IOException, InterruptedException {
    Path cache = Files.createDirectories(DefaultGuest.cacheFolder());
    try (FileChannel file =
            FileChannel.open(
                cache.resolve(name + "-lock"),
                StandardOpenOption.CREATE,
                StandardOpenOption.WRITE);
        FileLock _ = file.lock()) {
      return action.in(cache);
    }
  }

  /** The folder of that name and version; made first if there is none, and then complete. */
  static Path get(Path parent, String name, String version, Maker maker)
      throws IOException, InterruptedException {
    Path folder = parent.resolve(name + "-" + version);
    if (!Files.isDirectory(folder)) {
      Path work = parent.resolve(name + "-work");
      DebianRoot.delete(work);
      Files.createDirectories(work);
      maker.make(work);
      Files.move(work, folder, StandardCopyOption.ATOMIC_MOVE);
    }
    return folder;
  }
}
