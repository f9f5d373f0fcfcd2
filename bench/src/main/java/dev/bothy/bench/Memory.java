package dev.bothy.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * What Bothy takes besides its guest's RAM during a boot: {@code bench/memory}. Sampled from
 * Linux's /proc/PID/smaps; a page that is mapped twice counts twice.
 */
final class Memory {
  private static final long GUEST_KIB = 512 << 10;
  private static final int SAMPLE_MILLIS = 100;

  private Memory() {}

  /** Resident KiB. */
  private record Sample(long anonymous, long file, long guest) {
    long beyondGuest() {
      return anonymous + file;
    }
  }

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            "bench/memory [--kernel FILE] [--busybox-root INITRD]",
            Set.of("kernel", "busybox-root"));
    BootGuest guest = BootGuest.prepare(options, folder);
    HostReport.print("Memory beyond the guest's own");
    Sample most = new Sample(0, 0, 0);
    try (var process =
        GuestProcess.bothy(home, guest.kernel(), guest.initrd(), BootGuest.COMMAND_LINE)) {
      Thread reader =
          Thread.ofPlatform()
              .start(
                  () -> {
                    try {
                      process.read((line, time) -> {});
                    } catch (IOException e) {
                      // It has ended.
                    }
                  });
      while (process.alive()) {
        Sample sample = sample(process.pid());
        if (sample.beyondGuest() > most.beyondGuest()) {
          most = sample;
        }
        Thread.sleep(SAMPLE_MILLIS);
      }
      reader.join();
    }
    System.out.println(
        "Boot of Debian's cloud kernel with 512 MiB to init and power-off; resident MiB at the peak"
            + " of the sum.\n");
    System.out.println("| anonymous | file-backed | sum | guest's RAM then |");
    System.out.println("|---:|---:|---:|---:|");
    System.out.println(
        "| "
            + mib(most.anonymous())
            + " | "
            + mib(most.file())
            + " | "
            + mib(most.beyondGuest())
            + " | "
            + mib(most.guest())
            + " |");
  }

  private static String mib(long kib) {
    return Measured.fixed(0, kib / 1024.0);
  }

  /** Guest RAM is the only resident mapping that is as large; the heap's reserve is far smaller. */
  private static Sample sample(long pid) throws IOException {
    List<String> lines;
    try {
      lines = Files.readAllLines(Path.of("/proc/" + pid + "/smaps"));
    } catch (NoSuchFileException e) {
      return new Sample(0, 0, 0);
    } catch (IOException e) {
      // It has ended between opening and reading.
      return new Sample(0, 0, 0);
    }
    long anonymous = 0;
    long file = 0;
    long guest = 0;
    boolean named = false;
    long size = 0;
    long rss = 0;
    for (String line : lines) {
      if (line.indexOf('-') > 0
          && Character.digit(line.charAt(0), 16) >= 0
          && !line.startsWith("Anon")) {
        named = line.indexOf('/') > 0;
      } else if (line.startsWith("Size:")) {
        size = kib(line);
      } else if (line.startsWith("Rss:")) {
        rss = kib(line);
      } else if (line.startsWith("Anonymous:")) {
        long own = kib(line);
        if (size >= GUEST_KIB) {
          guest += rss;
        } else {
          anonymous += named ? own : rss;
          file += named ? rss - own : 0;
        }
      }
    }
    return new Sample(anonymous, file, guest);
  }

  private static long kib(String line) {
    String value = line.substring(line.indexOf(':') + 1).strip();
    return Long.parseLong(value.substring(0, value.indexOf(' ')));
  }
}
