package dev.bothy.x86.simd;

/**
 * Packed integer arithmetic on 64-bit vectors: MMX directly, SSE by applying it to each half. Each
 * method is named for the instruction it computes and takes the operands in Intel's order,
 * destination first; results follow the AMD64 APM volumes 4 and 5. Methods that combine
 * neighbouring lanes say how they serve 128 bits. Pure functions.
 */
public final class PackedInteger {
  /** Highest bit of each lane. */
  private static final long HB = 0x8080_8080_8080_8080L;

  private static final long HW = 0x8000_8000_8000_8000L;
  private static final long HD = 0x8000_0000_8000_0000L;

  /** Even bytes, words. */
  private static final long EVEN_BYTES = 0x00ff_00ff_00ff_00ffL;

  private static final long EVEN_WORDS = 0x0000_ffff_0000_ffffL;

  private PackedInteger() {}

  // Lanes of any width: h holds the highest bit of each lane, width is in bits.

  private static long add(long a, long b, long h) {
    return (a & ~h) + (b & ~h) ^ (a ^ b) & h;
  }

  private static long subtract(long a, long b, long h) {
    return (a | h) - (b & ~h) ^ (a ^ ~b) & h;
  }

  /** All ones in each lane whose highest bit is set in {@code bits}, which has no other bits. */
  private static long spread(long bits, int width) {
    return (bits << 1) - (bits >>> width - 1);
  }

  private static long addUnsignedSaturating(long a, long b, long h, int width) {
    long sum = add(a, b, h);
    return sum | spread((a & b | (a | b) & ~sum) & h, width);
  }

  private static long subtractUnsignedSaturating(long a, long b, long h, int width) {
    long difference = subtract(a, b, h);
    return difference & ~spread((~a & b | (~a | b) & difference) & h, width);
  }

  private static long addSignedSaturating(long a, long b, long h, int width) {
    long sum = add(a, b, h);
    long overflow = spread(~(a ^ b) & (a ^ sum) & h, width);
    return sum & ~overflow | limit(a, h, width) & overflow;
  }

  private static long subtractSignedSaturating(long a, long b, long h, int width) {
    long difference = subtract(a, b, h);
    long overflow = spread((a ^ b) & (a ^ difference) & h, width);
    return difference & ~overflow | limit(a, h, width) & overflow;
  }

  /** The largest value in lanes where a is positive, the smallest where it is negative. */
  private static long limit(long a, long h, int width) {
    return ~h + ((a & h) >>> width - 1);
  }

  /** All ones in the lanes where a is below b, unsigned. */
  private static long below(long a, long b, long h, int width) {
    long difference = subtract(a, b, h);
    return spread((~a & b | (~a | b) & difference) & h, width);
  }

  private static long equal(long a, long b, long h, int width) {
    long x = a ^ b;
    return spread(~((x & ~h) + ~h | x) & h, width);
  }

  private static long select(long mask, long a, long b) {
    return b ^ (a ^ b) & mask;
  }

  // Addition and subtraction.

  public static long paddb(long a, long b) {
    return add(a, b, HB);
  }

  public static long paddw(long a, long b) {
    return add(a, b, HW);
  }

  public static long paddd(long a, long b) {
    return add(a, b, HD);
  }

  public static long paddq(long a, long b) {
    return a + b;
  }

  public static long psubb(long a, long b) {
    return subtract(a, b, HB);
  }

  public static long psubw(long a, long b) {
    return subtract(a, b, HW);
  }

  public static long psubd(long a, long b) {
    return subtract(a, b, HD);
  }

  public static long psubq(long a, long b) {
    return a - b;
  }

  public static long paddsb(long a, long b) {
    return addSignedSaturating(a, b, HB, 8);
  }

  public static long paddsw(long a, long b) {
    return addSignedSaturating(a, b, HW, 16);
  }

  public static long paddusb(long a, long b) {
    return addUnsignedSaturating(a, b, HB, 8);
  }

  public static long paddusw(long a, long b) {
    return addUnsignedSaturating(a, b, HW, 16);
  }

  public static long psubsb(long a, long b) {
    return subtractSignedSaturating(a, b, HB, 8);
  }

  public static long psubsw(long a, long b) {
    return subtractSignedSaturating(a, b, HW, 16);
  }

  public static long psubusb(long a, long b) {
    return subtractUnsignedSaturating(a, b, HB, 8);
  }

  public static long psubusw(long a, long b) {
    return subtractUnsignedSaturating(a, b, HW, 16);
  }

  // Comparison.

  public static long pcmpeqb(long a, long b) {
    return equal(a, b, HB, 8);
  }

  public static long pcmpeqw(long a, long b) {
    return equal(a, b, HW, 16);
  }

  public static long pcmpeqd(long a, long b) {
    return equal(a, b, HD, 32);
  }

  public static long pcmpeqq(long a, long b) {
    return a == b ? -1 : 0;
  }

  public static long pcmpgtb(long a, long b) {
    return below(b ^ HB, a ^ HB, HB, 8);
  }

  public static long pcmpgtw(long a, long b) {
    return below(b ^ HW, a ^ HW, HW, 16);
  }

  public static long pcmpgtd(long a, long b) {
    return below(b ^ HD, a ^ HD, HD, 32);
  }

  public static long pcmpgtq(long a, long b) {
    return a > b ? -1 : 0;
  }

  // Minimum and maximum.

  public static long pminub(long a, long b) {
    return select(below(a, b, HB, 8), a, b);
  }

  public static long pmaxub(long a, long b) {
    return select(below(a, b, HB, 8), b, a);
  }

  public static long pminsb(long a, long b) {
    return select(pcmpgtb(b, a), a, b);
  }

  public static long pmaxsb(long a, long b) {
    return select(pcmpgtb(b, a), b, a);
  }

  public static long pminuw(long a, long b) {
    return select(below(a, b, HW, 16), a, b);
  }

  public static long pmaxuw(long a, long b) {
    return select(below(a, b, HW, 16), b, a);
  }

  public static long pminsw(long a, long b) {
    return select(pcmpgtw(b, a), a, b);
  }

  public static long pmaxsw(long a, long b) {
    return select(pcmpgtw(b, a), b, a);
  }

  public static long pminud(long a, long b) {
    return select(below(a, b, HD, 32), a, b);
  }

  public static long pmaxud(long a, long b) {
    return select(below(a, b, HD, 32), b, a);
  }

  public static long pminsd(long a, long b) {
    return select(pcmpgtd(b, a), a, b);
  }

  public static long pmaxsd(long a, long b) {
    return select(pcmpgtd(b, a), b, a);
  }

  // Averages, absolute values, signs.

  public static long pavgb(long a, long b) {
    return (a | b) - (((a ^ b) & 0xfefe_fefe_fefe_fefeL) >>> 1);
  }

  public static long pavgw(long a, long b) {
    return (a | b) - (((a ^ b) & 0xfffe_fffe_fffe_fffeL) >>> 1);
  }

  /** Sum of the absolute differences of eight unsigned bytes: 0 to 2040. */
  public static long psadbw(long a, long b) {
    long d = subtractUnsignedSaturating(a, b, HB, 8) | subtractUnsignedSaturating(b, a, HB, 8);
    return ((d & EVEN_BYTES) + (d >>> 8 & EVEN_BYTES)) * 0x0001_0001_0001_0001L >>> 48;
  }

  public static long pabsb(long a) {
    long negative = spread(a & HB, 8);
    return subtract(a ^ negative, negative, HB);
  }

  public static long pabsw(long a) {
    long negative = spread(a & HW, 16);
    return subtract(a ^ negative, negative, HW);
  }

  public static long pabsd(long a) {
    long negative = spread(a & HD, 32);
    return subtract(a ^ negative, negative, HD);
  }

  public static long psignb(long a, long b) {
    long negative = spread(b & HB, 8);
    return subtract(a ^ negative, negative, HB) & ~equal(b, 0, HB, 8);
  }

  public static long psignw(long a, long b) {
    long negative = spread(b & HW, 16);
    return subtract(a ^ negative, negative, HW) & ~equal(b, 0, HW, 16);
  }

  public static long psignd(long a, long b) {
    long negative = spread(b & HD, 32);
    return subtract(a ^ negative, negative, HD) & ~equal(b, 0, HD, 32);
  }

  // Multiplication.

  public static long pmullw(long a, long b) {
    return (long) ((short) a * (short) b) & 0xffffL
        | ((long) ((short) (a >> 16) * (short) (b >> 16)) & 0xffffL) << 16
        | ((long) ((short) (a >> 32) * (short) (b >> 32)) & 0xffffL) << 32
        | (a >> 48) * (b >> 48) << 48;
  }

  public static long pmulhw(long a, long b) {
    return (long) ((short) a * (short) b) >>> 16 & 0xffffL
        | (long) ((short) (a >> 16) * (short) (b >> 16)) & 0xffff_0000L
        | ((long) ((short) (a >> 32) * (short) (b >> 32)) & 0xffff_0000L) << 16
        | ((a >> 48) * (b >> 48) & 0xffff_0000L) << 32;
  }

  public static long pmulhuw(long a, long b) {
    return (a & 0xffff) * (b & 0xffff) >>> 16
        | (a >>> 16 & 0xffff) * (b >>> 16 & 0xffff) & 0xffff_0000L
        | ((a >>> 32 & 0xffff) * (b >>> 32 & 0xffff) & 0xffff_0000L) << 16
        | ((a >>> 48) * (b >>> 48) & 0xffff_0000L) << 32;
  }

  public static long pmulhrsw(long a, long b) {
    long r0 = ((long) ((short) a * (short) b) >> 14) + 1 >> 1;
    long r1 = ((long) ((short) (a >> 16) * (short) (b >> 16)) >> 14) + 1 >> 1;
    long r2 = ((long) ((short) (a >> 32) * (short) (b >> 32)) >> 14) + 1 >> 1;
    long r3 = ((a >> 48) * (b >> 48) >> 14) + 1 >> 1;
    return r0 & 0xffff | (r1 & 0xffff) << 16 | (r2 & 0xffff) << 32 | r3 << 48;
  }

  public static long pmulld(long a, long b) {
    return a * b & 0xffff_ffffL | (a >> 32) * (b >> 32) << 32;
  }

  public static long pmuludq(long a, long b) {
    return (a & 0xffff_ffffL) * (b & 0xffff_ffffL);
  }

  public static long pmuldq(long a, long b) {
    return (long) (int) a * (int) b;
  }

  public static long pmaddwd(long a, long b) {
    int low = (short) a * (short) b + (short) (a >> 16) * (short) (b >> 16);
    int high = (short) (a >> 32) * (short) (b >> 32) + (int) (a >> 48) * (int) (b >> 48);
    return low & 0xffff_ffffL | (long) high << 32;
  }

  /** Bytes of a are unsigned, of b signed. */
  public static long pmaddubsw(long a, long b) {
    long result = 0;
    for (int i = 0; i < 64; i += 16) {
      int x = (int) (a >>> i);
      int y = (int) (b >>> i);
      int sum = (x & 0xff) * (byte) y + (x >>> 8 & 0xff) * (byte) (y >> 8);
      result |= (saturateToInt16(sum) & 0xffffL) << i;
    }
    return result;
  }

  // Shifts. A count at or above the lane's width (unsigned, 64 bits of it) shifts everything out.

  public static long psllw(long a, long count) {
    if ((count & ~15L) != 0) {
      return 0;
    }
    return a << count & (0xffffL << count & 0xffffL) * 0x0001_0001_0001_0001L;
  }

  public static long pslld(long a, long count) {
    if ((count & ~31L) != 0) {
      return 0;
    }
    return a << count & (0xffff_ffffL << count & 0xffff_ffffL) * 0x0000_0001_0000_0001L;
  }

  public static long psllq(long a, long count) {
    return (count & ~63L) != 0 ? 0 : a << count;
  }

  public static long psrlw(long a, long count) {
    if ((count & ~15L) != 0) {
      return 0;
    }
    return a >>> count & (0xffffL >>> count) * 0x0001_0001_0001_0001L;
  }

  public static long psrld(long a, long count) {
    if ((count & ~31L) != 0) {
      return 0;
    }
    return a >>> count & (0xffff_ffffL >>> count) * 0x0000_0001_0000_0001L;
  }

  public static long psrlq(long a, long count) {
    return (count & ~63L) != 0 ? 0 : a >>> count;
  }

  public static long psraw(long a, long count) {
    int n = (count & ~15L) != 0 ? 15 : (int) count;
    return (short) a >> n & 0xffffL
        | ((short) (a >> 16) >> n & 0xffffL) << 16
        | ((short) (a >> 32) >> n & 0xffffL) << 32
        | a >> 48 >> n << 48;
  }

  public static long psrad(long a, long count) {
    int n = (count & ~31L) != 0 ? 31 : (int) count;
    return (int) a >> n & 0xffff_ffffL | a >> 32 >> n << 32;
  }

  // Horizontal. For 128 bits: low half from (a.low, a.high), high half from (b.low, b.high).

  public static long phaddw(long a, long b) {
    return paddw(evenWords(a, b), oddWords(a, b));
  }

  public static long phaddd(long a, long b) {
    return paddd(punpckldq(a, b), punpckhdq(a, b));
  }

  public static long phaddsw(long a, long b) {
    return paddsw(evenWords(a, b), oddWords(a, b));
  }

  public static long phsubw(long a, long b) {
    return psubw(evenWords(a, b), oddWords(a, b));
  }

  public static long phsubd(long a, long b) {
    return psubd(punpckldq(a, b), punpckhdq(a, b));
  }

  public static long phsubsw(long a, long b) {
    return psubsw(evenWords(a, b), oddWords(a, b));
  }

  private static long evenWords(long a, long b) {
    return gatherWords(a) | gatherWords(b) << 32;
  }

  private static long oddWords(long a, long b) {
    return gatherWords(a >>> 16) | gatherWords(b >>> 16) << 32;
  }

  /** Words 0 and 2, side by side in the low half; the high half is zero. */
  private static long gatherWords(long a) {
    return a & 0xffff | a >>> 16 & 0xffff_0000L;
  }

  // Packing. For 128 bits: low half from (a.low, a.high), high half from (b.low, b.high).

  public static long packsswb(long a, long b) {
    long result = 0;
    for (int i = 0; i < 4; i++) {
      result |= (saturateToInt8((short) (a >> 16 * i)) & 0xffL) << 8 * i;
      result |= (saturateToInt8((short) (b >> 16 * i)) & 0xffL) << 8 * i + 32;
    }
    return result;
  }

  public static long packuswb(long a, long b) {
    return packToUnsignedBytes(a) | packToUnsignedBytes(b) << 32;
  }

  private static long packToUnsignedBytes(long a) {
    a &= ~spread(a & HW, 16);
    long large = (a & 0x7f00_7f00_7f00_7f00L) + 0x7f00_7f00_7f00_7f00L & HW;
    a = (a | spread(large, 16)) & EVEN_BYTES;
    a = (a | a >>> 8) & EVEN_WORDS;
    return (a | a >>> 16) & 0xffff_ffffL;
  }

  public static long packssdw(long a, long b) {
    return saturateToInt16((int) a) & 0xffffL
        | (saturateToInt16((int) (a >> 32)) & 0xffffL) << 16
        | (saturateToInt16((int) b) & 0xffffL) << 32
        | (long) saturateToInt16((int) (b >> 32)) << 48;
  }

  public static long packusdw(long a, long b) {
    return saturateToUnsigned16((int) a)
        | saturateToUnsigned16((int) (a >> 32)) << 16
        | saturateToUnsigned16((int) b) << 32
        | saturateToUnsigned16((int) (b >> 32)) << 48;
  }

  private static int saturateToInt8(int value) {
    return Math.max(-0x80, Math.min(0x7f, value));
  }

  private static int saturateToInt16(int value) {
    return Math.max(-0x8000, Math.min(0x7fff, value));
  }

  private static long saturateToUnsigned16(int value) {
    return Math.max(0, Math.min(0xffff, value));
  }

  // Unpacking. For 128 bits, PUNPCKL is (punpckl(a.low, b.low), punpckh(a.low, b.low)), PUNPCKH the
  // same of the high halves.

  public static long punpcklbw(long a, long b) {
    return widenBytes(a) | widenBytes(b) << 8;
  }

  public static long punpckhbw(long a, long b) {
    return widenBytes(a >>> 32) | widenBytes(b >>> 32) << 8;
  }

  public static long punpcklwd(long a, long b) {
    return widenWords(a) | widenWords(b) << 16;
  }

  public static long punpckhwd(long a, long b) {
    return widenWords(a >>> 32) | widenWords(b >>> 32) << 16;
  }

  public static long punpckldq(long a, long b) {
    return a & 0xffff_ffffL | b << 32;
  }

  public static long punpckhdq(long a, long b) {
    return a >>> 32 | b & 0xffff_ffff_0000_0000L;
  }

  /** The low four bytes, zero-extended to words: PMOVZXBW of a half. */
  public static long widenBytes(long a) {
    a &= 0xffff_ffffL;
    a = (a | a << 16) & EVEN_WORDS;
    return (a | a << 8) & EVEN_BYTES;
  }

  /** The low two words, zero-extended to doublewords: PMOVZXWD of a half. */
  public static long widenWords(long a) {
    a &= 0xffff_ffffL;
    return (a | a << 16) & EVEN_WORDS;
  }

  // Shuffling and moving.

  /** The 64-bit form: bits 0 to 2 of each mask byte choose a byte of a, bit 7 clears. */
  public static long pshufb(long a, long mask) {
    long result = 0;
    for (int i = 0; i < 64; i += 8) {
      long m = mask >>> i;
      if ((m & 0x80) == 0) {
        result |= (a >>> ((m & 7) << 3) & 0xff) << i;
      }
    }
    return result;
  }

  /**
   * One half of the 128-bit form: bits 0 to 3 of each mask byte choose a byte of (low, high), bit 7
   * clears.
   */
  public static long pshufb(long low, long high, long mask) {
    long result = 0;
    for (int i = 0; i < 64; i += 8) {
      long m = mask >>> i;
      if ((m & 0x80) == 0) {
        long half = (m & 8) == 0 ? low : high;
        result |= (half >>> ((m & 7) << 3) & 0xff) << i;
      }
    }
    return result;
  }

  /** PSHUFW, and one half of PSHUFLW and PSHUFHW: each two bits of the order choose a word. */
  public static long pshufw(long a, int order) {
    return a >>> ((order & 3) << 4) & 0xffff
        | (a >>> ((order >> 2 & 3) << 4) & 0xffff) << 16
        | (a >>> ((order >> 4 & 3) << 4) & 0xffff) << 32
        | a >>> ((order >> 6 & 3) << 4) << 48;
  }

  /**
   * The 64-bit form: bytes {@code shift} to {@code shift + 7} of a:b, zeros above it; shift is 0 to
   * 255.
   */
  public static long palignr(long a, long b, int shift) {
    if (shift >= 16) {
      return 0;
    }
    if (shift >= 8) {
      return a >>> (shift - 8 << 3);
    }
    return shift == 0 ? b : b >>> (shift << 3) | a << (8 - shift << 3);
  }

  /** Highest bits of the eight bytes, as an int of 8 bits. */
  public static int pmovmskb(long a) {
    return (int) ((a & HB) * 0x0002_0408_1020_4081L >>> 56);
  }

  /**
   * Where a mask byte's highest bit is set the byte of a, elsewhere of {@code old}: MASKMOVQ,
   * PBLENDVB.
   */
  public static long blendBytes(long old, long a, long mask) {
    return select(spread(mask & HB, 8), a, old);
  }
}
