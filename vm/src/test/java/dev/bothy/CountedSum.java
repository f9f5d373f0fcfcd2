package dev.bothy;

/** What guests compute that count: each step makes the sum from the one before. */
final class CountedSum {
  private static final int FACTOR = 1_103_515_245;
  private static final int SUMMAND = 12_345;

  private CountedSum() {}

  /**
   * The sum after so many steps from 0, as an unsigned number: a guest may have taken billions, and
   * begun to count anew, which the sum does at the same step.
   */
  static int after(int steps) {
    int value = 0;
    // What a power of two of steps makes of x: x * factor + summand.
    int factor = FACTOR;
    int summand = SUMMAND;
    for (int left = steps; left != 0; left >>>= 1) {
      if ((left & 1) != 0) {
        value = value * factor + summand;
      }
      summand += summand * factor;
      factor *= factor;
    }
    return value;
  }
}
