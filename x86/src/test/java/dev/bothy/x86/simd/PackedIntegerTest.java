package dev.bothy.x86.simd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.util.SplittableRandom;
import java.util.function.LongBinaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Each packed operation against a loop over its lanes. */
final class PackedIntegerTest {
  private static final int ROUNDS = 20_000;
  private static final long[] CORNERS = {
    0,
    -1,
    0x8000_8000_8000_8000L,
    0x7fff_7fff_7fff_7fffL,
    0x8080_8080_8080_8080L,
    0x7f7f_7f7f_7f7f_7f7fL,
    0x0001_ff80_7f00_00ffL,
    0x8000_0000_7fff_ffffL,
    0x8000_0000_0000_0000L
  };

  /** A function of two lanes, sign-extended; only the low bits of the result count. */
  private interface Lane {
    long apply(long a, long b);
  }

  private record Case(String name, LongBinaryOperator actual, LongBinaryOperator expected) {}

  private static Case lanes(String name, int width, LongBinaryOperator actual, Lane lane) {
    return new Case(
        name,
        actual,
        (a, b) -> {
          long result = 0;
          for (int i = 0; i < 64; i += width) {
            int up = 64 - width;
            long r = lane.apply(a << up - i >> up, b << up - i >> up);
            result |= r << up >>> up << i;
          }
          return result;
        });
  }

  private static long clamp(long v, long min, long max) {
    return Math.max(min, Math.min(max, v));
  }

  private static long mask(boolean b) {
    return b ? -1 : 0;
  }

  private static long word(long a, int i) {
    return (short) (a >> 16 * i);
  }

  private static long join(int width, long... lanes) {
    long result = 0;
    for (int i = 0; i < lanes.length; i++) {
      result |= lanes[i] << 64 - width >>> 64 - width << i * width;
    }
    return result;
  }

  private static Stream<Case> cases() {
    return Stream.of(
        lanes("paddb", 8, PackedInteger::paddb, Long::sum),
        lanes("paddw", 16, PackedInteger::paddw, Long::sum),
        lanes("paddd", 32, PackedInteger::paddd, Long::sum),
        lanes("paddq", 64, PackedInteger::paddq, Long::sum),
        lanes("psubb", 8, PackedInteger::psubb, (a, b) -> a - b),
        lanes("psubw", 16, PackedInteger::psubw, (a, b) -> a - b),
        lanes("psubd", 32, PackedInteger::psubd, (a, b) -> a - b),
        lanes("psubq", 64, PackedInteger::psubq, (a, b) -> a - b),
        lanes("paddsb", 8, PackedInteger::paddsb, (a, b) -> clamp(a + b, -128, 127)),
        lanes("paddsw", 16, PackedInteger::paddsw, (a, b) -> clamp(a + b, -32768, 32767)),
        lanes("paddusb", 8, PackedInteger::paddusb, (a, b) -> clamp((a & 255) + (b & 255), 0, 255)),
        lanes(
            "paddusw",
            16,
            PackedInteger::paddusw,
            (a, b) -> clamp((a & 0xffff) + (b & 0xffff), 0, 0xffff)),
        lanes("psubsb", 8, PackedInteger::psubsb, (a, b) -> clamp(a - b, -128, 127)),
        lanes("psubsw", 16, PackedInteger::psubsw, (a, b) -> clamp(a - b, -32768, 32767)),
        lanes("psubusb", 8, PackedInteger::psubusb, (a, b) -> clamp((a & 255) - (b & 255), 0, 255)),
        lanes(
            "psubusw",
            16,
            PackedInteger::psubusw,
            (a, b) -> clamp((a & 0xffff) - (b & 0xffff), 0, 0xffff)),
        lanes("pcmpeqb", 8, PackedInteger::pcmpeqb, (a, b) -> mask(a == b)),
        lanes("pcmpeqw", 16, PackedInteger::pcmpeqw, (a, b) -> mask(a == b)),
        lanes("pcmpeqd", 32, PackedInteger::pcmpeqd, (a, b) -> mask(a == b)),
        lanes("pcmpeqq", 64, PackedInteger::pcmpeqq, (a, b) -> mask(a == b)),
        lanes("pcmpgtb", 8, PackedInteger::pcmpgtb, (a, b) -> mask(a > b)),
        lanes("pcmpgtw", 16, PackedInteger::pcmpgtw, (a, b) -> mask(a > b)),
        lanes("pcmpgtd", 32, PackedInteger::pcmpgtd, (a, b) -> mask(a > b)),
        lanes("pcmpgtq", 64, PackedInteger::pcmpgtq, (a, b) -> mask(a > b)),
        lanes("pminub", 8, PackedInteger::pminub, (a, b) -> Math.min(a & 255, b & 255)),
        lanes("pmaxub", 8, PackedInteger::pmaxub, (a, b) -> Math.max(a & 255, b & 255)),
        lanes("pminsb", 8, PackedInteger::pminsb, Math::min),
        lanes("pmaxsb", 8, PackedInteger::pmaxsb, Math::max),
        lanes("pminuw", 16, PackedInteger::pminuw, (a, b) -> Math.min(a & 0xffff, b & 0xffff)),
        lanes("pmaxuw", 16, PackedInteger::pmaxuw, (a, b) -> Math.max(a & 0xffff, b & 0xffff)),
        lanes("pminsw", 16, PackedInteger::pminsw, Math::min),
        lanes("pmaxsw", 16, PackedInteger::pmaxsw, Math::max),
        lanes(
            "pminud",
            32,
            PackedInteger::pminud,
            (a, b) -> Math.min(a & 0xffff_ffffL, b & 0xffff_ffffL)),
        lanes(
            "pmaxud",
            32,
            PackedInteger::pmaxud,
            (a, b) -> Math.max(a & 0xffff_ffffL, b & 0xffff_ffffL)),
        lanes("pminsd", 32, PackedInteger::pminsd, Math::min),
        lanes("pmaxsd", 32, PackedInteger::pmaxsd, Math::max),
        lanes("pavgb", 8, PackedInteger::pavgb, (a, b) -> (a & 255) + (b & 255) + 1 >> 1),
        lanes("pavgw", 16, PackedInteger::pavgw, (a, b) -> (a & 0xffff) + (b & 0xffff) + 1 >> 1),
        lanes("pabsb", 8, (a, b) -> PackedInteger.pabsb(a), (a, b) -> Math.abs(a)),
        lanes("pabsw", 16, (a, b) -> PackedInteger.pabsw(a), (a, b) -> Math.abs(a)),
        lanes("pabsd", 32, (a, b) -> PackedInteger.pabsd(a), (a, b) -> Math.abs(a)),
        lanes("psignb", 8, PackedInteger::psignb, (a, b) -> a * Long.signum(b)),
        lanes("psignw", 16, PackedInteger::psignw, (a, b) -> a * Long.signum(b)),
        lanes("psignd", 32, PackedInteger::psignd, (a, b) -> a * Long.signum(b)),
        lanes("pmullw", 16, PackedInteger::pmullw, (a, b) -> a * b),
        lanes("pmulhw", 16, PackedInteger::pmulhw, (a, b) -> a * b >> 16),
        lanes("pmulhuw", 16, PackedInteger::pmulhuw, (a, b) -> (a & 0xffff) * (b & 0xffff) >> 16),
        lanes("pmulhrsw", 16, PackedInteger::pmulhrsw, (a, b) -> (a * b >> 14) + 1 >> 1),
        lanes("pmulld", 32, PackedInteger::pmulld, (a, b) -> a * b),
        lanes(
            "pmuludq",
            64,
            PackedInteger::pmuludq,
            (a, b) -> (a & 0xffff_ffffL) * (b & 0xffff_ffffL)),
        lanes("pmuldq", 64, PackedInteger::pmuldq, (a, b) -> (long) (int) a * (int) b),
        lanes("pmaddwd", 32, PackedInteger::pmaddwd, (a, b) -> products(a, b)),
        lanes(
            "pmaddubsw",
            16,
            PackedInteger::pmaddubsw,
            (a, b) ->
                clamp((a & 255) * (byte) b + (a >> 8 & 255) * (byte) (b >> 8), -32768, 32767)),
        new Case(
            "psadbw",
            PackedInteger::psadbw,
            (a, b) -> {
              long sum = 0;
              for (int i = 0; i < 64; i += 8) {
                sum += Math.abs((a >> i & 255) - (b >> i & 255));
              }
              return sum;
            }),
        new Case(
            "phaddw",
            PackedInteger::phaddw,
            (a, b) ->
                join(
                    16,
                    word(a, 0) + word(a, 1),
                    word(a, 2) + word(a, 3),
                    word(b, 0) + word(b, 1),
                    word(b, 2) + word(b, 3))),
        new Case(
            "phsubsw",
            PackedInteger::phsubsw,
            (a, b) ->
                join(
                    16,
                    clamp(word(a, 0) - word(a, 1), -32768, 32767),
                    clamp(word(a, 2) - word(a, 3), -32768, 32767),
                    clamp(word(b, 0) - word(b, 1), -32768, 32767),
                    clamp(word(b, 2) - word(b, 3), -32768, 32767))),
        new Case(
            "phaddsw",
            PackedInteger::phaddsw,
            (a, b) ->
                join(
                    16,
                    clamp(word(a, 0) + word(a, 1), -32768, 32767),
                    clamp(word(a, 2) + word(a, 3), -32768, 32767),
                    clamp(word(b, 0) + word(b, 1), -32768, 32767),
                    clamp(word(b, 2) + word(b, 3), -32768, 32767))),
        new Case(
            "phsubw",
            PackedInteger::phsubw,
            (a, b) ->
                join(
                    16,
                    word(a, 0) - word(a, 1),
                    word(a, 2) - word(a, 3),
                    word(b, 0) - word(b, 1),
                    word(b, 2) - word(b, 3))),
        new Case(
            "phaddd",
            PackedInteger::phaddd,
            (a, b) -> join(32, (int) a + (int) (a >> 32), (int) b + (int) (b >> 32))),
        new Case(
            "phsubd",
            PackedInteger::phsubd,
            (a, b) -> join(32, (int) a - (int) (a >> 32), (int) b - (int) (b >> 32))),
        new Case("packsswb", PackedInteger::packsswb, (a, b) -> pack(a, b, 16, -128, 127)),
        new Case("packuswb", PackedInteger::packuswb, (a, b) -> pack(a, b, 16, 0, 255)),
        new Case("packssdw", PackedInteger::packssdw, (a, b) -> pack(a, b, 32, -32768, 32767)),
        new Case("packusdw", PackedInteger::packusdw, (a, b) -> pack(a, b, 32, 0, 65535)),
        new Case("punpcklbw", PackedInteger::punpcklbw, (a, b) -> unpack(a, b, 8, 0)),
        new Case("punpckhbw", PackedInteger::punpckhbw, (a, b) -> unpack(a, b, 8, 32)),
        new Case("punpcklwd", PackedInteger::punpcklwd, (a, b) -> unpack(a, b, 16, 0)),
        new Case("punpckhwd", PackedInteger::punpckhwd, (a, b) -> unpack(a, b, 16, 32)),
        new Case("punpckldq", PackedInteger::punpckldq, (a, b) -> unpack(a, b, 32, 0)),
        new Case("punpckhdq", PackedInteger::punpckhdq, (a, b) -> unpack(a, b, 32, 32)),
        new Case("pshufb", PackedInteger::pshufb, (a, b) -> shuffle(a, a, b)),
        new Case(
            "pshufb of 128 bits",
            (a, b) -> PackedInteger.pshufb(a, b, a ^ b),
            (a, b) -> shuffle(a, b, a ^ b)),
        new Case(
            "pshufw",
            (a, b) -> PackedInteger.pshufw(a, (int) b & 255),
            (a, b) ->
                join(
                    16,
                    word(a, (int) b & 3),
                    word(a, (int) b >> 2 & 3),
                    word(a, (int) b >> 4 & 3),
                    word(a, (int) b >> 6 & 3))),
        new Case(
            "pmovmskb",
            (a, b) -> PackedInteger.pmovmskb(a),
            (a, b) -> {
              long m = 0;
              for (int i = 0; i < 8; i++) {
                m |= (a >>> 8 * i + 7 & 1) << i;
              }
              return m;
            }),
        lanes(
            "blendBytes",
            8,
            (a, b) -> PackedInteger.blendBytes(a, b, PackedInteger.psubb(a, b)),
            (a, b) -> (byte) (a - b) < 0 ? b : a));
  }

  private static long products(long a, long b) {
    return word(a, 0) * word(b, 0) + word(a, 1) * word(b, 1);
  }

  private static long pack(long a, long b, int width, long min, long max) {
    long result = 0;
    for (int i = 0; i < 64; i += width) {
      long mask = (1L << width / 2) - 1;
      result |= (clamp(a << 64 - width - i >> 64 - width, min, max) & mask) << i / 2;
      result |= (clamp(b << 64 - width - i >> 64 - width, min, max) & mask) << i / 2 + 32;
    }
    return result;
  }

  private static long unpack(long a, long b, int width, int from) {
    long result = 0;
    long mask = (1L << width) - 1;
    for (int i = 0; i < 32; i += width) {
      result |= (a >>> from + i & mask) << 2 * i;
      result |= (b >>> from + i & mask) << 2 * i + width;
    }
    return result;
  }

  private static long shuffle(long low, long high, long mask) {
    long result = 0;
    for (int i = 0; i < 64; i += 8) {
      int m = (int) (mask >>> i);
      long half = (m & 8) != 0 ? high : low;
      result |= (m & 0x80) != 0 ? 0 : (half >>> 8 * (m & 7) & 255) << i;
    }
    return result;
  }

  @TestFactory
  Stream<DynamicTest> computesWhatALoopOverTheLanesComputes() {
    return cases().map(c -> dynamicTest(c.name, () -> compare(c)));
  }

  @TestFactory
  Stream<DynamicTest> shiftsLanesByAnyCount() {
    return Stream.of(0L, 1L, 7L, 8L, 15L, 16L, 17L, 31L, 32L, 40L, 63L, 64L, 1L << 32, -1L)
        .flatMap(
            n -> {
              long un = n < 0 || n > 64 ? 64 : n;
              return Stream.of(
                  shift("psllw", 16, n, PackedInteger::psllw, a -> un > 15 ? 0 : a << un),
                  shift("pslld", 32, n, PackedInteger::pslld, a -> un > 31 ? 0 : a << un),
                  shift("psllq", 64, n, PackedInteger::psllq, a -> un > 63 ? 0 : a << un),
                  shift(
                      "psrlw", 16, n, PackedInteger::psrlw, a -> un > 15 ? 0 : (a & 0xffff) >> un),
                  shift(
                      "psrld",
                      32,
                      n,
                      PackedInteger::psrld,
                      a -> un > 31 ? 0 : (a & 0xffff_ffffL) >> un),
                  shift("psrlq", 64, n, PackedInteger::psrlq, a -> un > 63 ? 0 : a >>> un),
                  shift("psraw", 16, n, PackedInteger::psraw, a -> a >> Math.min(un, 63)),
                  shift("psrad", 32, n, PackedInteger::psrad, a -> a >> Math.min(un, 63)));
            })
        .map(c -> dynamicTest(c.name, () -> compare(c)));
  }

  private static Case shift(
      String name,
      int width,
      long count,
      LongBinaryOperator actual,
      java.util.function.LongUnaryOperator lane) {
    return lanes(
        name + " by " + count,
        width,
        (a, b) -> actual.applyAsLong(a, count),
        (a, b) -> lane.applyAsLong(a));
  }

  @TestFactory
  Stream<DynamicTest> alignsByAnyNumberOfBytes() {
    return java.util.stream.IntStream.range(0, 20)
        .mapToObj(
            n ->
                dynamicTest(
                    "palignr by " + n,
                    () ->
                        compare(
                            new Case(
                                "palignr",
                                (a, b) -> PackedInteger.palignr(a, b, n),
                                (a, b) -> {
                                  long r = 0;
                                  for (int i = 0; i < 8; i++) {
                                    int j = i + n;
                                    long v = j < 8 ? b >>> 8 * j : j < 16 ? a >>> 8 * (j - 8) : 0;
                                    r |= (v & 255) << 8 * i;
                                  }
                                  return r;
                                }))));
  }

  private static void compare(Case c) {
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < ROUNDS; i++) {
      long a = operand(random);
      long b = random.nextInt(8) == 0 ? a : operand(random);
      long expected = c.expected.applyAsLong(a, b);
      long actual = c.actual.applyAsLong(a, b);
      if (expected != actual) {
        assertEquals(
            Long.toHexString(expected),
            Long.toHexString(actual),
            () -> c.name + " of " + Long.toHexString(a) + ", " + Long.toHexString(b));
      }
    }
  }

  private static long operand(SplittableRandom random) {
    long a = random.nextLong();
    return switch (random.nextInt(4)) {
      case 0 -> CORNERS[random.nextInt(CORNERS.length)];
      case 1 -> a & CORNERS[random.nextInt(CORNERS.length)];
      case 2 -> select(a, random);
      default -> a;
    };
  }

  private static long select(long mask, SplittableRandom random) {
    return mask & CORNERS[random.nextInt(CORNERS.length)]
        | ~mask & CORNERS[random.nextInt(CORNERS.length)];
  }
}
