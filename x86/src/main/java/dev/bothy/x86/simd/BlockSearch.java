package dev.bothy.x86.simd;

/** MPSADBW and PHMINPOSUW (AMD64 APM volume 4). */
public final class BlockSearch {
  private BlockSearch() {}

  /** Eight bytes of a 128-bit vector from byte {@code offset}, 0 to 8. */
  private static long window(long low, long high, int offset) {
    return switch (offset) {
      case 0 -> low;
      case 8 -> high;
      default -> low >>> 8 * offset | high << 64 - 8 * offset;
    };
  }

  /**
   * Half {@code half} of MPSADBW: four sums of absolute differences of four bytes each, of a
   * sliding window over the first source against one block of the second. Bits 0 to 2 of {@code
   * control} choose block and start.
   */
  public static long sums(long aLow, long aHigh, long bLow, long bHigh, int control, int half) {
    long window = window(aLow, aHigh, (control & 4) + (half << 2));
    int block = (int) (((control & 2) != 0 ? bHigh : bLow) >>> 32 * (control & 1));
    long result = 0;
    for (int i = 0; i < 4; i++) {
      long sum = 0;
      for (int j = 0; j < 4; j++) {
        sum += Math.abs((window >>> 8 * (i + j) & 0xff) - (block >>> 8 * j & 0xff));
      }
      result |= sum << 16 * i;
    }
    return result;
  }

  /**
   * PHMINPOSUW's low half: the least of eight words and, in bits 16 to 18, where it stands first.
   */
  public static long minimumPosition(long low, long high) {
    long best = low & 0xffff;
    long position = 0;
    for (int i = 1; i < 8; i++) {
      long word = (i < 4 ? low : high) >>> 16 * (i & 3) & 0xffff;
      if (word < best) {
        best = word;
        position = i;
      }
    }
    return best | position << 16;
  }
}
