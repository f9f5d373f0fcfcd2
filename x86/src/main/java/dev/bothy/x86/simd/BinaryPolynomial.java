package dev.bothy.x86.simd;

/** Arithmetic without carries: PCLMULQDQ and CRC32 (AMD64 APM volumes 3 and 4). */
public final class BinaryPolynomial {
  /** CRC-32C (polynomial 0x11EDC6F41, reflected), one byte at a time. */
  private static final int[] CRC = new int[256];

  static {
    for (int i = 0; i < 256; i++) {
      int crc = i;
      for (int bit = 0; bit < 8; bit++) {
        crc = crc >>> 1 ^ ((crc & 1) != 0 ? 0x82f6_3b78 : 0);
      }
      CRC[i] = crc;
    }
  }

  private BinaryPolynomial() {}

  /** CRC32: {@code crc} with the low {@code bytes} (1, 2, 4 or 8) bytes of {@code data} added. */
  public static int crc32(int crc, long data, int bytes) {
    for (int i = 0; i < bytes; i++) {
      crc = CRC[(crc ^ (int) data) & 0xff] ^ crc >>> 8;
      data >>>= 8;
    }
    return crc;
  }

  /** The low 64 bits of the carry-less product. */
  public static long multiplyLow(long a, long b) {
    // Every fourth bit of each operand: column sums of at most 16 stay within the gaps, but for the
    // topmost, whose carry
    // leaves the word.
    long m0 = 0x1111_1111_1111_1111L;
    long m1 = m0 << 1;
    long m2 = m0 << 2;
    long m3 = m0 << 3;
    long a0 = a & m0;
    long a1 = a & m1;
    long a2 = a & m2;
    long a3 = a & m3;
    long b0 = b & m0;
    long b1 = b & m1;
    long b2 = b & m2;
    long b3 = b & m3;
    return (a0 * b0 ^ a1 * b3 ^ a2 * b2 ^ a3 * b1) & m0
        | (a0 * b1 ^ a1 * b0 ^ a2 * b3 ^ a3 * b2) & m1
        | (a0 * b2 ^ a1 * b1 ^ a2 * b0 ^ a3 * b3) & m2
        | (a0 * b3 ^ a1 * b2 ^ a2 * b1 ^ a3 * b0) & m3;
  }

  /** The high 64 bits (the topmost is always zero) of the carry-less product. */
  public static long multiplyHigh(long a, long b) {
    return Long.reverse(multiplyLow(Long.reverse(a), Long.reverse(b))) >>> 1;
  }
}
