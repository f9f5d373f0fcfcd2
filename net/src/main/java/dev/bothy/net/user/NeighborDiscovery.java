package dev.bothy.net.user;

/**
 * ICMPv6 from the guest: echo, neighbour discovery and router advertisements (RFC 4443, RFC 4861,
 * RFC 8106), by which guests give themselves an address in fec0::/64.
 */
final class NeighborDiscovery {
  private static final int ROUTER_SOLICITATION = 133;
  private static final int ROUTER_ADVERTISEMENT = 134;
  private static final int NEIGHBOR_SOLICITATION = 135;
  private static final int NEIGHBOR_ADVERTISEMENT = 136;
  private static final int SOURCE_LINK_ADDRESS = 1;
  private static final int TARGET_LINK_ADDRESS = 2;
  private static final int PREFIX_INFORMATION = 3;
  private static final int MTU = 5;
  private static final int RDNSS = 25;

  /** What shows that a packet was not routed (RFC 4861, 7.1.1). */
  private static final int HOP_LIMIT = 255;

  private static final int DAY = 86400;
  private static final int ROUTER_LIFETIME = 1800;
  private static final long ADVERTISE_AGAIN = 600_000_000_000L;

  private final Stack stack;
  private final boolean defaultRouter;

  private final Timeouts.Timeout advertisement =
      new Timeouts.Timeout() {
        @Override
        void expired(long now) {
          advertise(AddressPlan.ALL_NODES);
        }
      };

  /**
   * @param defaultRouter false if there is no way to other networks
   */
  NeighborDiscovery(Stack stack, boolean defaultRouter) {
    this.stack = stack;
    this.defaultRouter = defaultRouter;
  }

  /** An ICMPv6 packet. */
  void received(Packet packet) {
    if (packet.length < 8 || !packet.checksumHolds()) {
      return;
    }
    byte[] message = packet.transportBytes();
    int type = Wire.get8(message, 0);
    if (type == Icmp.ECHO_V6) {
      boolean answerable =
          !packet.source.equals(IpAddress.ANY_IPV6) && !packet.destination.isMulticast();
      if (answerable) {
        stack.icmp().echoV6(packet, message);
      }
      return;
    }
    if (packet.hopLimit != HOP_LIMIT || message[1] != 0) {
      return;
    }
    switch (type) {
      case ROUTER_SOLICITATION -> {
        advertise(packet.source.equals(IpAddress.ANY_IPV6) ? AddressPlan.ALL_NODES : packet.source);
      }
      case NEIGHBOR_SOLICITATION -> solicited(packet, message);
      case NEIGHBOR_ADVERTISEMENT -> {
        if (message.length >= 24) {
          IpAddress target = IpAddress.read6(message, 8);
          long address = linkAddress(message, 24, TARGET_LINK_ADDRESS);
          if (address >= 0 && !target.isV4() && AddressPlan.isGuest(target)) {
            stack.neighbors().learn(target, address);
          }
        }
      }
      default -> {
        // Multicast listeners and errors: nothing to do.
      }
    }
  }

  /** The address in an option, or -1; options that end early end the search. */
  private static long linkAddress(byte[] message, int from, int type) {
    for (int at = from; at + 8 <= message.length; ) {
      if (Wire.get8(message, at) == type) {
        return Wire.get48(message, at + 2);
      }
      int size = 8 * Wire.get8(message, at + 1);
      if (size == 0) {
        return -1;
      }
      at += size;
    }
    return -1;
  }

  private void solicited(Packet packet, byte[] message) {
    if (message.length < 24) {
      return;
    }
    IpAddress target = IpAddress.read6(message, 8);
    if (target.isV4() || !AddressPlan.isOurs(target)) {
      return;
    }
    boolean unsolicited = packet.source.equals(IpAddress.ANY_IPV6);
    byte[] answer = new byte[32];
    Wire.put16(answer, 0, NEIGHBOR_ADVERTISEMENT << 8);
    // Router, solicited, override (RFC 4861, 4.4).
    Wire.put32(answer, 4, 0x8000_0000 | (unsolicited ? 0 : 0x4000_0000) | 0x2000_0000);
    target.write(answer, 8);
    putLinkAddress(answer, 24, TARGET_LINK_ADDRESS);
    send(answer, target, unsolicited ? AddressPlan.ALL_NODES : packet.source);
  }

  private static void putLinkAddress(byte[] message, int at, int type) {
    Wire.put16(message, at, type << 8 | 1);
    Wire.put48(message, at + 2, AddressPlan.MAC.value());
  }

  /** Sends a router advertisement (RFC 4861, 4.2), and another from time to time. */
  private void advertise(IpAddress destination) {
    boolean outside = defaultRouter && !stack.restricted();
    byte[] message = new byte[16 + 8 + 8 + 32 + (stack.restricted() ? 0 : 24)];
    Wire.put16(message, 0, ROUTER_ADVERTISEMENT << 8);
    Wire.put8(message, 4, Ip.HOP_LIMIT);
    Wire.put16(message, 6, outside ? ROUTER_LIFETIME : 0);
    int at = 16;
    putLinkAddress(message, at, SOURCE_LINK_ADDRESS);
    at += 8;
    Wire.put16(message, at, MTU << 8 | 1);
    Wire.put32(message, at + 4, AddressPlan.MTU);
    at += 8;
    Wire.put16(message, at, PREFIX_INFORMATION << 8 | 4);
    // On-link and autonomous, 64 bits.
    Wire.put16(message, at + 2, 64 << 8 | 0xc0);
    Wire.put32(message, at + 4, DAY);
    Wire.put32(message, at + 8, DAY);
    Wire.put64(message, at + 16, AddressPlan.PREFIX);
    at += 32;
    if (!stack.restricted()) {
      Wire.put16(message, at, RDNSS << 8 | 3);
      Wire.put32(message, at + 4, ROUTER_LIFETIME);
      AddressPlan.DNS_IPV6.write(message, at + 8);
    }
    send(message, AddressPlan.ROUTER_LINK_LOCAL, destination);
    stack.timeouts().arm(advertisement, stack.now() + ADVERTISE_AGAIN);
  }

  /** Asks for the Ethernet address of a guest's address (RFC 4861, 4.3). */
  void ask(IpAddress ip) {
    byte[] message = new byte[32];
    Wire.put16(message, 0, NEIGHBOR_SOLICITATION << 8);
    ip.write(message, 8);
    putLinkAddress(message, 24, SOURCE_LINK_ADDRESS);
    IpAddress group = new IpAddress(0xff02_0000_0000_0000L, 0x1_ff00_0000L | ip.low() & 0xff_ffffL);
    send(message, AddressPlan.ROUTER_LINK_LOCAL, group);
  }

  private void send(byte[] message, IpAddress source, IpAddress destination) {
    byte[] frame = Ip.allocate(destination, message.length);
    int at = frame.length - message.length;
    System.arraycopy(message, 0, frame, at, message.length);
    Ipv6.writeHeader(frame, Ip.ICMPV6, source, destination, message.length, HOP_LIMIT);
    Egress.finishChecksum(frame, at, 2, source, destination, Ip.ICMPV6);
    long address =
        destination.isMulticast()
            ? 0x3333_0000_0000L | destination.low() & 0xffff_ffffL
            : stack.neighbors().resolve(destination);
    if (address >= 0) {
      Egress.address(frame, address, Ipv6.ETHER_TYPE);
      stack.egress().send(frame);
    }
  }
}
