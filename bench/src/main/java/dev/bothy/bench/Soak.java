package dev.bothy.bench;

import dev.bothy.bench.ConsoleRun.End;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Boots guests again and again through the command, from power-on to power-off, and looks for what
 * happens once in a hundred times: {@code bench/soak}.
 */
final class Soak {
  private static final String USAGE =
      """
      bench/soak [option]...
        --boots N         of each guest with each number of processors, default 100
        --systemd N       of the guest with systemd, which takes longest; default as the others
        --guests LIST     some of cloud,reboot,generic,systemd,multiboot,pvh; default all that can
                          be had here
        --cpus LIST       numbers of processors, default 1,2
        --engine NAME     default translator
        --jobs N          machines at a time, default 1
        --timeout SECONDS for one boot, default 600
        --failures N      stops after so many, default 10
        --output FOLDER   for soak.md, and a folder for each boot that fails
      Ends with status 1 if a boot failed. Wants root and debootstrap for systemd.\
      """;

  /** Guests and numbers of processors, how often, and in what way. */
  record Plan(
      List<String> guests,
      boolean all,
      List<Integer> cpus,
      int boots,
      int systemdBoots,
      String engine,
      int jobs,
      int timeout,
      int failures) {
    static Plan of(Options options) {
      String guests = options.text("guests", "");
      Plan plan =
          new Plan(
              guests.isEmpty() ? SoakGuest.NAMES : List.of(guests.split(",")),
              guests.isEmpty(),
              Arrays.stream(options.text("cpus", "1,2").split(",", -1)).map(Plan::count).toList(),
              options.number("boots", 100),
              options.number("systemd", options.number("boots", 100)),
              options.text("engine", "translator"),
              options.number("jobs", 1),
              options.number("timeout", 600),
              options.number("failures", 10));
      if (Math.min(Math.min(plan.jobs, plan.timeout), plan.failures) < 1) {
        throw new IllegalArgumentException("--jobs, --timeout and --failures want at least 1");
      }
      return plan;
    }

    private static int count(String text) {
      if (!text.matches("[1-9][0-9]?")) {
        throw new IllegalArgumentException("--cpus wants numbers of processors, not " + text);
      }
      return Integer.parseInt(text);
    }

    /** Boots of one guest with one number of processors. */
    int bootsOf(String guest) {
      return guest.equals("systemd") ? systemdBoots : boots;
    }
  }

  /** One boot to come. */
  private record Boot(SoakTable.Row row, SoakGuest guest, int number, int tries) {}

  /** A guest that stands still for so long while its clock goes on may complain. */
  private static final double STILLSTAND_SECONDS = 2;

  private static final int TRIES = 5;

  private final Path home;
  private final Path output;
  private final Plan plan;
  private final AtomicInteger failures = new AtomicInteger();
  private final AtomicInteger repeated = new AtomicInteger();

  private Soak(Path home, Path output, Plan plan) {
    this.home = home;
    this.output = output;
    this.plan = plan;
  }

  static Options options(String[] arguments) {
    return new Options(
        arguments,
        USAGE,
        Set.of(
            "boots",
            "systemd",
            "guests",
            "cpus",
            "engine",
            "jobs",
            "timeout",
            "failures",
            "output"));
  }

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options = options(arguments);
    Plan plan = Plan.of(options);
    String today = LocalDate.now(ZoneOffset.UTC).toString();
    Path output = Path.of(options.text("output", folder.resolve("soak-" + today).toString()));
    Files.createDirectories(output);
    String host = HostReport.of("Boots in a row");
    SoakTable table = new SoakTable();
    Soak soak = new Soak(home, output, plan);
    Workers.run(plan.jobs, soak.prepare(folder, table), soak::on);
    String text =
        "%s\n`bench/soak %s`: from power-on to power-off by `./bothy run --engine %s`, %d at a time.\n\n%s"
            .formatted(host, String.join(" ", arguments), plan.engine, plan.jobs, table.markdown());
    if (soak.repeated.get() > 0) {
      text +=
          "\n%s boots were repeated, because the host stood still for seconds.\n"
              .formatted(soak.repeated);
    }
    Files.writeString(output.resolve("soak.md"), text);
    System.out.print(text);
    System.err.println("bench: written to " + output);
    if (soak.failures.get() > 0) {
      throw new IOException("boots failed: " + soak.failures);
    }
  }

  /** The boots in their order: each guest once, and again. */
  private List<Boot> prepare(Path folder, SoakTable table) throws Exception {
    List<SoakGuest> guests = new ArrayList<>();
    for (String name : plan.guests) {
      try {
        if (plan.bootsOf(name) > 0) {
          guests.add(SoakGuest.prepare(name, home, folder));
        }
      } catch (IOException e) {
        if (!plan.all) {
          throw e;
        }
        System.err.println("bench: " + name + " is left out: " + e.getMessage());
        table.leftOut(name, e.getMessage());
      }
    }
    List<List<Boot>> rows = new ArrayList<>();
    for (SoakGuest guest : guests) {
      for (int cpus : plan.cpus) {
        SoakTable.Row row = table.row(guest.what(), cpus);
        List<Boot> boots = new ArrayList<>();
        for (int number = 1; number <= plan.bootsOf(guest.name()); number++) {
          boots.add(new Boot(row, guest, number, 1));
        }
        rows.add(boots);
      }
    }
    int most = rows.stream().mapToInt(List::size).max().orElse(0);
    List<Boot> order = new ArrayList<>();
    for (int number = 0; number < most; number++) {
      for (List<Boot> boots : rows) {
        if (number < boots.size()) {
          order.add(boots.get(number));
        }
      }
    }
    return order;
  }

  private boolean on(Boot boot) throws InterruptedException {
    try {
      boot(boot);
    } catch (IOException e) {
      boot.row.add(0, List.of(e.getMessage()));
      failures.incrementAndGet();
      System.err.println("bench: " + e.getMessage());
    }
    return failures.get() < plan.failures;
  }

  private void boot(Boot boot) throws IOException, InterruptedException {
    SoakGuest guest = boot.guest;
    int cpus = boot.row.cpus();
    String name = "%s-%d-%03d".formatted(guest.name(), cpus, boot.number);
    Path folder = Files.createDirectories(output.resolve(name));
    List<String> words =
        new ArrayList<>(List.of("--engine", plan.engine, "--cpus", Integer.toString(cpus)));
    words.addAll(List.of("--stats", folder.resolve("statistics.json").toString()));
    words.addAll(guest.options());
    List<String> command = GuestProcess.bothyCommand(home, words);
    End end;
    try (ConsoleRun run = new ConsoleRun(command, folder.resolve("errors.txt"))) {
      end =
          run.run(
              guest.turns(),
              Duration.ofSeconds(plan.timeout),
              process -> HangReport.write(folder, process.pid()));
    }
    List<String> faults = guest.faults(end, cpus);
    if (end.stood() > STILLSTAND_SECONDS && boot.tries < TRIES) {
      System.err.printf(
          Locale.ROOT,
          "bench: %s does not count, the host stood still for %.0f s%s%n",
          name,
          end.stood(),
          faults.isEmpty() ? "" : ": " + String.join("; ", faults));
      repeated.incrementAndGet();
      deleteFiles(folder);
      boot(new Boot(boot.row, guest, boot.number, boot.tries + 1));
      return;
    }
    boot.row.add(end.seconds(), faults);
    System.err.printf(
        Locale.ROOT,
        "bench: %-18s %d of %d: %7.2f s %s%n",
        guest.name() + ", " + cpus + " vCPU" + (cpus == 1 ? "" : "s"),
        boot.number,
        plan.bootsOf(guest.name()),
        end.seconds(),
        faults.isEmpty() ? "ok" : "FAILED, see " + folder + ": " + String.join("; ", faults));
    if (faults.isEmpty()) {
      deleteFiles(folder);
    } else {
      failures.incrementAndGet();
      Files.writeString(folder.resolve("console.txt"), end.console());
      Files.writeString(
          folder.resolve("faults.txt"),
          String.join("\n", faults) + "\n\n" + Shell.line(command) + "\n");
    }
  }

  private static void deleteFiles(Path folder) throws IOException {
    try (var files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(folder);
  }
}
