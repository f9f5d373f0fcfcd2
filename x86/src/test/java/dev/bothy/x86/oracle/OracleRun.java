package dev.bothy.x86.oracle;

import dev.bothy.host.ExecutableMemory;
import dev.bothy.x86.EngineUnderTest;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The host-CPU differential test as a command: {@code --engine NAME} (interpreter), {@code --kind
 * both|instructions|sequences} (both), {@code --cases N} (1,000,000), {@code --seed S} (1), {@code
 * --jobs J} (the processors there are), {@code --rows REGEX} (of "OP encoding operands"), {@code
 * --first N} (the instruction or sequence to start with: what a mismatch reports), {@code --trace}
 * (names each before it runs, for engines that end the process). The work is done by child
 * processes, because the fixed addresses and the signal handlers want a process of their own.
 * Status 1 if anything differed.
 */
public final class OracleRun {
  /** What a case is. */
  enum Kind {
    INSTRUCTIONS,
    SEQUENCES,
    /** Half and half. */
    BOTH
  }

  /** What to run. */
  record Request(
      EngineUnderTest engine,
      Kind kind,
      long seed,
      long first,
      long cases,
      String rows,
      boolean trace) {
    Request(EngineUnderTest engine, Kind kind, long seed, long cases) {
      this(engine, kind, seed, 0, cases, ".*", false);
    }
  }

  /**
   * The whole of a run.
   *
   * @param failures by row of the table, or by the instructions of the sequence
   * @param output everything the processes printed, mismatches included
   */
  record Summary(
      long cases,
      long failed,
      long signals,
      int rows,
      int skippedRows,
      Map<String, Long> failures,
      List<String> rowsNotRun,
      String output) {}

  private static final String RESULT = "RESULT ";
  private static final String FAILED = "FAILED ";
  private static final String NOT_RUN = "NOT-RUN ";

  private OracleRun() {}

  /** Why this host cannot be the oracle; empty if it can. */
  static Optional<String> refusal() {
    return ExecutableMemory.refusal();
  }

  public static void main(String[] args) throws IOException, InterruptedException {
    EngineUnderTest engine = EngineUnderTest.INTERPRETER;
    Kind kind = Kind.BOTH;
    long cases = 1_000_000;
    long seed = 1;
    long first = 0;
    int jobs = Runtime.getRuntime().availableProcessors();
    String rows = ".*";
    boolean trace = false;
    boolean child = false;
    for (int i = 0; i < args.length; i++) {
      switch (args[i]) {
        case "--engine" -> engine = EngineUnderTest.of(args[++i]);
        case "--kind" -> kind = Kind.valueOf(args[++i].toUpperCase(Locale.ROOT));
        case "--cases" -> cases = Long.parseLong(args[++i]);
        case "--seed" -> seed = Long.parseLong(args[++i]);
        case "--first" -> first = Long.parseLong(args[++i]);
        case "--jobs" -> jobs = Integer.parseInt(args[++i]);
        case "--rows" -> rows = args[++i];
        case "--trace" -> trace = true;
        case "--child" -> child = true;
        default -> throw new IllegalArgumentException("no such option: " + args[i]);
      }
    }
    Request request = new Request(engine, kind, seed, first, cases, rows, trace);
    if (child) {
      runHere(request);
      return;
    }
    Optional<String> refusal = refusal();
    if (refusal.isPresent()) {
      System.out.println("this host cannot be the oracle: " + refusal.get());
      System.exit(2);
    }
    long start = System.nanoTime();
    Summary summary = run(request, jobs, true);
    double seconds = (System.nanoTime() - start) / 1e9;
    System.out.printf(
        "%s: %d cases of %d rows (%d skipped: not on this processor), %d faults, seeds %d to %d:"
            + " %d mismatches, %.0f s, %.0f cases/s%n",
        engine,
        summary.cases,
        summary.rows,
        summary.skippedRows,
        summary.signals,
        seed,
        seed + jobs - 1,
        summary.failed,
        seconds,
        summary.cases / seconds);
    summary.failures.forEach((what, count) -> System.out.println("  " + count + "  " + what));
    if (cases >= 100_000) {
      summary.rowsNotRun.forEach(row -> System.out.println("  no case of " + row));
    }
    System.exit(summary.failed == 0 ? 0 : 1);
  }

  private static void runHere(Request request) {
    try (Processors processors = new Processors(request.engine::create)) {
      HostOracle instructions = new HostOracle(processors, request.rows, request.trace);
      SequenceOracle sequences =
          new SequenceOracle(processors, instructions.encodings(), request.trace);
      List<HostOracle.Result> results = new ArrayList<>();
      if (request.kind != Kind.SEQUENCES) {
        long half = request.kind == Kind.BOTH ? (request.cases + 1) / 2 : request.cases;
        results.add(instructions.run(request.seed, request.first, half));
        instructions.rowsNotRun().forEach(row -> System.out.println(NOT_RUN + row));
      }
      if (request.kind != Kind.INSTRUCTIONS) {
        long half = request.kind == Kind.BOTH ? request.cases / 2 : request.cases;
        results.add(sequences.run(request.seed, request.first, half));
        sequences.rowsNotRun().forEach(row -> System.out.println(NOT_RUN + "in sequences: " + row));
      }
      for (HostOracle.Result result : results) {
        result.failures().forEach((what, count) -> System.out.println(FAILED + count + " " + what));
        System.out.printf(
            "%s%d %d %d %d %d%n",
            RESULT,
            result.cases(),
            result.failed(),
            result.signals(),
            instructions.rows(),
            instructions.skippedRows());
      }
    }
  }

  /** Runs the cases in {@code jobs} processes; {@code echo}: their output goes to ours at once. */
  static Summary run(Request request, int jobs, boolean echo)
      throws IOException, InterruptedException {
    List<Future<List<String>>> outputs = new ArrayList<>();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (int job = 0; job < jobs; job++) {
        List<String> command =
            command(request, request.seed + job, (request.cases + jobs - 1) / jobs);
        Callable<List<String>> task = () -> child(command, echo);
        outputs.add(threads.submit(task));
      }
    }
    List<String> lines = new ArrayList<>();
    for (Future<List<String>> output : outputs) {
      try {
        lines.addAll(output.get());
      } catch (ExecutionException e) {
        throw new IOException(e.getCause().getMessage(), e.getCause());
      }
    }
    return summarize(lines, jobs);
  }

  private static List<String> command(Request request, long seed, long cases) {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Xmx512m",
                "-XX:+UseSerialGC",
                // All that the virtual machine might put below 2 GiB goes elsewhere.
                "-XX:HeapBaseMinAddress=16g",
                "-XX:CompressedClassSpaceSize=32m",
                "-XX:+UnlockDiagnosticVMOptions",
                "-XX:ArchiveRelocationMode=0",
                "-XX:ErrorFile=" + Path.of(System.getProperty("java.io.tmpdir"), "oracle-%p.log"),
                "-cp",
                System.getProperty("java.class.path"),
                OracleRun.class.getName(),
                "--child",
                "--engine",
                request.engine.toString(),
                "--kind",
                request.kind.toString(),
                "--seed",
                Long.toString(seed),
                "--first",
                Long.toString(request.first),
                "--cases",
                Long.toString(cases),
                "--rows",
                request.rows));
    if (request.trace) {
      command.add("--trace");
    }
    return command;
  }

  private static List<String> child(List<String> command, boolean echo)
      throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    List<String> lines = new ArrayList<>();
    try (BufferedReader reader =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        lines.add(line);
        if (echo && !line.matches("(RESULT|FAILED|NOT-RUN) .*")) {
          System.out.println(line);
        }
      }
    }
    int status = process.waitFor();
    if (status != 0 || lines.stream().noneMatch(line -> line.startsWith(RESULT))) {
      throw new IOException(
          "the oracle's process ended with status "
              + status
              + (echo ? "" : ":\n" + String.join("\n", lines)));
    }
    return lines;
  }

  private static Summary summarize(List<String> lines, int jobs) {
    long cases = 0;
    long failed = 0;
    long signals = 0;
    int rows = 0;
    int skippedRows = 0;
    Map<String, Long> failures = new TreeMap<>();
    Map<String, Integer> notRun = new TreeMap<>();
    for (String line : lines) {
      if (line.startsWith(RESULT)) {
        String[] numbers = line.substring(RESULT.length()).split(" ");
        cases += Long.parseLong(numbers[0]);
        failed += Long.parseLong(numbers[1]);
        signals += Long.parseLong(numbers[2]);
        rows = Integer.parseInt(numbers[3]);
        skippedRows = Integer.parseInt(numbers[4]);
      } else if (line.startsWith(FAILED)) {
        String[] parts = line.substring(FAILED.length()).split(" ", 2);
        failures.merge(parts[1], Long.parseLong(parts[0]), Long::sum);
      } else if (line.startsWith(NOT_RUN)) {
        notRun.merge(line.substring(NOT_RUN.length()), 1, Integer::sum);
      }
    }
    notRun.values().removeIf(count -> count < jobs); // another process has run it
    return new Summary(
        cases,
        failed,
        signals,
        rows,
        skippedRows,
        failures,
        List.copyOf(notRun.keySet()),
        String.join("\n", lines));
  }
}
