package dev.bothy.bench;

import dev.bothy.guest.CpioWriter;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.Progress;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/**
 * The Debian root of the workloads, made once with debootstrap and kept in the user's cache folder;
 * the workloads' files are laid over it, anew whenever they change.
 *
 * @param kernel the default guest's
 * @param initrd a cpio archive, not compressed; its init is systemd, and {@code rdinit=/bench/init}
 *     runs workloads
 * @param root the same as a folder, without the workloads
 * @param bench the workloads' folder, to be mounted at {@code /bench}
 */
record DebianRoot(Path kernel, Path initrd, Path root, Path bench) {
  private static final int CORPUS_BYTES = 4 << 20;

  /** Any number of processes at a time; wants root and the network the first time. */
  static DebianRoot prepare(Path home) throws IOException, InterruptedException {
    Path kernel = DefaultGuest.prepare(Progress.NONE).kernel();
    Path scripts = home.resolve("bench/debian");
    return KeptFolder.locked(
        "debian",
        cache -> {
          Path debian =
              KeptFolder.get(
                  cache,
                  "debian",
                  sum(List.of(scripts.resolve("root"), scripts.resolve("archive"))),
                  work -> {
                    System.err.println("bench: making a Debian root in " + cache + ", this once");
                    make(scripts.resolve("root"), work);
                  });
          List<Path> files = files(scripts.resolve("guest"));
          Path ready =
              KeptFolder.get(
                  debian, "bench", sum(files), work -> lay(scripts, files, debian, work));
          deleteOld(debian, ready);
          Files.setLastModifiedTime(ready, FileTime.from(Instant.now()));
          return new DebianRoot(
              kernel, ready.resolve("initrd"), debian.resolve("root"), ready.resolve("bench"));
        });
  }

  /** The folder of the workloads' files, and the archive of everything. */
  private static void lay(Path scripts, List<Path> files, Path debian, Path work)
      throws IOException, InterruptedException {
    Path bench = work.resolve("bench");
    for (Path file : files) {
      Path copy = bench.resolve(scripts.resolve("guest").relativize(file).toString());
      Files.createDirectories(copy.getParent());
      Files.copy(file, copy, StandardCopyOption.COPY_ATTRIBUTES);
    }
    Files.write(bench.resolve("corpus"), corpus());
    command(
        scripts.resolve("enter").toString(),
        debian.resolve("root").toString(),
        bench.toString(),
        "gcc",
        "-O2",
        "-o",
        "/bench/stopwatch",
        "/bench/stopwatch.c");
    Path initrd = work.resolve("initrd");
    Files.copy(debian.resolve("root.cpio"), initrd);
    // The kernel unpacks archives that follow each other; cpio has padded the first one.
    OutputStream out = Files.newOutputStream(initrd, StandardOpenOption.APPEND);
    try (CpioWriter cpio = new CpioWriter(new BufferedOutputStream(out, 1 << 16))) {
      for (Path file : files(bench)) {
        cpio.file(
            "bench/" + bench.relativize(file),
            Files.isExecutable(file) ? 0755 : 0644,
            Files.readAllBytes(file));
      }
    }
  }

  /** Text with few words that are frequent and many that are not; the same everywhere. */
  private static byte[] corpus() {
    long state = 42;
    List<String> words = new ArrayList<>();
    StringBuilder text = new StringBuilder(CORPUS_BYTES + 32);
    while (text.length() < CORPUS_BYTES) {
      if (words.size() < 4000) {
        StringBuilder word = new StringBuilder();
        do {
          state = next(state);
          word.append("etaoinshrdlucmfw".charAt((int) (state >>> 60)));
        } while ((state >>> 40 & 7) != 0);
        words.add(word.toString());
        continue;
      }
      state = next(state);
      double position = (state >>> 11) * 0x1p-53;
      text.append(words.get((int) (words.size() * position * position * position)));
      text.append((state & 0xf00) == 0 ? '\n' : ' ');
    }
    text.setLength(CORPUS_BYTES);
    return text.toString().getBytes(StandardCharsets.US_ASCII);
  }

  private static long next(long state) {
    return state * 6364136223846793005L + 1442695040888963407L;
  }

  /**
   * Runs a script that makes something with debootstrap in a folder. What is mounted there
   * meanwhile only the script sees: it is gone with it, even if it is killed.
   */
  static void make(Path script, Path folder) throws IOException, InterruptedException {
    command("unshare", "--mount", script.toString(), folder.toString());
  }

  /** Runs a program whose output nobody reads. */
  static void command(String... words) throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(words)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    if (process.waitFor() != 0) {
      throw new IOException(words[0] + " failed");
    }
  }

  private static List<Path> files(Path folder) throws IOException {
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(Files::isRegularFile).sorted().toList();
    }
  }

  /** Names and contents of files in one word. */
  static String sum(List<Path> files) throws IOException {
    CRC32 sum = new CRC32();
    for (Path file : files) {
      sum.update(file.getFileName().toString().getBytes(StandardCharsets.UTF_8));
      sum.update(Files.readAllBytes(file));
    }
    return "%08x".formatted(sum.getValue());
  }

  /** Earlier versions that nobody has made or asked for since yesterday. */
  private static void deleteOld(Path debian, Path current) throws IOException {
    Instant yesterday = Instant.now().minus(Duration.ofDays(1));
    try (Stream<Path> all = Files.list(debian)) {
      for (Path folder :
          all.filter(f -> f.getFileName().toString().startsWith("bench-")).toList()) {
        if (!folder.equals(current)
            && Files.getLastModifiedTime(folder).toInstant().isBefore(yesterday)) {
          delete(folder);
        }
      }
    }
  }

  /** A folder with all that is in it, if there is one. */
  static void delete(Path tree) throws IOException {
    if (!Files.exists(tree)) {
      return;
    }
    try (Stream<Path> all = Files.walk(tree)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
    }
  }
}
