package dev.bothy.net.user;

import dev.bothy.net.Frame;

/** IPv4 (RFC 791; RFC 1812 for what a router drops). */
final class Ipv4 {
  static final int HEADER = 20;
  static final int ETHER_TYPE = 0x0800;
  private static final int DONT_FRAGMENT = 0x4000;
  private static final int MORE_FRAGMENTS = 0x2000;

  private final Stack stack;

  Ipv4(Stack stack) {
    this.stack = stack;
  }

  /** A frame of this type from the guest. */
  void received(Packet packet) {
    byte[] bytes = packet.header();
    int at = Packet.NETWORK;
    if (!packet.has(at + HEADER) || bytes[at] >>> 4 != 4) {
      return;
    }
    int headerLength = (bytes[at] & 15) * 4;
    int total = Wire.get16(bytes, at + 2);
    if (headerLength < HEADER
        || total < headerLength
        || at + total > packet.frame.length()
        || Checksum.sum(bytes, at, headerLength) != 0xffff) {
      return;
    }
    packet.source = IpAddress.read4(bytes, at + 12);
    packet.destination = IpAddress.read4(bytes, at + 16);
    packet.protocol = Wire.get8(bytes, at + 9);
    packet.hopLimit = Wire.get8(bytes, at + 8);
    packet.transport = at + headerLength;
    packet.length = total - headerLength;
    boolean noneYet = packet.source.equals(IpAddress.ANY_IPV4);
    if (!noneYet && !AddressPlan.isGuest(packet.source)) {
      return;
    }
    if (!noneYet) {
      stack.neighbors().learn(packet.source, Wire.get48(bytes, 6));
    }
    int fragment = Wire.get16(bytes, at + 6) & (MORE_FRAGMENTS | 0x1fff);
    if (fragment != 0) {
      whole(packet, Wire.get16(bytes, at + 4), fragment);
    } else {
      dispatch(packet);
    }
  }

  private void whole(Packet packet, int identification, int fragment) {
    byte[] payload =
        stack
            .reassembly()
            .add(
                new Reassembly.Key(
                    packet.source, packet.destination, packet.protocol, identification),
                (fragment & 0x1fff) * 8,
                packet.transportBytes(),
                (fragment & MORE_FRAGMENTS) != 0);
    if (payload == null || payload.length > 65535 - HEADER) {
      return;
    }
    byte[] frame = Ip.allocate(packet.destination, payload.length);
    System.arraycopy(packet.header(), 0, frame, 0, Packet.NETWORK);
    System.arraycopy(payload, 0, frame, frame.length - payload.length, payload.length);
    writeHeader(frame, packet.protocol, packet.source, packet.destination, payload.length);
    Packet full = new Packet(Frame.of(frame));
    full.source = packet.source;
    full.destination = packet.destination;
    full.protocol = packet.protocol;
    full.hopLimit = packet.hopLimit;
    full.transport = Packet.NETWORK + HEADER;
    full.length = payload.length;
    dispatch(full);
  }

  private void dispatch(Packet packet) {
    boolean dhcp = packet.protocol == Ip.UDP && stack.dhcp().received(packet);
    if (dhcp || packet.source.equals(IpAddress.ANY_IPV4)) {
      return;
    }
    boolean broadcast =
        packet.destination.isMulticast()
            || packet.destination.equals(AddressPlan.BROADCAST)
            || packet.destination.equals(AddressPlan.SUBNET_BROADCAST);
    if (broadcast) {
      return;
    }
    if (!AddressPlan.isOurs(packet.destination) && packet.hopLimit <= 1) {
      stack.errors().timeExceeded(packet);
      return;
    }
    switch (packet.protocol) {
      case Ip.TCP -> stack.tcp().received(packet);
      case Ip.UDP -> stack.udp().received(packet);
      case Ip.ICMP -> stack.icmp().received(packet);
      default -> stack.errors().unreachable(packet, IcmpErrors.Reason.PROTOCOL);
    }
  }

  /** Writes a header without options before {@code length} bytes, at its place in the frame. */
  static void writeHeader(
      byte[] frame, int protocol, IpAddress source, IpAddress destination, int length) {
    int at = Packet.NETWORK;
    Wire.put16(frame, at, 0x4500);
    Wire.put16(frame, at + 2, HEADER + length);
    Wire.put16(frame, at + 4, 0);
    Wire.put16(frame, at + 6, DONT_FRAGMENT);
    Wire.put16(frame, at + 8, Ip.HOP_LIMIT << 8 | protocol);
    Wire.put32(frame, at + 12, source.v4());
    Wire.put32(frame, at + 16, destination.v4());
    finish(frame);
  }

  /** Makes a fragment of what {@link #writeHeader} wrote; {@code from} is a multiple of 8. */
  static void makeFragment(byte[] frame, int identification, int from, boolean more) {
    Wire.put16(frame, Packet.NETWORK + 4, identification);
    Wire.put16(frame, Packet.NETWORK + 6, from / 8 | (more ? MORE_FRAGMENTS : 0));
    finish(frame);
  }

  private static void finish(byte[] frame) {
    Wire.put16(frame, Packet.NETWORK + 10, 0);
    Wire.put16(frame, Packet.NETWORK + 10, ~Checksum.sum(frame, Packet.NETWORK, HEADER));
  }
}
