package dev.bothy.x86.simd;

/**
 * The comparison inside PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM (AMD64 APM volume 4, section
 * 1.5). Strings are vectors of 16 bytes or 8 words, as bit 0 of the control byte says.
 */
public final class StringCompare {
  private static final long BYTES = 0x0101_0101_0101_0101L;
  private static final long WORDS = 0x0001_0001_0001_0001L;

  private StringCompare() {}

  private static boolean isWords(int control) {
    return (control & 1) != 0;
  }

  /** Elements in a vector: 16 or 8. */
  public static int elements(int control) {
    return isWords(control) ? 8 : 16;
  }

  /** Length of a string that ends at its first zero element or with the vector. */
  public static int implicitLength(long low, long high, int control) {
    int zeros = equalTo(0, low, high, isWords(control));
    return zeros == 0 ? elements(control) : Integer.numberOfTrailingZeros(zeros);
  }

  /** Length of a string given in a register: its absolute value, at most the vector. */
  public static int explicitLength(long length, int control) {
    int most = elements(control);
    return length >= -most && length <= most ? (int) Math.abs(length) : most;
  }

  /** One bit an element that equals {@code value}. */
  private static int equalTo(int value, long low, long high, boolean words) {
    return words
        ? equalWords(low, high, WORDS * value, WORDS * value)
        : equalBytes(low, high, BYTES * value, BYTES * value);
  }

  private static int equalBytes(long aLow, long aHigh, long bLow, long bHigh) {
    return PackedInteger.pmovmskb(PackedInteger.pcmpeqb(aLow, bLow))
        | PackedInteger.pmovmskb(PackedInteger.pcmpeqb(aHigh, bHigh)) << 8;
  }

  private static int equalWords(long aLow, long aHigh, long bLow, long bHigh) {
    long packed =
        PackedInteger.packsswb(
            PackedInteger.pcmpeqw(aLow, bLow), PackedInteger.pcmpeqw(aHigh, bHigh));
    return PackedInteger.pmovmskb(packed);
  }

  /** Element {@code i}, zero-extended. */
  private static int element(long low, long high, int i, boolean words) {
    return words
        ? (int) ((i < 4 ? low : high) >>> 16 * (i & 3)) & 0xffff
        : (int) ((i < 8 ? low : high) >>> 8 * (i & 7)) & 0xff;
  }

  private static int signed(int element, int control) {
    if ((control & 2) == 0) {
      return element;
    }
    return isWords(control) ? (short) element : (byte) element;
  }

  /**
   * The result bits, one an element of the second string, polarity applied. The lengths are 0 to
   * {@link #elements}.
   */
  public static int compare(
      long aLow, long aHigh, int aLength, long bLow, long bHigh, int bLength, int control) {
    boolean words = isWords(control);
    int all = (1 << elements(control)) - 1;
    int aValid = (1 << aLength) - 1;
    int bValid = (1 << bLength) - 1;
    int result =
        switch (control >> 2 & 3) {
          case 0 -> anyOf(aLow, aHigh, aLength, bLow, bHigh, words) & bValid;
          case 1 -> inRanges(aLow, aHigh, aLength, bLow, bHigh, bLength, control);
          case 2 -> {
            int equal =
                words ? equalWords(aLow, aHigh, bLow, bHigh) : equalBytes(aLow, aHigh, bLow, bHigh);
            yield equal & aValid & bValid | ~aValid & ~bValid & all;
          }
          default -> substring(aLow, aHigh, aLength, bLow, bHigh, bValid, all, words);
        };
    return switch (control >> 4 & 3) {
      case 1 -> result ^ all;
      case 3 -> result ^ bValid;
      default -> result;
    };
  }

  private static int anyOf(
      long aLow, long aHigh, int aLength, long bLow, long bHigh, boolean words) {
    int result = 0;
    for (int i = 0; i < aLength; i++) {
      result |= equalTo(element(aLow, aHigh, i, words), bLow, bHigh, words);
    }
    return result;
  }

  private static int inRanges(
      long aLow, long aHigh, int aLength, long bLow, long bHigh, int bLength, int control) {
    boolean words = isWords(control);
    int result = 0;
    for (int j = 0; j < bLength; j++) {
      int value = signed(element(bLow, bHigh, j, words), control);
      for (int i = 0; i + 1 < aLength; i += 2) {
        if (value >= signed(element(aLow, aHigh, i, words), control)
            && value <= signed(element(aLow, aHigh, i + 1, words), control)) {
          result |= 1 << j;
        }
      }
    }
    return result;
  }

  /**
   * Where the first string starts in the second; past its end, and past the vector's, everything
   * matches.
   */
  private static int substring(
      long aLow,
      long aHigh,
      int aLength,
      long bLow,
      long bHigh,
      int bValid,
      int all,
      boolean words) {
    int result = all;
    for (int i = 0; i < aLength; i++) {
      int equal = equalTo(element(aLow, aHigh, i, words), bLow, bHigh, words) & bValid;
      result &= (equal | ~all) >> i;
    }
    return result;
  }

  /** The arithmetic flags at their RFLAGS positions. */
  public static int flags(int result, int aLength, int bLength, int control) {
    int most = elements(control);
    return (result != 0 ? 0x001 : 0)
        | (bLength < most ? 0x040 : 0)
        | (aLength < most ? 0x080 : 0)
        | ((result & 1) != 0 ? 0x800 : 0);
  }

  /** What the index forms put into ECX. */
  public static int index(int result, int control) {
    if (result == 0) {
      return elements(control);
    }
    return (control & 0x40) != 0
        ? 31 - Integer.numberOfLeadingZeros(result)
        : Integer.numberOfTrailingZeros(result);
  }

  /** What the mask forms put into half {@code half} of XMM0. */
  public static long mask(int result, int half, int control) {
    if ((control & 0x40) == 0) {
      return half == 0 ? result : 0;
    }
    boolean words = isWords(control);
    int width = words ? 16 : 8;
    int bits = result >>> half * (64 / width);
    long mask = 0;
    for (int i = 0; i < 64 / width; i++) {
      if ((bits >>> i & 1) != 0) {
        mask |= (words ? 0xffffL : 0xffL) << i * width;
      }
    }
    return mask;
  }
}
