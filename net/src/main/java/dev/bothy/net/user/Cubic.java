package dev.bothy.net.user;

/**
 * How many bytes may be on their way: CUBIC (RFC 9438) after slow start (RFC 5681, with an initial
 * window by RFC 6928).
 */
final class Cubic {
  private static final double BETA = 0.7;
  private static final double C = 0.4;
  private static final double ALPHA = 3 * (1 - BETA) / (1 + BETA);
  private static final int INITIAL_SEGMENTS = 10;

  /** Bytes beyond which nothing is gained: more than any buffer. */
  private static final double LIMIT = 8 << 20;

  private final double segment;
  private double window;
  private double threshold = Double.MAX_VALUE;

  /** The window before the last reduction, in bytes. */
  private double highest;

  /** What Reno would have in the same place, in bytes. */
  private double estimate;

  private double priorWindow;
  private double epochWindow;
  private long epoch;
  private boolean epochBegun;

  /** For segments of {@code mss} bytes. */
  Cubic(int mss) {
    this.segment = mss;
    this.window = Math.min(INITIAL_SEGMENTS * segment, Math.max(2 * segment, 14600));
  }

  /** Bytes that may be on their way. */
  long window() {
    return (long) window;
  }

  /**
   * New data was acknowledged, out of loss recovery, by a flow that the window holds back.
   *
   * @param roundTrip nanoseconds, smoothed
   */
  void acknowledged(long bytes, long now, long roundTrip) {
    if (window < threshold) {
      window = Math.min(window + bytes, LIMIT);
      return;
    }
    if (!epochBegun) {
      beginEpoch(now);
    }
    double seconds = (now - epoch) / 1e9;
    double k = Math.cbrt(Math.max(0, highest - epochWindow) / segment / C);
    double share = bytes / window;
    double reached = cubic(seconds - k);
    estimate += (estimate >= priorWindow ? 1 : ALPHA) * share * segment;
    if (reached < estimate) {
      window = Math.max(window, estimate);
    } else {
      double target = cubic(seconds + roundTrip / 1e9 - k);
      target = Math.min(Math.max(target, window), 1.5 * window);
      window += (target - window) * share;
    }
    window = Math.min(window, LIMIT);
  }

  private double cubic(double seconds) {
    return C * seconds * seconds * seconds * segment + Math.max(highest, epochWindow);
  }

  private void beginEpoch(long now) {
    epoch = now;
    epochBegun = true;
    epochWindow = window;
    estimate = window;
  }

  /** A loss was found by duplicates: once for each window. */
  void lost(long inFlight) {
    reduce(inFlight);
    window = threshold;
  }

  /** Nothing came for so long that all counts as lost. */
  void timedOut(long inFlight) {
    reduce(inFlight);
    window = segment;
  }

  private void reduce(long inFlight) {
    priorWindow = window;
    highest = window < highest ? window * (1 + BETA) / 2 : window;
    threshold = Math.max(Math.min(window, inFlight) * BETA, 2 * segment);
    epochBegun = false;
  }
}
