package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.putShort;

/** Random operands, most of them near the corners where mistakes live. */
final class Values {
  private static final int[] FLOATS = {
    0x0000_0000, 0x8000_0000, 0x0000_0001, 0x8000_0001, 0x007f_ffff, 0x807f_ffff, 0x0080_0000,
    0x8080_0000, 0x3f80_0000, 0xbf80_0000, 0x7f7f_ffff, 0xff7f_ffff, 0x7f80_0000, 0xff80_0000,
    0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xff80_0001, 0x7fff_ffff, 0x7fbf_ffff, 0x4f00_0000,
    0xcf00_0000, 0x4eff_ffff, 0x5f00_0000, 0xdf00_0000, 0x3f00_0000, 0x3eff_ffff, 0x3f80_0001,
    0x4b00_0000, 0x4b00_0001, 0x4b7f_ffff, 0x3fc0_0000, 0x4020_0000, 0xbfc0_0000
  };
  private static final long[] DOUBLES = {
    0L,
    1L << 63,
    1L,
    1L << 63 | 1,
    0x000f_ffff_ffff_ffffL,
    0x0010_0000_0000_0000L,
    0x8010_0000_0000_0000L,
    0x3ff0_0000_0000_0000L,
    0xbff0_0000_0000_0000L,
    0x7fef_ffff_ffff_ffffL,
    0xffef_ffff_ffff_ffffL,
    0x7ff0_0000_0000_0000L,
    0xfff0_0000_0000_0000L,
    0x7ff8_0000_0000_0000L,
    0xfff8_0000_0000_0000L,
    0x7ff0_0000_0000_0001L,
    0xfff4_0000_0000_0000L,
    0x41df_ffff_ffc0_0000L,
    0x41e0_0000_0000_0000L,
    0xc1e0_0000_0000_0000L,
    0xc1e0_0000_0020_0000L,
    0x43e0_0000_0000_0000L,
    0xc3e0_0000_0000_0000L,
    0x3fe0_0000_0000_0000L,
    0x3fdf_ffff_ffff_ffffL,
    0x3ff8_0000_0000_0000L,
    0x4330_0000_0000_0001L,
    0x4340_0000_0000_0000L,
    0x36a0_0000_0000_0000L,
    0x380f_ffff_ffff_ffffL,
    0x3810_0000_0000_0000L,
    0x47ef_ffff_f000_0000L
  };
  private static final int[] EXPONENTS = {
    0, 0, 1, 2, 0x3fff, 0x3fff, 0x3ffe, 0x4000, 0x403e, 0x403d, 0x403f, 0x401e, 0x400e, 0x3f81,
    0x3f6a, 0x3c01, 0x3bcd, 0x43fe, 0x407e, 0x407f, 0x43ff, 0x7ffe, 0x7ffd, 0x7fff, 0x7fff, 0x7fff
  };
  private static final long[] SIGNIFICANDS = {
    0,
    1L << 63,
    1L << 63 | 1,
    -1L,
    0xc000_0000_0000_0000L,
    0xbfff_ffff_ffff_ffffL,
    0x7fff_ffff_ffff_ffffL,
    1,
    0x8000_0080_0000_0000L,
    0x8000_0000_0000_0400L,
    0x8000_0000_0000_0800L,
    0xffff_ff00_0000_0000L,
    0xffff_ffff_ffff_f800L,
    0x4000_0000_0000_0000L,
    0xc90f_daa2_2168_c235L
  };

  private Values() {}

  /** An integer of up to 64 bits. */
  static long integer(Dice dice) {
    long random = dice.next();
    return switch (dice.below(16)) {
      case 0 -> 0;
      case 1 -> 1;
      case 2 -> -1;
      case 3 -> 1L << (random & 63);
      case 4 -> (1L << (random & 63)) - 1;
      case 5 -> -(1L << (random & 63));
      case 6 -> random & 0xff;
      case 7 -> (byte) random;
      case 8 -> (short) random;
      case 9 -> (int) random;
      case 10 -> random & 0xffff_ffffL;
      case 11 -> 0x8000_0000_8000_8080L;
      case 12 -> 0x7fff_ffff_7fff_7f7fL;
      default -> random;
    };
  }

  static int singleFloat(Dice dice) {
    long random = dice.next();
    return switch (dice.below(8)) {
      case 0, 1, 2 -> FLOATS[dice.below(FLOATS.length)];
      case 3 -> (int) random;
      case 4 -> Float.floatToRawIntBits((int) random >> (random >>> 59));
      case 5 -> Float.floatToRawIntBits((float) (random % 4096) / 8);
      case 6 -> (int) (random & 0x8000_ffff) | 120 + dice.below(16) << 23;
      default -> (int) (random & 0x807f_ffff) | 120 + dice.below(16) << 23;
    };
  }

  static long doubleFloat(Dice dice) {
    long random = dice.next();
    return switch (dice.below(8)) {
      case 0, 1, 2 -> DOUBLES[dice.below(DOUBLES.length)];
      case 3 -> random;
      case 4 -> Double.doubleToRawLongBits(random >> (random >>> 58));
      case 5 -> Double.doubleToRawLongBits((double) (random % 4096) / 8);
      case 6 -> Double.doubleToRawLongBits(Float.intBitsToFloat(singleFloat(dice)));
      default -> random & 0x800f_ffff_ffff_ffffL | 1016L + dice.below(16) << 52;
    };
  }

  /** An x87 register at {@code address}: 10 bytes and 6 of zero. */
  static void extendedFloat(Dice dice, long address) {
    long random = dice.next();
    long significand;
    int exponent;
    switch (dice.below(8)) {
      case 0, 1, 2 -> {
        significand = SIGNIFICANDS[dice.below(SIGNIFICANDS.length)];
        exponent = EXPONENTS[dice.below(EXPONENTS.length)];
      }
      case 3 -> {
        significand = random;
        exponent = (int) dice.next() & 0x7fff;
      }
      case 4 -> {
        significand = random | 1L << 63;
        exponent = 0x3fff - 70 + dice.below(140);
      }
      case 5 -> {
        int shift = dice.below(63);
        significand = (random | 1L << 63) >>> shift << shift;
        exponent = 0x3fff + dice.below(66);
      }
      default -> {
        significand = random | 1L << 63;
        exponent = 0x3fff - 2 + dice.below(4);
      }
    }
    putLong(address, significand);
    putShort(address + 8, (short) (exponent | (dice.next() & 0x8000)));
    putShort(address + 10, (short) 0);
    putInt(address + 12, 0);
  }

  /** 16 bytes of vector at {@code address}. */
  static void vector(Dice dice, long address) {
    switch (dice.below(8)) {
      case 0, 1, 2 -> {
        for (int i = 0; i < 16; i += 4) {
          putInt(address + i, singleFloat(dice));
        }
      }
      case 3, 4, 5 -> {
        putLong(address, doubleFloat(dice));
        putLong(address + 8, doubleFloat(dice));
      }
      case 6 -> {
        putLong(address, integer(dice));
        putLong(address + 8, integer(dice));
      }
      default -> {
        putLong(address, dice.next());
        putLong(address + 8, dice.next());
      }
    }
  }

  /** A packed decimal of 10 bytes, mostly a valid one. */
  static void decimal(Dice dice, long address) {
    for (int i = 0; i < 9; i++) {
      putByte(address + i, (byte) (dice.below(10) << 4 | dice.below(10)));
    }
    putByte(address + 9, (byte) (dice.next() & (dice.chance(90) ? 0x80 : 0xff)));
    if (dice.chance(10)) {
      putByte(address + dice.below(9), (byte) dice.next());
    }
  }
}
