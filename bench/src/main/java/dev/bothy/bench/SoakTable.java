package dev.bothy.bench;

import java.util.ArrayList;
import java.util.List;

/** How many boots there were, how many failed, and how long the others took, as Markdown. */
final class SoakTable {
  /** A guest with a number of processors. Any thread. */
  static final class Row {
    private final String what;
    private final int cpus;
    private final List<Double> seconds = new ArrayList<>();
    private int failed;

    private Row(String what, int cpus) {
      this.what = what;
      this.cpus = cpus;
    }

    int cpus() {
      return cpus;
    }

    /** A boot that took so long, and what was wrong with it. */
    synchronized void add(double time, List<String> faults) {
      if (faults.isEmpty()) {
        seconds.add(time);
      } else {
        failed++;
      }
    }

    private synchronized String markdown() {
      return "| "
          + String.join(
              " | ",
              what,
              Integer.toString(cpus),
              Integer.toString(seconds.size() + failed),
              Integer.toString(failed),
              cell(seconds.stream().mapToDouble(s -> s).min().orElse(Double.NaN)),
              cell(Measured.of(seconds).median()),
              cell(seconds.stream().mapToDouble(s -> s).max().orElse(Double.NaN)))
          + " |\n";
    }

    private static String cell(double value) {
      return Double.isNaN(value) ? "" : Measured.fixed(2, value);
    }
  }

  private final List<Row> rows = new ArrayList<>();
  private final StringBuilder leftOut = new StringBuilder();

  Row row(String what, int cpus) {
    Row row = new Row(what, cpus);
    rows.add(row);
    return row;
  }

  /** A guest that this host cannot make. */
  void leftOut(String name, String why) {
    leftOut.append("\nNot booted: ").append(name).append(" (").append(why).append(").\n");
  }

  String markdown() {
    StringBuilder text = new StringBuilder();
    text.append("| guest | processors | boots | failed | shortest, s | median, s | longest, s |\n");
    text.append("|---|---:|---:|---:|---:|---:|---:|\n");
    rows.forEach(row -> text.append(row.markdown()));
    return text.append(leftOut).toString();
  }
}
