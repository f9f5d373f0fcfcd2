package dev.bothy.x86.simd;

/**
 * The AES instructions (AMD64 APM volume 4, AESENC to AESKEYGENASSIST; FIPS 197). A 128-bit state
 * is two longs of two columns each. The rounds compute half a state: the low half from (low, high),
 * the high half from (high, low), as the cipher looks the same from every column; the round key's
 * half is for the caller to add.
 */
public final class AesRound {
  private static final byte[] SBOX = new byte[256];
  private static final byte[] INVERSE_SBOX = new byte[256];

  /** MixColumns of a column with S-box output in row 0; other rows by rotation. */
  private static final int[] MIXED = new int[256];

  private static final int[] INVERSE_MIXED = new int[256];

  /** InvMixColumns of a column with only row 0. */
  private static final int[] INVERSE_COLUMN = new int[256];

  static {
    // S-box: inverses by walking the powers of the generator 3 and of its inverse together.
    int p = 1;
    int q = 1;
    do {
      p = p ^ times2(p);
      q ^= q << 1;
      q ^= q << 2;
      q ^= q << 4;
      q &= 0xff;
      if ((q & 0x80) != 0) {
        q ^= 0x09;
      }
      int x = q ^ q << 1 ^ q << 2 ^ q << 3 ^ q << 4;
      SBOX[p] = (byte) ((x ^ x >>> 8) ^ 0x63);
    } while (p != 1);
    SBOX[0] = 0x63;
    for (int i = 0; i < 256; i++) {
      INVERSE_SBOX[SBOX[i] & 0xff] = (byte) i;
      int x2 = times2(i);
      int x4 = times2(x2);
      int x8 = times2(x4);
      INVERSE_COLUMN[i] = x8 ^ x4 ^ x2 | (x8 ^ i) << 8 | (x8 ^ x4 ^ i) << 16 | (x8 ^ x2 ^ i) << 24;
    }
    for (int i = 0; i < 256; i++) {
      int s = SBOX[i] & 0xff;
      MIXED[i] = times2(s) | s << 8 | s << 16 | (times2(s) ^ s) << 24;
      INVERSE_MIXED[i] = INVERSE_COLUMN[INVERSE_SBOX[i] & 0xff];
    }
  }

  private AesRound() {}

  private static int times2(int a) {
    return a << 1 & 0xff ^ ((a & 0x80) != 0 ? 0x1b : 0);
  }

  private static int mixed(int[] table, int row0, int row1, int row2, int row3) {
    return table[row0 & 0xff]
        ^ Integer.rotateLeft(table[row1 >>> 8 & 0xff], 8)
        ^ Integer.rotateLeft(table[row2 >>> 16 & 0xff], 16)
        ^ Integer.rotateLeft(table[row3 >>> 24], 24);
  }

  private static int substituted(byte[] box, int row0, int row1, int row2, int row3) {
    return box[row0 & 0xff] & 0xff
        | (box[row1 >>> 8 & 0xff] & 0xff) << 8
        | (box[row2 >>> 16 & 0xff] & 0xff) << 16
        | box[row3 >>> 24] << 24;
  }

  private static long pair(int low, int high) {
    return low & 0xffff_ffffL | (long) high << 32;
  }

  /** AESENC without the key. */
  public static long encrypt(long here, long there) {
    int c0 = (int) here;
    int c1 = (int) (here >>> 32);
    int c2 = (int) there;
    int c3 = (int) (there >>> 32);
    return pair(mixed(MIXED, c0, c1, c2, c3), mixed(MIXED, c1, c2, c3, c0));
  }

  /** AESENCLAST without the key. */
  public static long encryptLast(long here, long there) {
    int c0 = (int) here;
    int c1 = (int) (here >>> 32);
    int c2 = (int) there;
    int c3 = (int) (there >>> 32);
    return pair(substituted(SBOX, c0, c1, c2, c3), substituted(SBOX, c1, c2, c3, c0));
  }

  /** AESDEC without the key. */
  public static long decrypt(long here, long there) {
    int c0 = (int) here;
    int c1 = (int) (here >>> 32);
    int c2 = (int) there;
    int c3 = (int) (there >>> 32);
    return pair(mixed(INVERSE_MIXED, c0, c3, c2, c1), mixed(INVERSE_MIXED, c1, c0, c3, c2));
  }

  /** AESDECLAST without the key. */
  public static long decryptLast(long here, long there) {
    int c0 = (int) here;
    int c1 = (int) (here >>> 32);
    int c2 = (int) there;
    int c3 = (int) (there >>> 32);
    return pair(
        substituted(INVERSE_SBOX, c0, c3, c2, c1), substituted(INVERSE_SBOX, c1, c0, c3, c2));
  }

  /** Half of AESIMC. */
  public static long inverseMixColumns(long a) {
    int c0 = (int) a;
    int c1 = (int) (a >>> 32);
    return pair(mixed(INVERSE_COLUMN, c0, c0, c0, c0), mixed(INVERSE_COLUMN, c1, c1, c1, c1));
  }

  /**
   * Half of AESKEYGENASSIST, from the same half of the source. {@code constant} is the immediate, 0
   * to 255.
   */
  public static long keyAssist(long a, int constant) {
    int x = (int) (a >>> 32);
    int substituted = substituted(SBOX, x, x, x, x);
    return pair(substituted, Integer.rotateRight(substituted, 8) ^ constant);
  }
}
