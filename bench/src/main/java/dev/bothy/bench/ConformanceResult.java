package dev.bothy.bench;

import dev.bothy.bench.ConsoleRun.End;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How a conformance test came out.
 *
 * @param reason why, or how many tests it was
 */
record ConformanceResult(Verdict verdict, double seconds, String reason) {
  /** What is counted. */
  enum Verdict {
    PASS,
    FAIL,
    SKIP
  }

  /** Exit statuses of a guest that says 0, and that has skipped everything. */
  private static final int PASSED = 1;

  private static final int SKIPPED = 77;
  private static final int CRASHED = 3;

  private static final Pattern SUMMARY = Pattern.compile("(?m)^SUMMARY: (.*)$");
  private static final Pattern FAILURE = Pattern.compile("(?m)^FAIL: (.*)$");
  private static final Pattern SKIP_LINE = Pattern.compile("(?m)^SKIP: (.*)$");
  private static final Pattern OTHER =
      Pattern.compile("(?m)^(ABORT: .*|Unhandled .*|.*assert failed.*|VM entry failed.*)$");

  /** The suite's own runner: {@code PASS name (summary)}, colours left out. */
  private static final Pattern VERDICT =
      Pattern.compile("(?m)^(PASS|FAIL|SKIP) \\S+ ?\\(?(.*?)\\)?$");

  static ConformanceResult skip(String reason) {
    return new ConformanceResult(Verdict.SKIP, 0, reason);
  }

  /** What a run of {@code ./bothy run --debug-exit} tells. */
  static ConformanceResult of(End end, boolean debugExit, int limit) {
    String console = end.console();
    int status = end.status().orElse(-1);
    if (end.hung()) {
      return new ConformanceResult(Verdict.FAIL, end.seconds(), "time-out after " + limit + " s");
    }
    if (debugExit && status == PASSED) {
      return new ConformanceResult(Verdict.PASS, end.seconds(), first(SUMMARY, console).orElse(""));
    }
    if (debugExit && status == SKIPPED) {
      String reason = first(SKIP_LINE, console).or(() -> first(SUMMARY, console)).orElse("");
      return new ConformanceResult(Verdict.SKIP, end.seconds(), reason);
    }
    String reason =
        first(OTHER, console)
            .or(() -> first(FAILURE, console).map(line -> line + others(console)))
            .orElse(status == CRASHED ? "triple fault" : "exit status " + status);
    return new ConformanceResult(Verdict.FAIL, end.seconds(), reason);
  }

  private static String others(String console) {
    long more = FAILURE.matcher(console).results().count() - 1;
    return more == 0
        ? ""
        : " and %d more of %s".formatted(more, first(SUMMARY, console).orElse("?"));
  }

  /** What a run of the suite's own runner tells. */
  static ConformanceResult ofRunner(String output, double seconds) {
    Matcher line = VERDICT.matcher(output.replaceAll("\u001b\\[[0-9;]*m", ""));
    return line.find()
        ? new ConformanceResult(Verdict.valueOf(line.group(1)), seconds, line.group(2))
        : new ConformanceResult(Verdict.FAIL, seconds, "its runner said nothing");
  }

  private static Optional<String> first(Pattern pattern, String text) {
    Matcher matcher = pattern.matcher(text);
    return matcher.find() ? Optional.of(matcher.group(1).strip()) : Optional.empty();
  }
}
