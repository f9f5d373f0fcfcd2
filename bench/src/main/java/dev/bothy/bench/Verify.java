package dev.bothy.bench;

import dev.bothy.bench.ConsoleRun.End;
import dev.bothy.bench.ConsoleRun.Turn;
import dev.bothy.bench.Subject.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The translator beside the interpreter in real programs: {@code bench/verify}. Each workload of
 * {@code bench/compare} runs for a while under {@code --engine verify}, and Debian's systemd comes
 * up to a login and goes down again.
 */
final class Verify {
  private static final String USAGE =
      """
      bench/verify [option]...
        --seconds N       of each workload on the host's clock, default 60
        --only REGEX      some of the workloads, by name; "systemd" is the login
        --jobs N          machines at a time, default 1
        --memory MIB      of the guests, default 2048; the host needs it twice for each
        --timeout SECONDS for one boot, default 3600
        --output FOLDER   for verify.md, and a folder for each run that fails
      Ends with status 1 if there was a difference or anything else went wrong.\
      """;

  private static final String SYSTEMD = "systemd";
  private static final int CRASHED = 3;
  private static final int INTERRUPTED = 130;

  /**
   * One boot.
   *
   * @param what it runs
   * @param workload its name, or empty
   */
  private record Job(String name, String what, String workload, List<String> command) {}

  /**
   * What came out.
   *
   * @param compared instructions
   * @param rounds of the workload that came to their end
   * @param outcome a word for the table
   */
  private record Result(double compared, double seconds, int rounds, String outcome) {}

  private final Path output;
  private final SoakGuest systemd;
  private final int seconds;
  private final int timeout;
  private final Map<Job, Result> results = new LinkedHashMap<>();

  private Verify(Path output, SoakGuest systemd, int seconds, int timeout) {
    this.output = output;
    this.systemd = systemd;
    this.seconds = seconds;
    this.timeout = timeout;
  }

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments, USAGE, Set.of("seconds", "only", "jobs", "memory", "timeout", "output"));
    Pattern only = Pattern.compile(options.text("only", ".*"));
    DebianRoot debian = DebianRoot.prepare(home);
    String today = LocalDate.now(ZoneOffset.UTC).toString();
    Path output = Path.of(options.text("output", folder.resolve("verify-" + today).toString()));
    Files.createDirectories(output);
    SoakGuest systemd = SoakGuest.systemd(debian);
    Verify verify =
        new Verify(output, systemd, options.number("seconds", 60), options.number("timeout", 3600));
    Subject.Setting setting =
        new Subject.Setting(
            home,
            folder,
            debian,
            "verify",
            options.number("memory", 2048),
            // Guest time has nothing to do with the host's: the end comes from outside.
            List.of("-s1000000"),
            List.of(),
            0);
    List<Job> jobs = new ArrayList<>();
    for (Workload workload : Workload.ALL) {
      jobs.add(
          new Job(
              workload.name(),
              workload.what(),
              workload.name(),
              new Subject(Kind.BOTHY, 1).command(setting, List.of(workload))));
    }
    List<String> login = new ArrayList<>(List.of("--engine", "verify"));
    login.addAll(systemd.options());
    jobs.add(new Job(SYSTEMD, systemd.what(), "", GuestProcess.bothyCommand(home, login)));
    jobs.removeIf(job -> !only.matcher(job.name).find());
    String host = HostReport.of("The translator beside the interpreter");
    Workers.run(options.number("jobs", 1), jobs, verify::on);
    String text = host + "\n" + verify.markdown(jobs, String.join(" ", arguments));
    Files.writeString(output.resolve("verify.md"), text);
    System.out.print(text);
    System.err.println("bench: written to " + output);
    if (verify.results.values().stream().anyMatch(result -> !result.outcome.equals("none"))) {
      throw new IOException("not all went well");
    }
  }

  private boolean on(Job job) throws InterruptedException {
    Result result;
    try {
      result = result(job);
    } catch (IOException e) {
      result = new Result(0, 0, 0, e.getMessage());
    }
    synchronized (results) {
      results.put(job, result);
    }
    System.err.printf(
        Locale.ROOT,
        "bench: %-20s %,15.0f instructions in %4.0f s, difference: %s%n",
        job.name,
        result.compared,
        result.seconds,
        result.outcome);
    return true;
  }

  private Result result(Job job) throws IOException, InterruptedException {
    Path folder = Files.createDirectories(output.resolve(job.name));
    Path errors = folder.resolve("errors.txt");
    Path statistics = folder.resolve("statistics.json");
    Path console = folder.resolve("console.txt");
    Path commandLine = folder.resolve("command.txt");
    List<String> command = new ArrayList<>(job.command);
    command.addAll(List.of("--stats", statistics.toString()));
    List<Turn> turns =
        job.workload.isEmpty() ? systemd.turns() : List.of(Turn.endAfter("bench-up\n", seconds));
    End end;
    try (ConsoleRun run = new ConsoleRun(command, errors)) {
      end =
          run.run(
              turns,
              Duration.ofSeconds(timeout),
              process -> HangReport.write(folder, process.pid()));
    }
    double compared = StatisticsText.read(statistics).number("verifiedInstructions");
    List<String> faults =
        job.workload.isEmpty() ? systemd.faults(end, 1) : faults(end, job.workload);
    if (compared == 0) {
      faults.add("no statistics");
    }
    String outcome = "none";
    if (end.status().orElse(-1) == CRASHED) {
      outcome = "**see " + errors + "**";
    } else if (!faults.isEmpty()) {
      outcome = "none, but " + String.join("; ", faults);
    }
    if (!outcome.equals("none")) {
      Files.writeString(console, end.console());
      Files.writeString(commandLine, Shell.line(command) + "\n");
    } else {
      // An earlier run of the day may have left its report.
      for (Path left : List.of(errors, statistics, console, commandLine)) {
        Files.deleteIfExists(left);
      }
      Files.delete(folder);
    }
    return new Result(compared, end.seconds(), rounds(end, job.workload, " ok"), outcome);
  }

  /** What went wrong with a workload besides a difference. */
  static List<String> faults(End end, String workload) {
    List<String> faults = new ArrayList<>();
    if (end.turns() == 0) {
      faults.add("it did not come up");
    }
    if (end.status().orElse(-1) != INTERRUPTED) {
      faults.add("it did not end as it should");
    }
    if (rounds(end, workload, " wrong") > 0) {
      faults.add("wrong results");
    }
    faults.addAll(KernelLog.troubles(end.console()));
    return faults;
  }

  private static int rounds(End end, String workload, String how) {
    return (int)
        end.console()
            .lines()
            .filter(line -> line.startsWith("bench-result " + workload) && line.contains(how))
            .count();
  }

  private String markdown(List<Job> jobs, String arguments) {
    StringBuilder text = new StringBuilder();
    text.append("`bench/verify ").append(arguments).append("`: under `--engine verify`, each for ");
    text.append(seconds).append(" s after the boot, which is compared too.\n\n");
    text.append("| what | millions of instructions | seconds | whole rounds | difference |\n");
    text.append("|---|---:|---:|---:|---|\n");
    double compared = 0;
    for (Job job : jobs) {
      Result result = results.get(job);
      compared += result.compared;
      text.append(
          "| %s | %s | %s | %s | %s |\n"
              .formatted(
                  job.what,
                  Measured.fixed(0, result.compared / 1e6),
                  Measured.fixed(0, result.seconds),
                  job.workload.isEmpty() ? "" : Integer.toString(result.rounds),
                  result.outcome));
    }
    text.append("| **all** | **").append(Measured.fixed(0, compared / 1e6)).append("** | | | |\n");
    return text.toString();
  }
}
