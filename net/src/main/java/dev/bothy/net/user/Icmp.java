package dev.bothy.net.user;

import java.util.Arrays;

/**
 * ICMP and ICMPv6 echo (RFC 792, RFC 4443). The gateway and the name server answer for themselves.
 * For other hosts a process without privileges cannot send echoes of its own making: the host is
 * asked whether it reaches the other at all, and the answer is made up then.
 */
final class Icmp {
  static final int ECHO = 8;
  private static final int ECHO_REPLY = 0;
  static final int ECHO_V6 = 128;
  private static final int ECHO_REPLY_V6 = 129;
  private static final int HEADER = 8;

  private final Stack stack;
  private final Outside outside;

  Icmp(Stack stack, Outside outside) {
    this.stack = stack;
    this.outside = outside;
  }

  /** An ICMP packet of IPv4. */
  void received(Packet packet) {
    byte[] message = packet.transportBytes();
    if (message.length < HEADER || Checksum.sum(message, 0, message.length) != 0xffff) {
      return;
    }
    if (Wire.get16(message, 0) == ECHO << 8) {
      echo(packet, message, ECHO_REPLY);
    }
  }

  /** An echo request of IPv6, its checksum checked. */
  void echoV6(Packet packet, byte[] message) {
    echo(packet, message, ECHO_REPLY_V6);
  }

  private void echo(Packet packet, byte[] message, int replyType) {
    byte[] reply = Arrays.copyOf(message, message.length);
    Wire.put16(reply, 0, replyType << 8);
    Wire.put16(reply, 2, 0);
    IpAddress from = packet.destination;
    IpAddress to = packet.source;
    if (AddressPlan.isOurs(from)) {
      IcmpErrors.sendMessage(stack, reply, from, to);
      return;
    }
    IpAddress target = AddressPlan.toHost(from);
    if (stack.restricted()) {
      stack.errors().unreachable(packet, IcmpErrors.Reason.PROHIBITED);
    } else if (target == null) {
      stack.errors().unreachable(packet, IcmpErrors.Reason.NO_ROUTE);
    } else {
      outside.ping(target, () -> IcmpErrors.sendMessage(stack, reply, from, to));
    }
  }
}
