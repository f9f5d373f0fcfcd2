package dev.bothy.bench;

import dev.bothy.guest.DefaultGuest;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;

/**
 * A Debian on a disk, made once with debootstrap and kept in the user's cache folder.
 *
 * @param image qcow2; nobody writes to it
 * @param append the kernel's command line
 */
record DebianDisk(Path kernel, Path initrd, String append, Path image) {
  /** Any number of processes at a time; wants root and the network the first time. */
  static DebianDisk prepare(Path home) throws IOException, InterruptedException {
    Path scripts = home.resolve("bench/debian");
    Path script = scripts.resolve("system");
    Path cache = Files.createDirectories(DefaultGuest.cacheFolder());
    try (FileChannel lockFile =
            FileChannel.open(
                cache.resolve("system-lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock _ = lockFile.lock()) {
      String sum = DebianRoot.sum(List.of(script, scripts.resolve("archive")));
      Path folder = cache.resolve("system-" + sum);
      if (!Files.isDirectory(folder)) {
        System.err.println("bench: making a Debian disk in " + folder + ", this once");
        Path work = cache.resolve("system-work");
        DebianRoot.delete(work);
        Files.createDirectories(work);
        DebianRoot.make(script, work);
        Path raw = work.resolve("disk.raw");
        DebianRoot.command(
            home.resolve("bothy").toString(),
            "disk",
            "convert",
            raw.toString(),
            work.resolve("disk.qcow2").toString());
        Files.delete(raw);
        Files.move(work, folder, StandardCopyOption.ATOMIC_MOVE);
      }
      return new DebianDisk(
          folder.resolve("vmlinuz"),
          folder.resolve("initrd"),
          Files.readString(folder.resolve("append")).strip(),
          folder.resolve("disk.qcow2"));
    }
  }
}
