package dev.bothy.x86.oracle;

/** A fast, seeded source of random numbers: SplitMix64. */
final class Dice {
  private long state;

  Dice(long seed) {
    state = seed;
  }

  /**
   * Starts anew, for case {@code n} of {@code seed}: the same throws for the same two, and others
   * for their neighbours.
   */
  void reseed(long seed, long n) {
    state = mix(mix(seed) ^ n);
  }

  long next() {
    return mix(state += 0x9e37_79b9_7f4a_7c15L);
  }

  private static long mix(long z) {
    z = (z ^ z >>> 30) * 0xbf58_476d_1ce4_e5b9L;
    z = (z ^ z >>> 27) * 0x94d0_49bb_1331_11ebL;
    return z ^ z >>> 31;
  }

  /** 0 to {@code bound} - 1. */
  int below(int bound) {
    return (int) ((next() >>> 33) * bound >>> 31);
  }

  /** True {@code percent} times in a hundred. */
  boolean chance(int percent) {
    return below(100) < percent;
  }
}
