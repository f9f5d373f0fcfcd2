package dev.bothy.x86.simd;

/**
 * The SHA instructions (AMD64 APM volume 4, SHA1MSG1 to SHA256RNDS2; FIPS 180-4). Vectors are pairs
 * of longs, low half first.
 */
public final class ShaRound {
  private static final int[] SHA1_CONSTANTS = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};

  private ShaRound() {}

  private static long pair(int low, int high) {
    return low & 0xffff_ffffL | (long) high << 32;
  }

  private static int high(long a) {
    return (int) (a >>> 32);
  }

  /** SHA1RNDS4. The result goes to {@code out[0]} (low half) and {@code out[1]}. */
  public static void sha1Rounds4(
      long aLow, long aHigh, long bLow, long bHigh, int function, long[] out) {
    int a = high(aHigh);
    int b = (int) aHigh;
    int c = high(aLow);
    int d = (int) aLow;
    int e = 0;
    int f = function & 3;
    int constant = SHA1_CONSTANTS[f];
    for (int i = 0; i < 4; i++) {
      long half = i < 2 ? bHigh : bLow;
      int word = (i & 1) == 0 ? high(half) : (int) half;
      int mix =
          switch (f) {
            case 0 -> b & c ^ ~b & d;
            case 2 -> b & c ^ b & d ^ c & d;
            default -> b ^ c ^ d;
          };
      int next = mix + Integer.rotateLeft(a, 5) + word + e + constant;
      e = d;
      d = c;
      c = Integer.rotateLeft(b, 30);
      b = a;
      a = next;
    }
    out[0] = pair(d, c);
    out[1] = pair(b, a);
  }

  /** SHA1NEXTE's high half; the low half is the second source's. */
  public static long sha1NextE(long aHigh, long bHigh) {
    return bHigh + ((long) Integer.rotateLeft(high(aHigh), 30) << 32);
  }

  /** SHA1MSG2. The result goes to {@code out}. */
  public static void sha1Message2(long aLow, long aHigh, long bLow, long bHigh, long[] out) {
    int w16 = Integer.rotateLeft(high(aHigh) ^ (int) bHigh, 1);
    int w17 = Integer.rotateLeft((int) aHigh ^ high(bLow), 1);
    int w18 = Integer.rotateLeft(high(aLow) ^ (int) bLow, 1);
    int w19 = Integer.rotateLeft((int) aLow ^ w16, 1);
    out[0] = pair(w19, w18);
    out[1] = pair(w17, w16);
  }

  /** SHA256RNDS2; {@code words} is the low half of XMM0. The result goes to {@code out}. */
  public static void sha256Rounds2(
      long aLow, long aHigh, long bLow, long bHigh, long words, long[] out) {
    int a = high(bHigh);
    int b = (int) bHigh;
    int c = high(aHigh);
    int d = (int) aHigh;
    int e = high(bLow);
    int f = (int) bLow;
    int g = high(aLow);
    int h = (int) aLow;
    for (int i = 0; i < 2; i++) {
      int word = (int) (words >>> 32 * i);
      int sum1 =
          Integer.rotateRight(e, 6) ^ Integer.rotateRight(e, 11) ^ Integer.rotateRight(e, 25);
      int t1 = (e & f ^ ~e & g) + sum1 + word + h;
      int sum0 =
          Integer.rotateRight(a, 2) ^ Integer.rotateRight(a, 13) ^ Integer.rotateRight(a, 22);
      int t2 = (a & b ^ a & c ^ b & c) + sum0;
      h = g;
      g = f;
      f = e;
      e = t1 + d;
      d = c;
      c = b;
      b = a;
      a = t1 + t2;
    }
    out[0] = pair(f, e);
    out[1] = pair(b, a);
  }

  private static int sigma0(int x) {
    return Integer.rotateRight(x, 7) ^ Integer.rotateRight(x, 18) ^ x >>> 3;
  }

  private static int sigma1(int x) {
    return Integer.rotateRight(x, 17) ^ Integer.rotateRight(x, 19) ^ x >>> 10;
  }

  /**
   * Half of SHA256MSG1: {@code next} is the word after this half (of the high half, or of the
   * second source).
   */
  public static long sha256Message1(long a, int next) {
    return pair((int) a + sigma0(high(a)), high(a) + sigma0(next));
  }

  /** SHA256MSG2. The result goes to {@code out}. */
  public static void sha256Message2(long aLow, long aHigh, long bHigh, long[] out) {
    int w16 = (int) aLow + sigma1((int) bHigh);
    int w17 = high(aLow) + sigma1(high(bHigh));
    int w18 = (int) aHigh + sigma1(w16);
    int w19 = high(aHigh) + sigma1(w17);
    out[0] = pair(w16, w17);
    out[1] = pair(w18, w19);
  }
}
