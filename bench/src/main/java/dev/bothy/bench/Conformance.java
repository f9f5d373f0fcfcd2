package dev.bothy.bench;

import dev.bothy.bench.ConformanceResult.Verdict;
import dev.bothy.bench.ConsoleRun.End;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Runs the flat binaries of kvm-unit-tests unmodified through the command, each in the machine that
 * its suite asks for: {@code scripts/kvm-unit-tests}.
 */
final class Conformance {
  private static final String USAGE =
      """
      scripts/kvm-unit-tests CHECKOUT [option]...
        CHECKOUT          of kvm-unit-tests, configured and built for x86_64
        --engine LIST     default translator,interpreter
        --only REGEX      some of the tests, by name; also those marked manual
        --jobs N          machines at a time, default 1
        --beside-tcg      each test in QEMU's TCG too, by the suite's own runner, in turn
        --output FOLDER   for conformance.md, and what each test said
      Ends with status 1 if a test failed, other than on TCG.\
      """;

  private static final String TCG = "TCG";
  private static final String INTERPRETER = "interpreter";

  /** The interpreter may take so many times as long. */
  private static final int PATIENCE = 10;

  /** The suite's runner gives tests their time itself; this is for one that does not end. */
  private static final int RUNNER_SECONDS = 60;

  /**
   * What guests are told of their surroundings, as the suite's runner does: to test, too, what old
   * hypervisors got wrong.
   */
  private static final String ENVIRONMENT = "ERRATA_FORCE=y\n";

  private record Job(ConformanceCase test, String subject) {}

  private final Path home;
  private final Path checkout;
  private final Path output;
  private final Path environment;
  private final boolean all;
  private final ConformanceTable table;

  private Conformance(Path home, Path checkout, Path output, boolean all, ConformanceTable table)
      throws IOException {
    this.home = home;
    this.checkout = checkout;
    this.output = output;
    this.all = all;
    this.table = table;
    environment = Files.writeString(output.resolve("environment"), ENVIRONMENT);
  }

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments, USAGE, Set.of("engine", "only", "jobs", "output"), Set.of("beside-tcg"));
    if (options.words().size() != 1) {
      throw new IllegalArgumentException("which checkout of kvm-unit-tests?\n" + USAGE);
    }
    Path checkout = Path.of(options.words().getFirst()).toAbsolutePath();
    Path list = checkout.resolve("x86/unittests.cfg");
    if (!Files.isReadable(list)) {
      throw new IOException("there is no x86/unittests.cfg in " + checkout);
    }
    String only = options.text("only", "");
    Pattern pattern = Pattern.compile(only);
    List<ConformanceCase> tests =
        ConformanceCase.parse(Files.readAllLines(list)).stream()
            .filter(test -> pattern.matcher(test.name()).find())
            .toList();
    List<String> engines = List.of(options.text("engine", "translator,interpreter").split(","));
    List<String> subjects = new ArrayList<>(engines);
    if (options.flag("beside-tcg")) {
      subjects.add(TCG);
    }
    String today = LocalDate.now(ZoneOffset.UTC).toString();
    Path output =
        Path.of(options.text("output", folder.resolve("conformance-" + today).toString()));
    Files.createDirectories(output);
    ConformanceTable table =
        new ConformanceTable(tests.stream().map(ConformanceCase::name).toList(), subjects);
    Conformance conformance = new Conformance(home, checkout, output, only.isEmpty(), table);
    List<Job> jobs = new ArrayList<>();
    for (ConformanceCase test : tests) {
      subjects.forEach(subject -> jobs.add(new Job(test, subject)));
    }
    String host = HostReport.of("kvm-unit-tests, x86");
    Workers.run(options.number("jobs", 1), jobs, conformance::on);
    String text = host + "\n" + table.markdown();
    Files.writeString(output.resolve("conformance.md"), text);
    System.out.print(text);
    System.err.println("bench: written to " + output);
    long failures = engines.stream().mapToLong(table::failures).sum();
    if (failures > 0) {
      throw new IOException("tests failed: " + failures);
    }
  }

  private boolean on(Job job) throws InterruptedException {
    ConformanceResult result;
    try {
      result = job.subject.equals(TCG) ? beside(job.test) : result(job.test, job.subject);
    } catch (IOException e) {
      result = new ConformanceResult(Verdict.FAIL, 0, e.getMessage());
    }
    table.put(job.test.name(), job.subject, result);
    System.err.printf(
        Locale.ROOT,
        "%s %s on %s, %.1f s: %s%n",
        result.verdict(),
        job.test.name(),
        job.subject,
        result.seconds(),
        result.reason());
    return true;
  }

  private ConformanceResult result(ConformanceCase test, String engine)
      throws IOException, InterruptedException {
    Path binary = checkout.resolve("x86").resolve(test.file());
    if (test.architecture().equals("i386")) {
      return ConformanceResult.skip("i386 only");
    }
    if (all && test.manual()) {
      return ConformanceResult.skip("marked as manual");
    }
    if (!Files.isReadable(binary)) {
      return ConformanceResult.skip("not built");
    }
    ConformanceMachine machine = ConformanceMachine.of(test.options());
    if (!machine.lacking().isEmpty()) {
      return ConformanceResult.skip("no " + machine.lacking());
    }
    Path said = output.resolve(test.name() + "-" + engine);
    Path statistics = said.resolveSibling(said.getFileName() + ".json");
    Files.deleteIfExists(statistics);
    List<String> command =
        GuestProcess.bothyCommand(
            home,
            List.of(
                "--engine",
                engine,
                "--cpu",
                machine.cpu(),
                "--cpus",
                Integer.toString(test.cpus()),
                "--memory",
                machine.memory(),
                "--kernel",
                binary.toString(),
                "--initrd",
                environment.toString(),
                "--append",
                test.commandLine(),
                "--debug-exit",
                "--test-device",
                "--no-reboot",
                "--no-balloon",
                "--no-cache",
                "--net",
                "none",
                "--stats",
                statistics.toString()));
    int limit = test.seconds() * (engine.equals(INTERPRETER) ? PATIENCE : 1);
    End end;
    Path errors = said.resolveSibling(said.getFileName() + ".err");
    try (ConsoleRun run = new ConsoleRun(command, errors)) {
      end = run.run(List.of(), Duration.ofSeconds(limit), process -> {});
    }
    Files.writeString(said.resolveSibling(said.getFileName() + ".txt"), end.console());
    Files.writeString(said.resolveSibling(said.getFileName() + ".sh"), Shell.line(command) + "\n");
    boolean debugExit = StatisticsText.read(statistics).json().contains("\"debug-exit\"");
    return ConformanceResult.of(end, debugExit, limit);
  }

  /** The same by the suite's own runner. */
  private ConformanceResult beside(ConformanceCase test) throws IOException, InterruptedException {
    Path said = output.resolve(test.name() + "-tcg");
    List<String> command =
        List.of(
            "sh",
            "-c",
            "cd \"$1\" && exec ./run_tests.sh \"$2\"",
            "sh",
            checkout.toString(),
            test.name());
    Map<String, String> environment = Map.of("ACCEL", "tcg", "unittest_log_dir", said.toString());
    Files.createDirectories(said);
    StringBuilder output = new StringBuilder();
    double seconds;
    Path errors = said.resolveSibling(said.getFileName() + ".err");
    try (GuestProcess process = GuestProcess.plain(command, errors, environment)) {
      Thread reader =
          Thread.ofVirtual()
              .start(
                  () -> {
                    try {
                      process.read((line, time) -> output.append(line).append('\n'));
                    } catch (IOException e) {
                      // It has been killed.
                    }
                  });
      reader.join(Duration.ofSeconds(test.seconds() + RUNNER_SECONDS));
      seconds = process.age();
    }
    return ConformanceResult.ofRunner(output.toString(), seconds);
  }
}
