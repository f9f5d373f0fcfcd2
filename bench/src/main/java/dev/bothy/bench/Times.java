package dev.bothy.bench;

import dev.bothy.bench.Subject.Kind;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** All rounds' times. Wrong results have none. */
final class Times {
  private final Map<Subject, Map<String, List<Double>>> seconds = new HashMap<>();
  private final List<String> wrong = new ArrayList<>();
  private final boolean processorTime;
  private double clockError;

  /** Of the clock, or of processors. */
  Times(boolean processorTime) {
    this.processorTime = processorTime;
  }

  void add(Subject subject, Subject.Timed timed) {
    if (!timed.said().isEmpty()) {
      wrong.add(subject + " " + timed.name() + ": " + timed.said());
      return;
    }
    seconds
        .computeIfAbsent(subject, _ -> new HashMap<>())
        .computeIfAbsent(timed.name(), _ -> new ArrayList<>())
        .add(processorTime ? timed.processorSeconds() : timed.seconds());
    if (timed.seconds() >= 1) {
      clockError = Math.max(clockError, Math.abs(timed.hostSeconds() / timed.seconds() - 1));
    }
  }

  List<String> wrong() {
    return wrong;
  }

  /** The most that the host's clock differed from the guest's, of runs of a second or more. */
  double clockError() {
    return clockError;
  }

  /** Not a number where nothing was measured. */
  double median(Kind kind, int cpus, Workload workload) {
    return Measured.of(
            seconds
                .getOrDefault(new Subject(kind, cpus), Map.of())
                .getOrDefault(workload.name(), List.of()))
        .median();
  }

  /** True if anything has a time for that workload with so many processors. */
  boolean any(int cpus, Workload workload) {
    return Stream.of(Kind.values()).anyMatch(k -> !Double.isNaN(median(k, cpus, workload)));
  }

  /** How many times longer {@code kind} takes than {@code base}. */
  double ratio(Kind kind, Kind base, int cpus, Workload workload) {
    return median(kind, cpus, workload) / median(base, cpus, workload);
  }

  /** The geometric mean of the ratios that there are; not a number if there is none. */
  double mean(Kind kind, Kind base, int cpus, List<Workload> workloads) {
    return Math.exp(
        workloads.stream()
            .mapToDouble(w -> Math.log(ratio(kind, base, cpus, w)))
            .filter(Double::isFinite)
            .average()
            .orElse(Double.NaN));
  }
}
