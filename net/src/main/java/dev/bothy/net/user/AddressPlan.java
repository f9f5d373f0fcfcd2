package dev.bothy.net.user;

import dev.bothy.net.MacAddress;

/**
 * Who has which address on a user-mode network: 10.0.2.0/24 and fec0::/64, the same for every
 * machine, since no two of them share a network.
 */
public final class AddressPlan {
  /** 10.0.2.0. */
  static final int NETWORK = 0x0a00_0200;

  static final int MASK = 0xffff_ff00;

  /** 10.0.2.2: the router; what the guest connects to there is the host's 127.0.0.1. */
  public static final IpAddress GATEWAY = IpAddress.v4(NETWORK | 2);

  /** 10.0.2.3: the name server. */
  public static final IpAddress DNS = IpAddress.v4(NETWORK | 3);

  /** 10.0.2.15: the first address that DHCP gives. */
  public static final IpAddress GUEST = IpAddress.v4(NETWORK | 15);

  /** 10.0.2.255. */
  static final IpAddress SUBNET_BROADCAST = IpAddress.v4(NETWORK | 255);

  static final IpAddress BROADCAST = IpAddress.v4(-1);

  /** fec0::. */
  static final long PREFIX = 0xfec0_0000_0000_0000L;

  /** fec0::2: the router; what the guest connects to there is the host's ::1. */
  public static final IpAddress GATEWAY_IPV6 = new IpAddress(PREFIX, 2);

  /** fec0::3: the name server. */
  public static final IpAddress DNS_IPV6 = new IpAddress(PREFIX, 3);

  /** fe80::2: where router advertisements come from. */
  static final IpAddress ROUTER_LINK_LOCAL = new IpAddress(0xfe80_0000_0000_0000L, 2);

  /** ff02::1. */
  static final IpAddress ALL_NODES = new IpAddress(0xff02_0000_0000_0000L, 1);

  /** The Ethernet address of gateway and name server. */
  static final MacAddress MAC = MacAddress.parse("52:55:0a:00:02:02");

  /** Bytes of an IP packet on this network. */
  static final int MTU = 1500;

  private static final IpAddress LOOPBACK = IpAddress.v4(0x7f00_0001);
  private static final IpAddress LOOPBACK_IPV6 = new IpAddress(0, 1);

  private AddressPlan() {}

  /** True for addresses that this side of the cable answers for. */
  static boolean isOurs(IpAddress address) {
    return isGateway(address) || isDns(address) || address.equals(ROUTER_LINK_LOCAL);
  }

  static boolean isGateway(IpAddress address) {
    return address.equals(GATEWAY) || address.equals(GATEWAY_IPV6);
  }

  static boolean isDns(IpAddress address) {
    return address.equals(DNS) || address.equals(DNS_IPV6);
  }

  /** True for addresses on the guest's network, ours included; not for broadcast. */
  static boolean isLocal(IpAddress address) {
    if (address.isV4()) {
      int host = address.v4() & ~MASK;
      return (address.v4() & MASK) == NETWORK && host != 0 && host != 255;
    }
    return address.high() == PREFIX || address.isLinkLocalV6();
  }

  /** True for addresses that a guest may send from. */
  static boolean isGuest(IpAddress address) {
    return isLocal(address) && !isOurs(address);
  }

  /**
   * Where on the host what the guest sends to {@code address} goes: the gateway is the loopback
   * interface, what is outside is itself; null for what nobody has.
   */
  static IpAddress toHost(IpAddress address) {
    if (isGateway(address)) {
      return address.isV4() ? LOOPBACK : LOOPBACK_IPV6;
    }
    return !isLocal(address) && address.isRoutable() ? address : null;
  }

  /** The gateway's address of the same kind. */
  static IpAddress gateway(boolean ipv4) {
    return ipv4 ? GATEWAY : GATEWAY_IPV6;
  }
}
