package dev.bothy.net.user;

import java.net.InetAddress;
import java.net.UnknownHostException;

/**
 * An IPv4 or IPv6 address; one of IPv4 is kept as its IPv4-mapped form (RFC 4291, 2.5.5.2).
 *
 * @param high the first eight bytes
 * @param low the last eight bytes
 */
public record IpAddress(long high, long low) {
  /** What nobody has yet: 0.0.0.0. */
  public static final IpAddress ANY_IPV4 = v4(0);

  /** The IPv6 address of a host that has none yet. */
  public static final IpAddress ANY_IPV6 = new IpAddress(0, 0);

  private static final long MAPPED = 0xffffL;

  /** An IPv4 address, its first byte highest. */
  public static IpAddress v4(int address) {
    return new IpAddress(0, MAPPED << 32 | address & 0xffff_ffffL);
  }

  static IpAddress read4(byte[] bytes, int at) {
    return v4(Wire.get32(bytes, at));
  }

  static IpAddress read6(byte[] bytes, int at) {
    return new IpAddress(Wire.get64(bytes, at), Wire.get64(bytes, at + 8));
  }

  /** What the host's sockets call it. */
  public static IpAddress of(InetAddress address) {
    byte[] bytes = address.getAddress();
    return bytes.length == 4 ? read4(bytes, 0) : read6(bytes, 0);
  }

  /**
   * Reads an address in digits; no name is looked up.
   *
   * @throws IllegalArgumentException in one line, if the text is no address
   */
  public static IpAddress parse(String text) {
    try {
      return of(InetAddress.ofLiteral(text));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("'" + text + "' is no IP address", e);
    }
  }

  public boolean isV4() {
    return high == 0 && low >>> 32 == MAPPED;
  }

  /** The four bytes of an IPv4 address. */
  public int v4() {
    return (int) low;
  }

  /** Writes 4 or 16 bytes. */
  void write(byte[] bytes, int at) {
    if (isV4()) {
      Wire.put32(bytes, at, v4());
    } else {
      Wire.put64(bytes, at, high);
      Wire.put64(bytes, at + 8, low);
    }
  }

  /** The address as the host's sockets want it. */
  public InetAddress toInet() {
    byte[] bytes = new byte[isV4() ? 4 : 16];
    write(bytes, 0);
    try {
      return InetAddress.getByAddress(bytes);
    } catch (UnknownHostException e) {
      throw new AssertionError(e);
    }
  }

  boolean isMulticast() {
    return isV4() ? v4() >>> 28 == 0xe : high >>> 56 == 0xff;
  }

  /** fe80::/10. */
  boolean isLinkLocalV6() {
    return high >>> 54 == 0x3fa;
  }

  /**
   * True for what a router passes on: neither this network, loopback, link-local, multicast nor
   * reserved (RFC 6890). What the guest names must not mean the host itself by accident.
   */
  boolean isRoutable() {
    if (isV4()) {
      int first = v4() >>> 24;
      return first != 0 && first != 127 && first < 224 && v4() >>> 16 != 0xa9fe;
    }
    // The zero prefix has ::, ::1 and the forms that embed an IPv4 address.
    return high != 0 && !isMulticast() && !isLinkLocalV6();
  }

  @Override
  public String toString() {
    return toInet().getHostAddress();
  }
}
