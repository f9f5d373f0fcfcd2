package dev.bothy.bench;

import dev.bothy.image.DiskImage;
import dev.bothy.image.ImageFormat;
import dev.bothy.image.Images;
import dev.bothy.image.qcow2.Qcow2Layout;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;

/**
 * Disk images without a guest: {@code bench/disks}. Reads and writes of clusters that are
 * allocated, in the host's page cache, qcow2 beside raw in turn; and conversions beside those of
 * qemu-img, whole processes.
 */
final class Disks {
  private static final int MIB = 1 << 20;

  /** One kind of access. */
  private record Access(boolean write, int length, boolean random) {
    @Override
    public String toString() {
      return (length < MIB ? length / 1024 + " KiB" : length / MIB + " MiB")
          + (random ? " random " : " sequential ")
          + (write ? "writes" : "reads");
    }
  }

  private static final List<Access> ACCESSES =
      List.of(
          new Access(false, 4096, true),
          new Access(true, 4096, true),
          new Access(false, 65_536, true),
          new Access(true, 65_536, true),
          new Access(false, MIB, false),
          new Access(true, MIB, false));

  private Disks() {}

  /** Arguments: Bothy's checkout, a folder for files, the user's options. */
  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            "bench/disks [--rounds N] [--size MIB] [--seconds N]",
            Set.of("rounds", "size", "seconds"));
    int rounds = options.number("rounds", 5);
    long size = (long) options.number("size", 1024) * MIB;
    double seconds = options.number("seconds", 1);
    HostReport.print("Disk images without a guest");
    Path work = Files.createTempDirectory(folder, "disks");
    try {
      accesses(work, size, rounds, seconds);
      conversions(home, work, size, rounds);
    } finally {
      try (var files = Files.list(work)) {
        for (Path file : files.toList()) {
          Files.delete(file);
        }
      }
      Files.delete(work);
    }
  }

  private static void accesses(Path work, long size, int rounds, double seconds)
      throws IOException {
    System.out.printf(
        "Medians of %d rounds of %.0f s, calls a second by one thread, %d MiB allocated, in the"
            + " page cache.%n%n",
        rounds, seconds, size / MIB);
    System.out.println("| access | raw | qcow2 | ratio |\n|---|---:|---:|---:|");
    try (DiskImage raw =
            Images.create(work.resolve("disk.raw"), ImageFormat.RAW, size, Qcow2Layout.DEFAULT);
        DiskImage qcow2 =
            Images.create(
                work.resolve("disk.qcow2"), ImageFormat.QCOW2, size, Qcow2Layout.DEFAULT)) {
      fill(raw);
      fill(qcow2);
      for (Access access : ACCESSES) {
        Map<DiskImage, List<Double>> rates =
            new HashMap<>(Map.of(raw, new ArrayList<>(), qcow2, new ArrayList<>()));
        for (int round = -1; round < rounds; round++) {
          for (DiskImage disk : List.of(raw, qcow2)) {
            double rate = rate(disk, access, seconds);
            if (round >= 0) {
              rates.get(disk).add(rate);
            }
          }
        }
        double base = Measured.of(rates.get(raw)).median();
        double other = Measured.of(rates.get(qcow2)).median();
        System.out.printf("| %s | %.0f | %.0f | %.2f |%n", access, base, other, other / base);
      }
    }
    System.out.println();
  }

  private static void fill(DiskImage disk) throws IOException {
    byte[] bytes = new byte[MIB];
    Random random = new Random(1);
    for (long at = 0; at < disk.size(); at += MIB) {
      random.nextBytes(bytes);
      disk.write(at, MemorySegment.ofArray(bytes));
    }
    disk.flush();
  }

  private static double rate(DiskImage disk, Access access, double seconds) throws IOException {
    Random random = new Random(2);
    long places = disk.size() / access.length();
    try (Arena arena = Arena.ofShared()) {
      MemorySegment buffer = arena.allocate(access.length(), 4096);
      buffer.fill((byte) 7);
      long calls = 0;
      long start = System.nanoTime();
      long end = start + (long) (seconds * 1e9);
      while (System.nanoTime() < end) {
        long at = (access.random() ? random.nextLong(places) : calls % places) * access.length();
        if (access.write()) {
          disk.write(at, buffer);
        } else {
          disk.read(at, buffer);
        }
        calls++;
      }
      return calls / ((System.nanoTime() - start) / 1e9);
    }
  }

  /** A disk image to be converted, and what to do it with in both programs' words. */
  private record Conversion(String name, String source, String target, boolean compress) {}

  private static void conversions(Path home, Path work, long size, int rounds)
      throws IOException, InterruptedException {
    Path sparse = work.resolve("sparse.raw");
    Path files = work.resolve("files.raw");
    Images.create(sparse, ImageFormat.RAW, 8L << 30, Qcow2Layout.DEFAULT).close();
    try (DiskImage disk = Images.create(files, ImageFormat.RAW, size / 4, Qcow2Layout.DEFAULT)) {
      fillWithFiles(disk);
    }
    time("", "qemu-img", "convert", "-c", "-O", "qcow2", files.toString(), work + "/files.qcow2");
    System.out.printf(
        "Converting %d MiB of random bytes, %d MiB of files, and a sparse disk of 8 GiB; whole"
            + " processes, seconds, medians of %d rounds.%n%n",
        size / MIB, size / 4 / MIB, rounds);
    System.out.println("| | qemu-img | Bothy | ratio |\n|---|---:|---:|---:|");
    for (Conversion conversion :
        List.of(
            new Conversion("raw to qcow2", "disk.raw", "copy.qcow2", false),
            new Conversion("qcow2 to raw", "disk.qcow2", "copy.raw", false),
            new Conversion("raw to compressed qcow2", "files.raw", "copy.qcow2", true),
            new Conversion("compressed qcow2 to raw", "files.qcow2", "copy.raw", false),
            new Conversion("sparse raw to qcow2", "sparse.raw", "copy.qcow2", false),
            new Conversion("sparse raw to raw", "sparse.raw", "copy.raw", false))) {
      convert(home, work, conversion, rounds);
    }
  }

  private static void convert(Path home, Path work, Conversion conversion, int rounds)
      throws IOException, InterruptedException {
    String source = work.resolve(conversion.source()).toString();
    String target = work.resolve(conversion.target()).toString();
    String to = target.substring(target.lastIndexOf('.') + 1);
    List<String> qemu = new ArrayList<>(List.of("qemu-img", "convert", "-O", to));
    List<String> ours = new ArrayList<>(List.of(home + "/bothy", "disk", "convert"));
    if (conversion.compress()) {
      qemu.add("-c");
      ours.add("--compress");
    }
    qemu.addAll(List.of(source, target));
    ours.addAll(List.of(source, target));
    List<Double> theirTimes = new ArrayList<>();
    List<Double> ourTimes = new ArrayList<>();
    for (int round = -1; round < rounds; round++) {
      double first = time(target, qemu.toArray(String[]::new));
      double second = time(target, ours.toArray(String[]::new));
      if (round >= 0) {
        theirTimes.add(first);
        ourTimes.add(second);
      }
    }
    double base = Measured.of(theirTimes).median();
    double other = Measured.of(ourTimes).median();
    System.out.printf(
        "| %s | %.2f | %.2f | %.2f |%n", conversion.name(), base, other, other / base);
  }

  /** Programs and texts, again and again: what the Java that runs this consists of. */
  private static void fillWithFiles(DiskImage disk) throws IOException {
    Path files = Path.of(System.getProperty("java.home"), "lib", "modules");
    try (DiskImage modules =
        Images.open(files, Images.How.READING.as(Optional.of(ImageFormat.RAW)))) {
      long whole = modules.size() / MIB;
      MemorySegment mebibyte = MemorySegment.ofArray(new byte[MIB]);
      for (long i = 0; i < disk.size() / MIB; i++) {
        modules.read(i % whole * MIB, mebibyte);
        disk.write(i * MIB, mebibyte);
      }
    }
  }

  private static double time(String target, String... command)
      throws IOException, InterruptedException {
    if (!target.isEmpty()) {
      Files.deleteIfExists(Path.of(target));
    }
    long start = System.nanoTime();
    Process process =
        new ProcessBuilder(command)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    if (process.waitFor() != 0) {
      throw new IOException(command[0] + " failed");
    }
    return (System.nanoTime() - start) / 1e9;
  }
}
