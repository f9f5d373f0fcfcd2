package dev.bothy.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
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
    return KeptFolder.locked(
        "system",
        cache -> {
          Path folder =
              KeptFolder.get(
                  cache,
                  "system",
                  DebianRoot.sum(List.of(script, scripts.resolve("archive"))),
                  work -> {
                    System.err.println("bench: making a Debian disk in " + cache + ", this once");
                    make(home, script, work);
                  });
          return new DebianDisk(
              folder.resolve("vmlinuz"),
              folder.resolve("initrd"),
              Files.readString(folder.resolve("append")).strip(),
              folder.resolve("disk.qcow2"));
        });
  }

  private static void make(Path home, Path script, Path work)
      throws IOException, InterruptedException {
    DebianRoot.make(script, work);
    Path raw = work.resolve("disk.raw");
    DebianRoot.command(
        home.resolve("bothy").toString(),
        "disk",
        "convert",
        raw.toString(),
        work.resolve("disk.qcow2").toString());
    Files.delete(raw);
  }
}
