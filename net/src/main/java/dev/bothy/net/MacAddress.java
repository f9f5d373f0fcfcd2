package dev.bothy.net;

import java.util.HexFormat;

/**
 * An Ethernet address.
 *
 * @param value its 48 bits, the first byte on the wire highest
 */
public record MacAddress(long value) {
  /** All stations. */
  public static final MacAddress BROADCAST = new MacAddress(0xffff_ffff_ffffL);

  public MacAddress {
    if (value >>> 48 != 0) {
      throw new IllegalArgumentException("more than 48 bits: " + Long.toHexString(value));
    }
  }

  /**
   * Reads six pairs of hexadecimal digits with colons or hyphens between.
   *
   * @throws IllegalArgumentException in one line, if the text is something else
   */
  public static MacAddress parse(String text) {
    if (!text.matches("\\p{XDigit}{2}([:-]\\p{XDigit}{2}){5}")) {
      throw new IllegalArgumentException(
          "'" + text + "' is no Ethernet address: six pairs of hexadecimal digits with colons");
    }
    return new MacAddress(HexFormat.fromHexDigitsToLong(text.replaceAll("[:-]", "")));
  }

  /** The address of a guest's card that nobody chose one for, by its number from 0 to 255. */
  public static MacAddress ofCard(int number) {
    return new MacAddress(0x52_54_00_12_34_00L | ((0x56 + number) & 0xff));
  }

  /** True for addresses of groups, the broadcast address included. */
  public boolean multicast() {
    return (value >>> 40 & 1) != 0;
  }

  /** The six bytes. */
  public byte[] bytes() {
    byte[] bytes = new byte[6];
    for (int i = 0; i < 6; i++) {
      bytes[i] = (byte) (value >>> (40 - 8 * i));
    }
    return bytes;
  }

  @Override
  public String toString() {
    return HexFormat.ofDelimiter(":").formatHex(bytes());
  }
}
