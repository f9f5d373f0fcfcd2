package dev.bothy.net.user;

/** IP packets from this side to the guest: headers, fragments, and the Ethernet address. */
final class Ip {
  static final int ICMP = 1;
  static final int TCP = 6;
  static final int UDP = 17;
  static final int ICMPV6 = 58;

  /** What routers count down from here. */
  static final int HOP_LIMIT = 64;

  private final Stack stack;
  private int nextIdentification;

  Ip(Stack stack) {
    this.stack = stack;
  }

  /** A frame with room for the headers before {@code length} bytes for {@code destination}. */
  static byte[] allocate(IpAddress destination, int length) {
    return new byte[transport(destination) + length];
  }

  /** Where the transport header is in a frame from {@link #allocate}. */
  static int transport(IpAddress destination) {
    return Packet.NETWORK + (destination.isV4() ? Ipv4.HEADER : Ipv6.HEADER);
  }

  /** Writes the IP header of a frame that carries {@code length} bytes behind it. */
  static void writeHeader(
      byte[] frame, int protocol, IpAddress source, IpAddress destination, int length) {
    if (destination.isV4()) {
      Ipv4.writeHeader(frame, protocol, source, destination, length);
    } else {
      Ipv6.writeHeader(frame, protocol, source, destination, length, HOP_LIMIT);
    }
  }

  /**
   * Sends what {@link #allocate} made, the transport part filled in; in fragments if it is too
   * long. Kept for a moment if the guest's Ethernet address is not known yet.
   */
  void send(byte[] frame, int protocol, IpAddress source, IpAddress destination) {
    int transport = transport(destination);
    int length = frame.length - transport;
    if (transport - Packet.NETWORK + length > 65535) {
      return;
    }
    if (transport - Packet.NETWORK + length <= AddressPlan.MTU) {
      writeHeader(frame, protocol, source, destination, length);
      stack.neighbors().send(frame, destination);
      return;
    }
    int identification = ++nextIdentification;
    boolean ipv4 = destination.isV4();
    int extra = ipv4 ? 0 : Ipv6.FRAGMENT_HEADER;
    int most = AddressPlan.MTU - (transport - Packet.NETWORK) - extra & ~7;
    for (int from = 0; from < length; from += most) {
      int here = Math.min(most, length - from);
      boolean more = from + here < length;
      byte[] fragment = new byte[transport + extra + here];
      System.arraycopy(frame, transport + from, fragment, transport + extra, here);
      if (ipv4) {
        Ipv4.writeHeader(fragment, protocol, source, destination, here);
        Ipv4.makeFragment(fragment, identification, from, more);
      } else {
        Ipv6.writeHeader(fragment, Ipv6.FRAGMENT, source, destination, extra + here, HOP_LIMIT);
        Ipv6.writeFragmentHeader(fragment, protocol, identification, from, more);
      }
      stack.neighbors().send(fragment, destination);
    }
  }
}
