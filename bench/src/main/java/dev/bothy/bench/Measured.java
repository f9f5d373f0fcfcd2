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
    double[] sorted = sorted();
    int n = sorted.length;
    return n == 0 ? Double.NaN : (sorted[n / 2] + sorted[(n - 1) / 2]) / 2;
  }

  /**
   * What the median lies in with 95 % confidence, whatever the values' distribution: two of the
   * values, by the binomial distribution's normal approximation.
   */
  Interval interval() {
    double[] sorted = sorted();
    int n = sorted.length;
    int below = Math.max(0, (int) Math.floor((n - 1.96 * Math.sqrt(n)) / 2));
    return n == 0
        ? new Interval(Double.NaN, Double.NaN)
        : new Interval(sorted[below], sorted[n - 1 - below]);
  }

  /** From and to. */
  record Interval(double low, double high) {
    String text(int digits) {
      return fixed(digits, low) + " to " + fixed(digits, high);
    }
  }

  private double[] sorted() {
    double[] sorted = rounds.clone();
    Arrays.sort(sorted);
    return sorted;
  }

  static String fixed(int digits, double value) {
    return String.format(Locale.ROOT, "%." + digits + "f", value);
  }
}
