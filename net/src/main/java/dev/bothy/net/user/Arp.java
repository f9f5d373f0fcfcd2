package dev.bothy.net.user;

/** Address resolution for IPv4 over Ethernet (RFC 826). */
final class Arp {
  static final int ETHER_TYPE = 0x0806;
  private static final int LENGTH = 28;
  private static final int REQUEST = 1;
  private static final int REPLY = 2;

  private final Stack stack;

  Arp(Stack stack) {
    this.stack = stack;
  }

  /** A frame of this type from the guest. */
  void received(Packet packet) {
    int at = Packet.NETWORK;
    if (!packet.has(at + LENGTH)) {
      return;
    }
    byte[] bytes = packet.header();
    if (Wire.get32(bytes, at) != 0x0001_0800 || Wire.get16(bytes, at + 4) != 0x0604) {
      return;
    }
    int operation = Wire.get16(bytes, at + 6);
    long senderMac = Wire.get48(bytes, at + 8);
    IpAddress sender = IpAddress.read4(bytes, at + 14);
    IpAddress target = IpAddress.read4(bytes, at + 24);
    if (AddressPlan.isGuest(sender)) {
      stack.neighbors().learn(sender, senderMac);
    }
    if (operation == REQUEST && AddressPlan.isOurs(target)) {
      send(REPLY, target, senderMac, sender, senderMac);
    }
  }

  /** Asks all who has {@code ip}. */
  void ask(IpAddress ip) {
    send(REQUEST, AddressPlan.GATEWAY, 0, ip, 0xffff_ffff_ffffL);
  }

  private void send(
      int operation, IpAddress source, long targetMac, IpAddress target, long destination) {
    byte[] frame = new byte[60];
    Egress.address(frame, destination, ETHER_TYPE);
    int at = Packet.NETWORK;
    Wire.put32(frame, at, 0x0001_0800);
    Wire.put16(frame, at + 4, 0x0604);
    Wire.put16(frame, at + 6, operation);
    Wire.put48(frame, at + 8, AddressPlan.MAC.value());
    Wire.put32(frame, at + 14, source.v4());
    Wire.put48(frame, at + 18, targetMac);
    Wire.put32(frame, at + 24, target.v4());
    stack.egress().send(frame);
  }
}
