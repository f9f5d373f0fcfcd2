package dev.bothy.net.user;

import dev.bothy.net.Frame;

/** IPv6 and its extension headers (RFC 8200). */
final class Ipv6 {
  static final int HEADER = 40;
  static final int ETHER_TYPE = 0x86dd;
  static final int FRAGMENT = 44;
  static final int FRAGMENT_HEADER = 8;
  private static final int HOP_BY_HOP = 0;
  private static final int ROUTING = 43;
  private static final int DESTINATION = 60;

  /** More of them are not meant well. */
  private static final int EXTENSION_HEADERS = 8;

  private final Stack stack;

  Ipv6(Stack stack) {
    this.stack = stack;
  }

  /** A frame of this type from the guest. */
  void received(Packet packet) {
    int at = Packet.NETWORK;
    if (!packet.has(at + HEADER) || Wire.get8(packet.header(), at) >>> 4 != 6) {
      return;
    }
    byte[] bytes = packet.header();
    packet.length = Wire.get16(bytes, at + 4);
    packet.source = IpAddress.read6(bytes, at + 8);
    packet.destination = IpAddress.read6(bytes, at + 24);
    packet.protocol = Wire.get8(bytes, at + 6);
    packet.hopLimit = Wire.get8(bytes, at + 7);
    packet.transport = at + HEADER;
    boolean noneYet = packet.source.equals(IpAddress.ANY_IPV6);
    if (packet.transport + packet.length > packet.frame.length()
        || packet.source.isV4()
        || packet.destination.isV4()
        || !noneYet && !AddressPlan.isGuest(packet.source)) {
      return;
    }
    if (!noneYet) {
      stack.neighbors().learn(packet.source, Wire.get48(bytes, 6));
    }
    extensions(packet, EXTENSION_HEADERS);
  }

  private void extensions(Packet packet, int most) {
    for (int i = 0; i < most; i++) {
      int at = packet.transport;
      switch (packet.protocol) {
        case HOP_BY_HOP, ROUTING, DESTINATION -> {
          if (packet.length < 8 || !packet.has(at + 8)) {
            return;
          }
          int size = 8 + 8 * Wire.get8(packet.header(), at + 1);
          if (size > packet.length) {
            return;
          }
          packet.protocol = Wire.get8(packet.header(), at);
          packet.transport += size;
          packet.length -= size;
        }
        case FRAGMENT -> {
          whole(packet);
          return;
        }
        default -> {
          dispatch(packet);
          return;
        }
      }
    }
  }

  private void whole(Packet packet) {
    int at = packet.transport;
    if (packet.length < FRAGMENT_HEADER || !packet.has(at + FRAGMENT_HEADER)) {
      return;
    }
    byte[] bytes = packet.header();
    int protocol = Wire.get8(bytes, at);
    int fragment = Wire.get16(bytes, at + 2);
    int identification = Wire.get32(bytes, at + 4);
    packet.protocol = protocol;
    packet.transport += FRAGMENT_HEADER;
    packet.length -= FRAGMENT_HEADER;
    if (protocol == FRAGMENT) {
      return;
    }
    byte[] payload =
        stack
            .reassembly()
            .add(
                new Reassembly.Key(packet.source, packet.destination, protocol, identification),
                fragment & 0xfff8,
                packet.transportBytes(),
                (fragment & 1) != 0);
    if (payload == null || payload.length > 65535 - HEADER) {
      return;
    }
    byte[] frame = Ip.allocate(packet.destination, payload.length);
    System.arraycopy(packet.header(), 0, frame, 0, Packet.NETWORK);
    System.arraycopy(payload, 0, frame, frame.length - payload.length, payload.length);
    writeHeader(
        frame, protocol, packet.source, packet.destination, payload.length, packet.hopLimit);
    Packet full = new Packet(Frame.of(frame));
    full.source = packet.source;
    full.destination = packet.destination;
    full.protocol = protocol;
    full.hopLimit = packet.hopLimit;
    full.transport = Packet.NETWORK + HEADER;
    full.length = payload.length;
    if (protocol == HOP_BY_HOP || protocol == ROUTING || protocol == DESTINATION) {
      extensions(full, EXTENSION_HEADERS / 2);
    } else {
      dispatch(full);
    }
  }

  private void dispatch(Packet packet) {
    if (packet.protocol == Ip.ICMPV6) {
      stack.icmpv6().received(packet);
      return;
    }
    if (packet.source.equals(IpAddress.ANY_IPV6) || packet.destination.isMulticast()) {
      return;
    }
    if (!AddressPlan.isOurs(packet.destination) && packet.hopLimit <= 1) {
      stack.errors().timeExceeded(packet);
      return;
    }
    switch (packet.protocol) {
      case Ip.TCP -> stack.tcp().received(packet);
      case Ip.UDP -> stack.udp().received(packet);
      default -> stack.errors().unreachable(packet, IcmpErrors.Reason.PROTOCOL);
    }
  }

  /** Writes a header before {@code length} bytes, at its place in the frame. */
  static void writeHeader(
      byte[] frame,
      int protocol,
      IpAddress source,
      IpAddress destination,
      int length,
      int hopLimit) {
    int at = Packet.NETWORK;
    Wire.put32(frame, at, 0x6000_0000);
    Wire.put16(frame, at + 4, length);
    Wire.put16(frame, at + 6, protocol << 8 | hopLimit);
    source.write(frame, at + 8);
    destination.write(frame, at + 24);
  }

  /** Writes the header of a fragment (RFC 8200, 4.5) behind the other. */
  static void writeFragmentHeader(
      byte[] frame, int protocol, int identification, int from, boolean more) {
    int at = Packet.NETWORK + HEADER;
    Wire.put16(frame, at, protocol << 8);
    Wire.put16(frame, at + 2, from | (more ? 1 : 0));
    Wire.put32(frame, at + 4, identification);
  }
}
