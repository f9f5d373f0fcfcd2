package dev.bothy.bench;

import dev.bothy.bench.Subject.Kind;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/** Medians, ratios and geometric means as Markdown. */
final class CompareTable {
  private final List<Workload> workloads;
  private final Set<Integer> cpus;
  private final Times times;
  private final boolean scaling;

  /** Bothy was run with kept translations as well. */
  private final boolean again;

  /** With {@code scaling}, also how much faster several processors are. */
  CompareTable(List<Workload> workloads, List<Subject> subjects, Times times, boolean scaling) {
    this.workloads = workloads;
    this.cpus = subjects.stream().map(Subject::cpus).collect(Collectors.toCollection(TreeSet::new));
    this.times = times;
    this.scaling = scaling;
    this.again = subjects.stream().anyMatch(s -> s.kind() == Kind.BOTHY_AGAIN);
  }

  String markdown() {
    StringBuilder text = new StringBuilder();
    for (int count : cpus) {
      text.append(count == 1 ? "## One processor\n\n" : "## %d processors\n\n".formatted(count));
      times(text, count);
    }
    if (again) {
      text.append(
          "Again: in a new machine, with the translations that an earlier one has kept.\n\n");
    }
    if (scaling && cpus.size() > 1) {
      scaling(text);
    }
    text.append("The guest's and the host's clock differed by at most ");
    text.append(Measured.fixed(1, 100 * times.clockError())).append(" %.\n");
    for (String wrong : times.wrong()) {
      text.append("\nWrong result: ").append(wrong).append('\n');
    }
    return text.toString();
  }

  private void times(StringBuilder text, int count) {
    row(
        text,
        "workload",
        "native, s",
        "TCG, s",
        "Bothy, s",
        "TCG / native",
        "Bothy / native",
        "TCG / Bothy",
        "again, s",
        "TCG / again");
    text.append("|---|---:|---:|---:|---:|---:|---:|").append(again ? "---:|---:|\n" : "\n");
    for (Workload workload : workloads) {
      if (!times.any(count, workload)) {
        continue;
      }
      row(
          text,
          workload.what(),
          cell(3, times.median(Kind.NATIVE, count, workload)),
          cell(2, times.median(Kind.TCG, count, workload)),
          cell(2, times.median(Kind.BOTHY, count, workload)),
          cell(1, times.ratio(Kind.TCG, Kind.NATIVE, count, workload)),
          cell(1, times.ratio(Kind.BOTHY, Kind.NATIVE, count, workload)),
          cell(2, times.ratio(Kind.TCG, Kind.BOTHY, count, workload)),
          cell(2, times.median(Kind.BOTHY_AGAIN, count, workload)),
          cell(2, times.ratio(Kind.TCG, Kind.BOTHY_AGAIN, count, workload)));
    }
    mean(text, count, "geometric mean", w -> w.kind() != Workload.Kind.PARALLEL);
    mean(text, count, "compute", w -> w.kind() == Workload.Kind.COMPUTE);
    mean(
        text,
        count,
        "shell loop, fork and exec, pipe, context switch, gcc",
        w -> w.kind() == Workload.Kind.SYSTEM);
    text.append('\n');
  }

  private void mean(StringBuilder text, int count, String name, Predicate<Workload> which) {
    List<Workload> some = workloads.stream().filter(which).toList();
    String tcg = bold(1, times.mean(Kind.TCG, Kind.NATIVE, count, some));
    String bothy = bold(1, times.mean(Kind.BOTHY, Kind.NATIVE, count, some));
    String speedUp = bold(2, times.mean(Kind.TCG, Kind.BOTHY, count, some));
    if (!(tcg + bothy + speedUp).isEmpty()) {
      String later = bold(2, times.mean(Kind.TCG, Kind.BOTHY_AGAIN, count, some));
      row(text, "**" + name + "**", "", "", "", tcg, bothy, speedUp, "", later);
    }
  }

  /** The same work, one processor's time over several processors'. */
  private void scaling(StringBuilder text) {
    text.append(
        "## Scaling\n\nOne processor's time over that of several, after five seconds of runs.\n\n");
    line(text, "workload", "processors", "native", "TCG", "Bothy");
    text.append("|---|---:|---:|---:|---:|\n");
    for (Workload workload : workloads) {
      if (workload.kind() == Workload.Kind.PARALLEL) {
        for (int count : cpus) {
          if (count > 1) {
            line(
                text,
                workload.what(),
                Integer.toString(count),
                scaling(Kind.NATIVE, count, workload),
                scaling(Kind.TCG, count, workload),
                scaling(Kind.BOTHY, count, workload));
          }
        }
      }
    }
    text.append('\n');
  }

  private String scaling(Kind kind, int count, Workload workload) {
    return cell(2, times.median(kind, 1, workload) / times.median(kind, count, workload));
  }

  private static String cell(int digits, double value) {
    return Double.isNaN(value) ? "" : Measured.fixed(digits, value);
  }

  private static String bold(int digits, double value) {
    return Double.isNaN(value) ? "" : "**" + cell(digits, value) + "**";
  }

  /** A row of the table of times: its last two cells are of Bothy again. */
  private void row(StringBuilder text, String... cells) {
    line(text, again ? cells : Arrays.copyOf(cells, cells.length - 2));
  }

  private static void line(StringBuilder text, String... cells) {
    text.append(Arrays.stream(cells).collect(Collectors.joining(" | ", "| ", " |\n")));
  }
}
