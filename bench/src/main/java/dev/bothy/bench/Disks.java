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

  private static void conversions(Path home, Path work, long size, int rounds)
      throws IOException, InterruptedException {
    System.out.printf(
        "Converting %d MiB of random bytes, whole processes, seconds, medians of %d rounds.%n%n",
        size / MIB, rounds);
    System.out.println("| | qemu-img | Bothy | ratio |\n|---|---:|---:|---:|");
    String bothy = home.resolve("bothy").toString();
    for (String from : List.of("raw", "qcow2")) {
      String to = from.equals("raw") ? "qcow2" : "raw";
      String source = work.resolve("disk." + from).toString();
      String target = work.resolve("copy." + to).toString();
      List<Double> qemu = new ArrayList<>();
      List<Double> ours = new ArrayList<>();
      for (int round = -1; round < rounds; round++) {
        double first = time(target, "qemu-img", "convert", "-O", to, source, target);
        double second = time(target, bothy, "disk", "convert", source, target);
        if (round >= 0) {
          qemu.add(first);
          ours.add(second);
        }
      }
      double base = Measured.of(qemu).median();
      double other = Measured.of(ours).median();
      System.out.printf("| %s to %s | %.2f | %.2f | %.2f |%n", from, to, base, other, other / base);
    }
  }

  private static double time(String target, String... command)
      throws IOException, InterruptedException {
    Files.deleteIfExists(Path.of(target));
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
