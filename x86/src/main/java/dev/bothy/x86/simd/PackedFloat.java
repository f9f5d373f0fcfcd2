package dev.bothy.x86.simd;

/**
 * Floating point on vectors, 64 bits at a time: two singles or one double. Operands in Intel's
 * order, first source first, so that SSE forms (destination as first source) and VEX forms share
 * them. Exceptions of all elements gather in the {@link FloatEnvironment}.
 */
public final class PackedFloat {
  // Functions of two operands; SQRT, RCP and RSQRT use the second one only.
  public static final int ADD = 0;
  public static final int SUB = 1;
  public static final int MUL = 2;
  public static final int DIV = 3;
  public static final int MIN = 4;
  public static final int MAX = 5;
  public static final int SQRT = 6;
  public static final int RCP = 7;
  public static final int RSQRT = 8;

  private PackedFloat() {}

  private static long pair(int low, int high) {
    return low & 0xffff_ffffL | (long) high << 32;
  }

  private static int high(long a) {
    return (int) (a >>> 32);
  }

  /** One of the functions on singles. */
  public static int single(int function, int a, int b, FloatEnvironment e) {
    return switch (function) {
      case ADD -> Float32.add(a, b, e);
      case SUB -> Float32.subtract(a, b, e);
      case MUL -> Float32.multiply(a, b, e);
      case DIV -> Float32.divide(a, b, e);
      case MIN -> Float32.minimum(a, b, e);
      case MAX -> Float32.maximum(a, b, e);
      case SQRT -> Float32.squareRoot(b, e);
      case RCP -> ReciprocalTables.reciprocal(b);
      case RSQRT -> ReciprocalTables.reciprocalRoot(b);
      default -> throw new IllegalArgumentException("function " + function);
    };
  }

  /** One of the functions on doubles, RCP and RSQRT excepted. */
  public static long doubles(int function, long a, long b, FloatEnvironment e) {
    return switch (function) {
      case ADD -> Float64.add(a, b, e);
      case SUB -> Float64.subtract(a, b, e);
      case MUL -> Float64.multiply(a, b, e);
      case DIV -> Float64.divide(a, b, e);
      case MIN -> Float64.minimum(a, b, e);
      case MAX -> Float64.maximum(a, b, e);
      case SQRT -> Float64.squareRoot(b, e);
      default -> throw new IllegalArgumentException("function " + function);
    };
  }

  /** One of the functions on two singles. */
  public static long singles(int function, long a, long b, FloatEnvironment e) {
    return pair(single(function, (int) a, (int) b, e), single(function, high(a), high(b), e));
  }

  /** Half of HADDPS: the sum of both singles of {@code a}, then that of {@code b}. */
  public static long addNeighbours(long a, long b, FloatEnvironment e) {
    return pair(Float32.add((int) a, high(a), e), Float32.add((int) b, high(b), e));
  }

  /** Half of HSUBPS: low less high of {@code a}, then of {@code b}. */
  public static long subtractNeighbours(long a, long b, FloatEnvironment e) {
    return pair(Float32.subtract((int) a, high(a), e), Float32.subtract((int) b, high(b), e));
  }

  /** Half of ADDSUBPS: subtracts the low singles, adds the high ones. */
  public static long subtractAdd(long a, long b, FloatEnvironment e) {
    return pair(Float32.subtract((int) a, (int) b, e), Float32.add(high(a), high(b), e));
  }

  /** Half of ROUNDPS. */
  public static long roundSingles(long a, int control, FloatEnvironment e) {
    return pair(Float32.toIntegral((int) a, control, e), Float32.toIntegral(high(a), control, e));
  }

  // Comparisons by predicate.

  /**
   * The answers of the 32 predicates of VCMPPS (AMD64 APM volume 4, CMPPS; SSE has the first
   * eight), four bits each in the order less, equal, greater, unordered. Predicates 16 to 31 repeat
   * them with the other behaviour on quiet NaNs.
   */
  private static final int[] PREDICATES = {
    0b0010, 0b0001, 0b0011, 0b1000, 0b1101, 0b1110, 0b1100, 0b0111,
    0b1010, 0b1001, 0b1011, 0b0000, 0b0101, 0b0110, 0b0100, 0b1111
  };

  /** Of predicates 0 to 15, those that raise invalid on quiet NaNs. */
  private static final int SIGNALLING = 0b0110_0110_0110_0110;

  private static boolean holds(int predicate, int order) {
    int bit = order == SoftFloat.UNORDERED ? 3 : order + 1;
    return (PREDICATES[predicate & 15] >>> bit & 1) != 0;
  }

  private static boolean signals(int predicate) {
    return (SIGNALLING >>> (predicate & 15) & 1) != predicate >>> 4;
  }

  /** CMPSS: all ones or all zeros. {@code predicate} is 0 to 31. */
  public static int compareSingle(int a, int b, int predicate, FloatEnvironment e) {
    return holds(predicate, Float32.compare(a, b, signals(predicate), e)) ? -1 : 0;
  }

  /** CMPSD: all ones or all zeros. {@code predicate} is 0 to 31. */
  public static long compareDouble(long a, long b, int predicate, FloatEnvironment e) {
    return holds(predicate, Float64.compare(a, b, signals(predicate), e)) ? -1 : 0;
  }

  /** Half of CMPPS. */
  public static long compareSingles(long a, long b, int predicate, FloatEnvironment e) {
    return pair(
        compareSingle((int) a, (int) b, predicate, e),
        compareSingle(high(a), high(b), predicate, e));
  }

  /**
   * ZF, PF and CF of COMISS and kin at their RFLAGS positions, from an order that a compare gave.
   */
  public static int orderFlags(int order) {
    return switch (order) {
      case SoftFloat.LESS -> 0x01;
      case SoftFloat.EQUAL -> 0x40;
      case SoftFloat.GREATER -> 0;
      default -> 0x45;
    };
  }

  // Dot products.

  /**
   * DPPS within 128 bits, the sum only: the caller places it by bits 0 to 3 of {@code control};
   * bits 4 to 7 choose the products. Products, both sums of two, and their sum are steps of their
   * own: an unmasked exception in one keeps back the next.
   */
  public static int dotSingles(
      long aLow, long aHigh, long bLow, long bHigh, int control, FloatEnvironment e) {
    int p0 = (control & 0x10) != 0 ? Float32.multiply((int) aLow, (int) bLow, e) : 0;
    int p1 = (control & 0x20) != 0 ? Float32.multiply(high(aLow), high(bLow), e) : 0;
    int p2 = (control & 0x40) != 0 ? Float32.multiply((int) aHigh, (int) bHigh, e) : 0;
    int p3 = (control & 0x80) != 0 ? Float32.multiply(high(aHigh), high(bHigh), e) : 0;
    if (!e.nextStep()) {
      return 0;
    }
    int low = Float32.add(p0, p1, e);
    int high = Float32.add(p2, p3, e);
    return e.nextStep() ? Float32.add(low, high, e) : 0;
  }

  /**
   * VDPPS, placed: in each 128-bit lane the same. The steps of all lanes are taken together.
   *
   * @param longs of both operands: 2 or 4
   */
  public static void dotSingles(
      long[] a, long[] b, int longs, int control, FloatEnvironment e, long[] result) {
    int[] sums = new int[2 * longs];
    for (int n = 0; n < 2 * longs; n++) {
      int shift = 32 * (n & 1);
      int x = (int) (a[n >> 1] >>> shift);
      int y = (int) (b[n >> 1] >>> shift);
      sums[n] = (control >> 4 + (n & 3) & 1) != 0 ? Float32.multiply(x, y, e) : 0;
    }
    // Neighbours, then pairs of them.
    for (int step = 1; step < 4; step *= 2) {
      if (!e.nextStep()) {
        return;
      }
      for (int n = 0; n < 2 * longs; n += 2 * step) {
        sums[n] = Float32.add(sums[n], sums[n + step], e);
      }
    }
    for (int n = 0; n < longs; n++) {
      int chosen = control >> 2 * (n & 1);
      int sum = sums[(n >> 1) * 4];
      result[n] = pair((chosen & 1) != 0 ? sum : 0, (chosen & 2) != 0 ? sum : 0);
    }
  }

  /**
   * DPPD: bits 4 and 5 of {@code control} choose the products; the caller masks by bits 0 and 1.
   */
  public static long dotDoubles(
      long aLow, long aHigh, long bLow, long bHigh, int control, FloatEnvironment e) {
    long p0 = (control & 0x10) != 0 ? Float64.multiply(aLow, bLow, e) : 0;
    long p1 = (control & 0x20) != 0 ? Float64.multiply(aHigh, bHigh, e) : 0;
    return e.nextStep() ? Float64.add(p0, p1, e) : 0;
  }

  // Conversions, two elements to 64 bits.

  /** Half of CVTDQ2PS, and CVTPI2PS. */
  public static long intsToSingles(long a, FloatEnvironment e) {
    return pair(Float32.fromInteger((int) a, e), Float32.fromInteger(high(a), e));
  }

  /** Half of CVTPS2DQ, and CVTPS2PI; their truncating forms with {@code truncate}. */
  public static long singlesToInts(long a, boolean truncate, FloatEnvironment e) {
    return pair(Float32.toInt((int) a, truncate, e), Float32.toInt(high(a), truncate, e));
  }

  /** CVTPD2DQ's low half, and CVTPD2PI. */
  public static long doublesToInts(long low, long high, boolean truncate, FloatEnvironment e) {
    return pair(Float64.toInt(low, truncate, e), Float64.toInt(high, truncate, e));
  }

  /** CVTPD2PS's low half. */
  public static long doublesToSingles(long low, long high, FloatEnvironment e) {
    return pair(Float64.toSingle(low, e), Float64.toSingle(high, e));
  }

  /** CVTDQ2PD and CVTPI2PD: element {@code index} (0 or 1) of two integers. */
  public static long intToDouble(long a, int index, FloatEnvironment e) {
    return Float64.fromInteger((int) (a >>> 32 * index), e);
  }

  /** CVTPS2PD: element {@code index} (0 or 1) of two singles. */
  public static long singleToDouble(long a, int index, FloatEnvironment e) {
    return Float32.toDouble((int) (a >>> 32 * index), e);
  }
}
