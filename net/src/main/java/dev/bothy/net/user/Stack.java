package dev.bothy.net.user;

import dev.bothy.net.Frame;
import dev.bothy.net.Offloads;
import java.util.List;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;

/**
 * The TCP/IP stack at the other end of the guest's cable, without threads: frames go in by {@link
 * #input}, time passes by {@link #tick}, frames come out by {@link #output}. Not thread-safe: its
 * owner has a lock for all of it, which {@link Outside} takes before it calls back.
 */
public final class Stack {
  private final LongSupplier clock;
  private final boolean restricted;
  private final Runnable wake;
  private final RandomGenerator random;
  private final Timeouts timeouts = new Timeouts();
  private final Neighbors neighbors;
  private final Egress egress;
  private final Ip ip;
  private final Ipv4 ipv4;
  private final Ipv6 ipv6;
  private final Arp arp;
  private final Reassembly reassembly;
  private final NeighborDiscovery neighborDiscovery;
  private final Icmp icmp;
  private final IcmpErrors errors;
  private final Tcp tcp;
  private final Udp udp;
  private final Dhcp dhcp;
  private final Dns dns;

  /**
   * A stack that has heard nothing yet.
   *
   * @param clock nanoseconds that never run backwards
   * @param hostName what the guest is told it is called; null for nothing
   * @param restricted true if the guest may reach nothing but what reaches for it
   * @param wake runs when there may be something for {@link #output} or {@link #tick} to do
   */
  public Stack(
      Outside outside,
      LongSupplier clock,
      RandomGenerator random,
      String hostName,
      boolean restricted,
      Runnable wake) {
    this.clock = clock;
    this.random = random;
    this.restricted = restricted;
    this.wake = wake;
    this.neighbors = new Neighbors(this);
    this.egress = new Egress(this);
    this.ip = new Ip(this);
    this.ipv4 = new Ipv4(this);
    this.ipv6 = new Ipv6(this);
    this.arp = new Arp(this);
    this.reassembly = new Reassembly(this);
    this.neighborDiscovery = new NeighborDiscovery(this, outside.hasIpv6());
    this.icmp = new Icmp(this, outside);
    this.errors = new IcmpErrors(this);
    this.tcp = new Tcp(this, outside, random);
    this.udp = new Udp(this, outside);
    this.dhcp = new Dhcp(this, hostName);
    this.dns = new Dns(this, outside);
  }

  /** Takes a frame from the guest; drops what is malformed or for somebody else. */
  public void input(Frame frame) {
    Packet packet = new Packet(frame);
    if (!packet.has(Packet.NETWORK)) {
      return;
    }
    byte[] header = packet.header();
    long destination = Wire.get48(header, 0);
    boolean group = (destination >>> 40 & 1) != 0;
    if (destination != AddressPlan.MAC.value() && !group) {
      return;
    }
    switch (Wire.get16(header, 12)) {
      case Ipv4.ETHER_TYPE -> ipv4.received(packet);
      case Ipv6.ETHER_TYPE -> ipv6.received(packet);
      case Arp.ETHER_TYPE -> arp.received(packet);
      default -> {
        // Nobody here speaks it.
      }
    }
  }

  /** What the guest's card takes from now on. */
  public void accept(Offloads offloads) {
    egress.accept(offloads);
  }

  /**
   * Adds frames for the guest to {@code frames}, until there are {@code most} or a few more. Their
   * memory stays as it is until the guest has acknowledged it.
   */
  public void output(List<Frame> frames, int most) {
    egress.collect(frames, most, tcp, clock.getAsLong());
  }

  /** When {@link #tick} must be called, at the latest; {@link Long#MAX_VALUE} for never. */
  public long nextTick() {
    return timeouts.next();
  }

  /** Does what is due. */
  public void tick() {
    timeouts.run(clock.getAsLong());
  }

  /**
   * Connects {@code host} to a port of the guest's.
   *
   * @param guest its address, or 0.0.0.0 for what DHCP gave
   * @param port what the guest sees it come from, if that is free
   * @return null if there are too many connections
   */
  public TcpConnection open(IpAddress guest, int guestPort, int port, HostStream host) {
    return tcp.open(guestAddress(guest), guestPort, port, host);
  }

  /** What comes to {@code host} goes to the guest's port, and its answers back. */
  public Outside.DatagramReceiver forward(
      Outside.HostDatagrams host, IpAddress guest, int guestPort) {
    return udp.forward(host, guest, guestPort);
  }

  /** Ends what the guest knew of, which it does no more. */
  public void reset() {
    tcp.reset();
    udp.close();
  }

  /** Ends everything. */
  public void close() {
    tcp.close();
    udp.close();
  }

  IpAddress guestAddress(IpAddress asked) {
    return asked.equals(IpAddress.ANY_IPV4) ? dhcp.latest() : asked;
  }

  long now() {
    return clock.getAsLong();
  }

  void wake() {
    wake.run();
  }

  boolean restricted() {
    return restricted;
  }

  RandomGenerator random() {
    return random;
  }

  Timeouts timeouts() {
    return timeouts;
  }

  Neighbors neighbors() {
    return neighbors;
  }

  Egress egress() {
    return egress;
  }

  Ip ip() {
    return ip;
  }

  Arp arp() {
    return arp;
  }

  Reassembly reassembly() {
    return reassembly;
  }

  NeighborDiscovery neighborDiscovery() {
    return neighborDiscovery;
  }

  /** Where ICMPv6 goes. */
  NeighborDiscovery icmpv6() {
    return neighborDiscovery;
  }

  Icmp icmp() {
    return icmp;
  }

  IcmpErrors errors() {
    return errors;
  }

  Tcp tcp() {
    return tcp;
  }

  Udp udp() {
    return udp;
  }

  Dhcp dhcp() {
    return dhcp;
  }

  Dns dns() {
    return dns;
  }
}
