package dev.bothy.net.user;

/** Round-trip time and retransmission time-out (RFC 6298), in nanoseconds. */
final class RoundTrip {
  static final long INITIAL = 1_000_000_000L;

  /** Below one second as everywhere today: guests delay acknowledgements by less. */
  static final long LEAST = 200_000_000L;

  static final long MOST = 60_000_000_000L;
  private static final long GRANULARITY = 1_000_000L;

  private long smoothed;
  private long variation;
  private long timeout = INITIAL;
  private int backoff;

  /** A segment that was sent once was acknowledged after that long. */
  void measured(long nanos) {
    if (smoothed == 0) {
      smoothed = Math.max(1, nanos);
      variation = nanos / 2;
    } else {
      variation += (Math.abs(smoothed - nanos) - variation) / 4;
      smoothed = Math.max(1, smoothed + (nanos - smoothed) / 8);
    }
    timeout = clamp(smoothed + Math.max(GRANULARITY, 4 * variation));
  }

  /** 0 until something was measured. */
  long smoothed() {
    return smoothed;
  }

  /** How long to wait for an acknowledgement. */
  long timeout() {
    return clamp(timeout << Math.min(backoff, 10));
  }

  void backOff() {
    backoff++;
  }

  /** How often it was backed off since something was acknowledged. */
  int backedOff() {
    return backoff;
  }

  void progress() {
    backoff = 0;
  }

  private static long clamp(long nanos) {
    return Math.min(Math.max(nanos, LEAST), MOST);
  }
}
