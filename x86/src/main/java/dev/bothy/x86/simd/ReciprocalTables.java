package dev.bothy.x86.simd;

/**
 * RCPPS and RSQRTPS as AMD's processors of family 19h compute them: twelve bits of the significand
 * (and the lowest exponent bit for the root) choose one of 4096 (8192) results of twelve bits. The
 * architecture bounds the relative error by 1.5 * 2**-12 and leaves the rest to the processor; the
 * tables were measured on one. Neither instruction raises exceptions or heeds MXCSR: denormal
 * operands count as zeros and denormal results become zeros.
 */
public final class ReciprocalTables {
  // Results fall from entry to entry by at most 4 (reciprocal) or 2 (roots): a character holds two
  // such steps in
  // radix 5 or four in radix 3, the first one lowest.
  private static final String RECIPROCAL =
      ";;<<<;<<>;<<<;<<=;<<<;<<>;<<<;<<<;<<<;<<=;<<<;<<=;<<<;<<<;<<<;<<<;<<<;<<<;<<<;<<"
          + "<;<<<;<<;;<<<;<<;;<<<;<<;;<<<;<<;;<<<;<<;;<<<;<<7<;7<;7<8<;7<;7<8<;7<;7<7<;7<;7<"
          + "8<;7<;7<7<;7<;7<7<;7<;7<7<;7<;7<7<;7<;7<7<;7<;7<6<;7<;7<6<;7<;7<6<;7<;7<6<;7<;7<"
          + "6<;7<;7<5<;7<;7<77;;;;;;87;;;;;;87;;;;;;87;;;;;;77;;;;;;87;;;;;;77;;;;;;77;;;;;;"
          + "77;;;;;;77;;;;;;67;;;;;;77;;;;;;67;;;;;;67;;;;;;67;;;;;;67;;;;;;7;67;67;7;67;67;"
          + "8;67;67;7;67;67;7;67;67;7;67;67;7;67;67;7;67;67;6;67;67;7;67;67;6;67;67;6;67;67;"
          + "6;67;67;6;67;67;6;67;67;5;67;67;76;6;66776;6;66776;6;66776;6;66776;6;66776;6;667"
          + "76;6;66766;6;66776;6;66766;6;66776;6;66766;6;66766;6;66766;6;66766;6;66756;6;667"
          + "6;6666766;6666767;6666766;6666766;6666766;6666766;6666766;6666766;6666765;666676"
          + "6;6666765;6666766;6666765;6666765;6666765;66667666666666766666666666666676666666"
          + "76666666666666666666666676666666666666666666666666666666666666666666666656666666"
          + "66666666666666666665666666656666766566666665666666656666666566666665666666656666"
          + "66656666666566665665666666656666566566666665666656656666666566665166656661666566"
          + "71666566616665665166656661666566616665666166656651666566616665666166656651666566"
          + "51666566616665665166656651666566656166566561665665616656656166565561665665616656"
          + "65616656656166565561665665616656556166566561665655616656556166566561665655616656"
          + "51656565616565656165656561656565616565656165656561656565516565656165656561656565"
          + "51656565616565655165656561656565516565655165656565165165651651656516516565165165"
          + "65165165651651656516516565165165651651656516516565165165551651656516516555165165"
          + "65165165651651651655165516551655165516552655165516551655165516551655165516551655"
          + "26551655165516551655165516551655065516551655165516551655165516551655116506551165"
          + "16551165165511650655116516551165065511651655116506551165165511650655116506551165"
          + "06551165165511650655116506551165111165551111655511116555111165551111655511116555"
          + "01116555111165551111655511116555111165550111655511116555111165550111655511116555"
          + "01165555111655550116555511165555011655550116555511165555011655550116555501165555"
          + "111655550116555501165555011655550116555501165555";

  private static final String ROOT_EVEN =
      "WXWXYXWXYXWXXXWXYXWXYXWXXXWXXXWXYXWXXXWXXXWXXXWXXXWXXXWXXXWXWXWXXWXWYWXWXWXWYWXW"
          + "XWXWXWXWXWXWXWXWXWXWXWXWXWXWXWXWXWXWWWXWXWXWWWXW=XWO=XWO>XWO=XWO=XWO=XWO=XWO=XWO"
          + "=XWO=XWO<XWO=XWO=XWO<XWO=XWO<XWO=OOO=OOO>OOO=OOO=OOO=OOO=OOO=OOO=OOO=OOO<OOO=OOO"
          + "=OOO<OOO=OOO<OOOVW<OUW<OUW<OVW<OUW<OUW<OUW<OUW<OUW<OUW<OUW<OUW<OUW<OUW<OTW<OUW<O"
          + "OUNUNUNUOUNUNUNUOUNUNUNUOUNUNUNUNUNUNUNUOUNUNUNUNUNUNUNUNUNUNUNUTN<OUN<OUN<OUN<O"
          + "UN<OTN<OUN<OUN<OTN<OUN<OTN<OUN<OTN<OUN<OTN<OTN<O:UN<:UN<:UN<;UN<:UN<:UN<:UN<:UN<"
          + ":UN<:UN<:UN<:UN<:UN<9UN<:UN<:UN<NNNNONNNONNNNNNNONNNNNNNONNNNNNNONNNNNNNONNNNNNN"
          + "NNNNONNNNNNNNNNN::::::::::::::::::::::::::::::::::::::::::::::::::::9:::::::::::"
          + "::NN::NN9:NN::NN::NN9:NN::NN9:NN::NN9:NN::NN9:NN::NN9:NN9:NN::NNN9:LN9:LN9:LN9:L"
          + "O9:LN9:LN9:LN9:LN9:LN9:LN9:LN9:LN9:LN9:LN9:LN9:L:N9::N9::N9:9N9::N9::N9::N9::N9:"
          + "9N9::N9::N9:9N9::N9::N9:9N9::N9:9L3L:L3L9L3L:L3L9L3L:L3L9L3L:L3L9L3L9L3L:L3L9L3L"
          + "9L3L:L3L9L3L9L3L:N9L9N9L9N9L9N9L9N9L9N9L9N9L:N9L9N9L9N9L9N9L9N9L9N9L9N9L9N9L9N9L"
          + "K9L9L9L9L9L9L9L9L9L9K9L9L9L9L9L9L9L9L9L9K9L9L9L9L9L9L9L9K9L9L9L9";

  private static final String ROOT_ODD =
      "NU<OOU<OOU<OPU<OOU<ONU<OOU<OOU<OOU<OOU<ONU<OOU<OOU<ONU<OOU<ONU<OUNU<UNU<UNU<VNU<"
          + "UNU<UNU<UNU<UNU<UNU<TNU<UNU<UNU<UNU<TNU<UNU<TNU<UN<:VN<:UN<:UN<:VN<:UN<:UN<:UN<:"
          + "UN<:UN<:UN<:UN<:UN<:UN<:UN<:UN<:UNNNTNNNUNNNUNNNTNNNUNNNTNNNUNNNTNNNTNNNUNNNTNNN"
          + "TNNNUNNNTNNNTNNN9:::::::::::::::::::::::::::::::::::::::9:::::::::::9:::::::9:::"
          + "4::L3::L4::L3::L4::L3::L3::L4::L3::L3::L3::L4::L3::L3::L3::L3::L9LN9:LN9:LN9:LN9"
          + ":LN9:LN9:LN9:LN99LN9:LN9:LN9:LN99LN9:LN9:LN99LN9:L3:9L3::L3:9L3::L3:9L3::L3:9L3:"
          + "9L3::L3:9L3:9L3::L3:9L3:9L3:9L3:L3L3L3L3L3L3L3L3L3L3L3L3L3L3L3L3L3L3L3L3L3L3L3L3"
          + "L3L3L3L3L3L3K3L3:3L9:3L9:3L993L9:3L9:3L9:3L993L9:3L993L9:3L9:3L993L9:3L993L9:3L9"
          + "93L993L9:3L993L9:3L993L993L9:3L993L993L9:3L993L993L993L993L9:3L93L993L993L993L99"
          + "3L993L993L993L993L993L993L993L993L993L993L993L99L993K993L993L993L993L993L993K993"
          + "L993L993L993K993L993L993K993L993L993K993L993K993L993L993K993L993K993L993K993L993"
          + "K993L993K993K993:9999999:99999999999:99999999999:999999999999999:999999999999999"
          + ":999999999999999999999999999:99999999999999999999999999999999999";

  private static final short[] RECIPROCALS = unpacked(RECIPROCAL, 0xfff, 5, 2);

  /** Roots of [1, 2), then of [2, 4). */
  private static final short[][] ROOTS = {
    unpacked(ROOT_EVEN, 0xfff, 3, 4), unpacked(ROOT_ODD, 0x6a0, 3, 4)
  };

  private static final int QUIET = 0x40_0000;
  private static final int INFINITY = 0x7f80_0000;
  private static final int INDEFINITE = 0xffc0_0000;
  private static final int SIGN = Integer.MIN_VALUE;

  private ReciprocalTables() {}

  private static short[] unpacked(String steps, int first, int radix, int each) {
    short[] table = new short[4096];
    int value = first;
    for (int i = 0; i < steps.length(); i++) {
      int packed = steps.charAt(i) - '0';
      for (int k = 0; k < each; k++) {
        value -= packed % radix;
        packed /= radix;
        table[i * each + k] = (short) value;
      }
    }
    return table;
  }

  /** RCPSS on a single's bit pattern. */
  public static int reciprocal(int a) {
    int magnitude = a & ~SIGN;
    int sign = a & SIGN;
    if (magnitude > INFINITY) {
      return a | QUIET;
    }
    if (magnitude == INFINITY) {
      return sign;
    }
    if (magnitude < 1 << 23) {
      return sign | INFINITY;
    }
    int exponent = 253 - (magnitude >>> 23);
    return exponent <= 0
        ? sign
        : sign | exponent << 23 | RECIPROCALS[magnitude >>> 11 & 0xfff] << 11;
  }

  /** RSQRTSS on a single's bit pattern. */
  public static int reciprocalRoot(int a) {
    int magnitude = a & ~SIGN;
    if (magnitude > INFINITY) {
      return a | QUIET;
    }
    if (magnitude < 1 << 23) {
      return a & SIGN | INFINITY;
    }
    if (a < 0) {
      return INDEFINITE;
    }
    if (magnitude == INFINITY) {
      return 0;
    }
    int exponent = (magnitude >>> 23) - 127;
    int odd = exponent & 1;
    return 126 - (exponent - odd) / 2 << 23 | ROOTS[odd][magnitude >>> 11 & 0xfff] << 11;
  }
}
