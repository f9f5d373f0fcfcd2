package dev.bothy.bench;

import dev.bothy.bench.ConsoleRun.End;
import dev.bothy.bench.ConsoleRun.Turn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.BooleanSupplier;

/**
 * What Bothy takes besides its guest's RAM during a boot, or with a Debian system up: {@code
 * bench/memory}. Sampled from Linux's /proc/PID/smaps; a page that is mapped twice counts twice.
 */
final class Memory {
  private static final long GUEST_KIB = 512 << 10;
  private static final long DEBIAN_KIB = 2 << 20;
  private static final int IDLE_SECONDS = 10;
  private static final int SAMPLE_MILLIS = 100;

  private Memory() {}

  /** Resident KiB. */
  private record Sample(long anonymous, long file, long guest) {
    long beyondGuest() {
      return anonymous + file;
    }
  }

  /** The most of a run, and the last before the guest was told to power off. */
  private static final class Samples {
    private final GuestProcess process;
    private final long guestKib;
    private Sample most = new Sample(0, 0, 0);
    private Sample last = most;

    Samples(GuestProcess process, long guestKib) {
      this.process = process;
      this.guestKib = guestKib;
    }

    /** Samples until the process ends; counts as {@code last} what is seen while {@code up}. */
    void takeAll(BooleanSupplier up) throws IOException, InterruptedException {
      while (process.alive()) {
        boolean isUp = up.getAsBoolean();
        Sample sample = sample(process.pid(), guestKib);
        if (sample.beyondGuest() > most.beyondGuest()) {
          most = sample;
        }
        if (isUp && up.getAsBoolean()) {
          last = sample;
        }
        Thread.sleep(SAMPLE_MILLIS);
      }
    }
  }

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            "bench/memory [--kernel FILE] [--busybox-root INITRD] | bench/memory --debian",
            Set.of("kernel", "busybox-root"),
            Set.of("debian"));
    if (options.flag("debian")) {
      debian(home, folder);
      return;
    }
    BootGuest guest = BootGuest.prepare(options, folder);
    HostReport.print("Memory beyond the guest's own");
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
      Samples samples = new Samples(process, GUEST_KIB);
      samples.takeAll(() -> false);
      reader.join();
      head("Boot of Debian's cloud kernel with 512 MiB to init and power-off");
      row("at the peak of the sum", samples.most);
    }
  }

  private static void debian(Path home, Path folder) throws Exception {
    SoakGuest guest = SoakGuest.systemd(DebianRoot.prepare(home));
    List<Turn> turns = new ArrayList<>(guest.turns());
    Turn powerOff = turns.removeLast();
    turns.add(Turn.type(powerOff.expected(), "sleep " + IDLE_SECONDS + "; echo up=$((6*7))\n"));
    turns.add(Turn.type("up=42", ""));
    turns.add(powerOff);
    HostReport.print("Memory beyond the guest's own");
    Path errors = folder.resolve("memory.err");
    List<String> command = GuestProcess.bothyCommand(home, guest.options());
    try (ConsoleRun run = new ConsoleRun(command, errors)) {
      Samples samples = new Samples(run.process(), DEBIAN_KIB);
      Thread sampler =
          Thread.ofPlatform()
              .start(
                  () -> {
                    try {
                      samples.takeAll(() -> run.taken() == 2);
                    } catch (IOException | InterruptedException e) {
                      System.err.println("bench: no more samples: " + e.getMessage());
                    }
                  });
      End end = run.run(turns, Duration.ofMinutes(30), process -> {});
      sampler.join();
      List<String> faults = guest.faults(end, 1);
      if (!faults.isEmpty() || end.turns() < turns.size()) {
        throw new IOException("the guest did not do as it should: " + faults);
      }
      head("Debian with systemd and 2 GiB, from memory, to a login");
      row("at the peak of the sum", samples.most);
      row("at a prompt, after " + IDLE_SECONDS + " s", samples.last);
    }
  }

  private static void head(String what) {
    System.out.println(what + "; resident MiB.\n");
    System.out.println("| | anonymous | file-backed | sum | guest's RAM then |");
    System.out.println("|---|---:|---:|---:|---:|");
  }

  private static void row(String when, Sample sample) {
    System.out.println(
        "| "
            + String.join(
                " | ",
                when,
                mib(sample.anonymous()),
                mib(sample.file()),
                mib(sample.beyondGuest()),
                mib(sample.guest()))
            + " |");
  }

  private static String mib(long kib) {
    return Measured.fixed(0, kib / 1024.0);
  }

  /** Guest RAM is the only resident mapping that is as large; the heap's reserve is far smaller. */
  private static Sample sample(long pid, long guestKib) throws IOException {
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
        if (size >= guestKib) {
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
