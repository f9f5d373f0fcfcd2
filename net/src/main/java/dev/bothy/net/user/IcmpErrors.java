package dev.bothy.net.user;

/**
 * What a router or host says about a packet that goes nowhere (RFC 792, RFC 4443): never about an
 * ICMP error, nor to an address that is not one guest's.
 */
final class IcmpErrors {
  /** Why a packet goes nowhere. */
  enum Reason {
    NO_ROUTE(1, 0),
    PROHIBITED(13, 1),
    PROTOCOL(2, -1),
    PORT(3, 4);

    private final int code4;
    private final int code6;

    Reason(int code4, int code6) {
      this.code4 = code4;
      this.code6 = code6;
    }
  }

  private static final int UNREACHABLE = 3;
  private static final int TIME_EXCEEDED = 11;
  private static final int UNREACHABLE_V6 = 1;
  private static final int TIME_EXCEEDED_V6 = 3;
  private static final int PARAMETER_V6 = 4;

  /** What of the packet is sent back (RFC 1812, 4.3.2.3). */
  private static final int QUOTED = 520;

  private final Stack stack;

  IcmpErrors(Stack stack) {
    this.stack = stack;
  }

  /** The packet may not go on, since its hop limit is used up. */
  void timeExceeded(Packet packet) {
    if (packet.destination.isV4()) {
      send(packet, TIME_EXCEEDED << 8, 0);
    } else {
      send(packet, TIME_EXCEEDED_V6 << 8, 0);
    }
  }

  /** There is nothing for the packet where it wants to go. */
  void unreachable(Packet packet, Reason reason) {
    if (packet.destination.isV4()) {
      send(packet, UNREACHABLE << 8 | reason.code4, 0);
    } else if (reason == Reason.PROTOCOL) {
      send(packet, PARAMETER_V6 << 8 | 1, Ipv6.HEADER);
    } else {
      send(packet, UNREACHABLE_V6 << 8 | reason.code6, 0);
    }
  }

  private void send(Packet packet, int typeAndCode, int parameter) {
    if (packet.protocol == Ip.ICMP && packet.length > 0) {
      int type =
          packet.has(packet.transport + 1) ? Wire.get8(packet.header(), packet.transport) : 0;
      if (type != Icmp.ECHO) {
        return;
      }
    }
    boolean ipv4 = packet.destination.isV4();
    int end = packet.transport + packet.length;
    int quoted = Math.min(QUOTED, end - Packet.NETWORK);
    byte[] message = new byte[8 + quoted];
    Wire.put16(message, 0, typeAndCode);
    Wire.put32(message, 4, parameter);
    System.arraycopy(packet.all(), Packet.NETWORK, message, 8, quoted);
    IpAddress from =
        AddressPlan.isOurs(packet.destination) ? packet.destination : AddressPlan.gateway(ipv4);
    sendMessage(stack, message, from, packet.source);
  }

  /** Sends an ICMP message, its checksum to be filled in, of the kind of the addresses. */
  static void sendMessage(Stack stack, byte[] message, IpAddress source, IpAddress destination) {
    byte[] frame = Ip.allocate(destination, message.length);
    int at = frame.length - message.length;
    System.arraycopy(message, 0, frame, at, message.length);
    if (destination.isV4()) {
      Wire.put16(frame, at + 2, 0);
      Wire.put16(frame, at + 2, ~Checksum.sum(frame, at, message.length));
      stack.ip().send(frame, Ip.ICMP, source, destination);
    } else {
      Egress.finishChecksum(frame, at, 2, source, destination, Ip.ICMPV6);
      stack.ip().send(frame, Ip.ICMPV6, source, destination);
    }
  }
}
