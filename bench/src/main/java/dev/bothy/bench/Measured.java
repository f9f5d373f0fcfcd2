package dev.bothy.bench;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Values of several rounds. */
record Measured(double... rounds) {
  static Measured of(List<Double> values) {
    return new Measured(values.stream().mapToDouble(Double::doubleValue).toArray());
  }

  /** The middle one, or the mean of the middle two; not a number without any. */
  double median() {
    double[] sorted = rounds.clone();
    Arrays.sort(sorted);
    int n = sorted.length;
    return n == 0 ? Double.NaN : (sorted[n / 2] + sorted[(n - 1) / 2]) / 2;
  }

  static String fixed(int digits, double value) {
    return String.format(Locale.ROOT, "%." + digits + "f", value);
  }
}
