package dev.bothy.bench;

import dev.bothy.bench.ConformanceResult.Verdict;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Conformance tests and how each came out on each engine, as Markdown. Any thread. */
final class ConformanceTable {
  private final List<String> subjects;
  private final Map<String, Map<String, ConformanceResult>> rows = new LinkedHashMap<>();

  /**
   * @param tests the rows
   * @param subjects the columns: engines
   */
  ConformanceTable(List<String> tests, List<String> subjects) {
    this.subjects = subjects;
    tests.forEach(test -> rows.put(test, new LinkedHashMap<>()));
  }

  synchronized void put(String test, String subject, ConformanceResult result) {
    rows.get(test).put(subject, result);
  }

  /** How many tests {@code subject} failed. */
  synchronized long failures(String subject) {
    return count(subject, Verdict.FAIL);
  }

  private long count(String subject, Verdict verdict) {
    return rows.values().stream()
        .map(row -> row.get(subject))
        .filter(result -> result != null && result.verdict() == verdict)
        .count();
  }

  synchronized String markdown() {
    StringBuilder text = new StringBuilder();
    text.append("| engine | passed | failed | skipped |\n|---|---:|---:|---:|\n");
    for (String subject : subjects) {
      List<String> cells = new ArrayList<>(List.of(subject));
      for (Verdict verdict : Verdict.values()) {
        cells.add(Long.toString(count(subject, verdict)));
      }
      text.append(line(cells));
    }
    text.append("\n| test |");
    subjects.forEach(subject -> text.append(" ").append(subject).append(" | s |"));
    text.append(" why |\n|---|").append("---|---:|".repeat(subjects.size())).append("---|\n");
    rows.forEach((test, row) -> text.append(row(test, row)));
    return text.toString();
  }

  private String row(String test, Map<String, ConformanceResult> row) {
    List<String> cells = new ArrayList<>(List.of(test));
    Map<String, List<String>> reasons = new LinkedHashMap<>();
    for (String subject : subjects) {
      ConformanceResult result = row.get(subject);
      if (result == null) {
        cells.addAll(List.of("", ""));
        continue;
      }
      cells.add(result.verdict().name().toLowerCase(Locale.ROOT));
      cells.add(result.seconds() == 0 ? "" : Measured.fixed(1, result.seconds()));
      reasons.computeIfAbsent(result.reason(), reason -> new ArrayList<>()).add(subject);
    }
    List<String> why = new ArrayList<>();
    reasons.forEach(
        (reason, of) ->
            why.add(reasons.size() == 1 ? reason : String.join(", ", of) + ": " + reason));
    cells.add(String.join("; ", why).replace("|", "\\|"));
    return line(cells);
  }

  private static String line(List<String> cells) {
    return "| " + String.join(" | ", cells) + " |\n";
  }
}
