package dev.bothy.net.user;

import dev.bothy.net.MacAddress;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A DHCP server (RFC 2131, RFC 2132): gives the guest its address for a day, with router, name
 * server, MTU and host name. Guarded by the stack's lock.
 */
final class Dhcp {
  private static final int SERVER_PORT = 67;
  private static final int CLIENT_PORT = 68;

  // The fixed part of a message (RFC 2131, 2).
  private static final int XID = 4;
  private static final int FLAGS = 10;
  private static final int CLIENT_ADDRESS = 12;
  private static final int YOUR_ADDRESS = 16;
  private static final int SERVER_ADDRESS = 20;
  private static final int HARDWARE_ADDRESS = 28;
  private static final int COOKIE = 236;
  private static final int OPTIONS = 240;
  private static final int COOKIE_VALUE = 0x6382_5363;

  private static final int DISCOVER = 1;
  private static final int OFFER = 2;
  private static final int REQUEST = 3;
  private static final int DECLINE = 4;
  private static final int ACK = 5;
  private static final int NAK = 6;
  private static final int RELEASE = 7;
  private static final int INFORM = 8;

  private static final int OPTION_MASK = 1;
  private static final int OPTION_ROUTER = 3;
  private static final int OPTION_DNS = 6;
  private static final int OPTION_HOST_NAME = 12;
  private static final int OPTION_MTU = 26;
  private static final int OPTION_REQUESTED = 50;
  private static final int OPTION_LEASE = 51;
  private static final int OPTION_TYPE = 53;
  private static final int OPTION_SERVER = 54;
  private static final int OPTION_END = 255;

  private static final int LEASE_SECONDS = 86400;

  /** One for the guest's card, the others for what it may bridge to it. */
  private static final int ADDRESSES = 16;

  private static final int LEAST_MESSAGE = 300;

  private final Stack stack;
  private final String hostName;

  /** Ethernet addresses by the place of the address they were given, the latest last. */
  private final Map<Long, Integer> leases = new LinkedHashMap<>(16, 0.75f, true);

  private IpAddress latest = AddressPlan.GUEST;

  /**
   * @param hostName what the guest is told it is called; null for nothing
   */
  Dhcp(Stack stack, String hostName) {
    this.stack = stack;
    this.hostName = hostName;
  }

  /** The address that was given last. */
  IpAddress latest() {
    return latest;
  }

  /** Takes a UDP packet if it is meant for a DHCP server; false otherwise. */
  boolean received(Packet packet) {
    int at = packet.transport;
    boolean ours =
        packet.length >= Udp.HEADER
            && packet.has(at + Udp.HEADER)
            && Wire.get16(packet.header(), at + 2) == SERVER_PORT
            && (packet.destination.equals(AddressPlan.BROADCAST)
                || packet.destination.equals(AddressPlan.SUBNET_BROADCAST)
                || packet.destination.equals(AddressPlan.GATEWAY));
    if (!ours) {
      return false;
    }
    byte[] datagram = packet.transportBytes();
    int length = Wire.get16(datagram, 4);
    boolean whole =
        length >= Udp.HEADER + OPTIONS
            && length <= datagram.length
            && (Wire.get16(datagram, 6) == 0 || packet.checksumHolds());
    if (whole) {
      answer(Arrays.copyOfRange(datagram, Udp.HEADER, length));
    }
    return true;
  }

  private void answer(byte[] request) {
    boolean valid =
        request[0] == 1
            && request[1] == 1
            && request[2] == 6
            && Wire.get32(request, COOKIE) == COOKIE_VALUE;
    if (!valid) {
      return;
    }
    long client = Wire.get48(request, HARDWARE_ADDRESS);
    int typeAt = option(request, OPTION_TYPE, 1);
    int type = typeAt < 0 ? 0 : request[typeAt];
    switch (type) {
      case DISCOVER -> reply(request, OFFER, address(client));
      case REQUEST -> {
        IpAddress address = address(client);
        int requestedAt = option(request, OPTION_REQUESTED, 4);
        int serverAt = option(request, OPTION_SERVER, 4);
        if (serverAt >= 0 && !IpAddress.read4(request, serverAt).equals(AddressPlan.GATEWAY)) {
          return;
        }
        int wanted = Wire.get32(request, requestedAt >= 0 ? requestedAt : CLIENT_ADDRESS);
        if (wanted == address.v4()) {
          latest = address;
          reply(request, ACK, address);
        } else {
          reply(request, NAK, IpAddress.ANY_IPV4);
        }
      }
      case DECLINE, RELEASE -> leases.remove(client);
      case INFORM -> reply(request, ACK, IpAddress.ANY_IPV4);
      default -> {
        // BOOTP without a type, or a server's message.
      }
    }
  }

  /** The client's address, the same as before if it had one. */
  private IpAddress address(long client) {
    Integer place = leases.get(client);
    if (place == null) {
      if (leases.size() >= ADDRESSES) {
        leases.remove(leases.keySet().iterator().next());
      }
      place = 0;
      while (leases.containsValue(place)) {
        place++;
      }
      leases.put(client, place);
    }
    return IpAddress.v4(AddressPlan.GUEST.v4() + place);
  }

  /** Where the value of an option of at least that size begins, or -1. */
  private static int option(byte[] message, int code, int size) {
    int at = OPTIONS;
    while (at + 1 < message.length && Wire.get8(message, at) != OPTION_END) {
      if (message[at] == 0) {
        at++;
        continue;
      }
      int length = Wire.get8(message, at + 1);
      if (at + 2 + length > message.length) {
        return -1;
      }
      if (Wire.get8(message, at) == code) {
        return length >= size ? at + 2 : -1;
      }
      at += 2 + length;
    }
    return -1;
  }

  private void reply(byte[] request, int type, IpAddress address) {
    byte[] message = new byte[LEAST_MESSAGE + 300];
    message[0] = 2;
    message[1] = 1;
    message[2] = 6;
    Wire.put32(message, XID, Wire.get32(request, XID));
    Wire.put16(message, FLAGS, Wire.get16(request, FLAGS));
    if (type != NAK) {
      Wire.put32(message, CLIENT_ADDRESS, Wire.get32(request, CLIENT_ADDRESS));
      Wire.put32(message, YOUR_ADDRESS, address.v4());
      Wire.put32(message, SERVER_ADDRESS, AddressPlan.GATEWAY.v4());
    }
    System.arraycopy(request, HARDWARE_ADDRESS, message, HARDWARE_ADDRESS, 16);
    Wire.put32(message, COOKIE, COOKIE_VALUE);
    int at = put(message, OPTIONS, OPTION_TYPE, new byte[] {(byte) type});
    at = put(message, at, OPTION_SERVER, AddressPlan.GATEWAY.v4());
    if (type != NAK) {
      at = put(message, at, OPTION_MASK, AddressPlan.MASK);
      if (!address.equals(IpAddress.ANY_IPV4)) {
        at = put(message, at, OPTION_LEASE, LEASE_SECONDS);
      }
      if (!stack.restricted()) {
        at = put(message, at, OPTION_ROUTER, AddressPlan.GATEWAY.v4());
        at = put(message, at, OPTION_DNS, AddressPlan.DNS.v4());
      }
      at = put(message, at, OPTION_MTU, new byte[] {AddressPlan.MTU >> 8, (byte) AddressPlan.MTU});
      if (hostName != null) {
        at = put(message, at, OPTION_HOST_NAME, hostName.getBytes(StandardCharsets.US_ASCII));
      }
    }
    Wire.put8(message, at++, OPTION_END);
    send(
        Arrays.copyOf(message, Math.max(at, LEAST_MESSAGE)),
        Wire.get48(request, HARDWARE_ADDRESS),
        type == NAK || Wire.get16(request, FLAGS) < 0x8000 && address.v4() == 0
            ? IpAddress.v4(Wire.get32(request, CLIENT_ADDRESS))
            : address,
        type == NAK || Wire.get16(request, FLAGS) >= 0x8000);
  }

  private static int put(byte[] message, int at, int code, int value) {
    byte[] bytes = new byte[4];
    Wire.put32(bytes, 0, value);
    return put(message, at, code, bytes);
  }

  private static int put(byte[] message, int at, int code, byte[] value) {
    Wire.put8(message, at, code);
    Wire.put8(message, at + 1, value.length);
    System.arraycopy(value, 0, message, at + 2, value.length);
    return at + 2 + value.length;
  }

  /** Goes to the Ethernet address itself: the client answers no ARP for what it has not yet. */
  private void send(byte[] message, long client, IpAddress address, boolean broadcast) {
    IpAddress to =
        broadcast || address.equals(IpAddress.ANY_IPV4) ? AddressPlan.BROADCAST : address;
    byte[] frame = Ip.allocate(to, Udp.HEADER + message.length);
    int at = Ip.transport(to);
    Wire.put16(frame, at, SERVER_PORT);
    Wire.put16(frame, at + 2, CLIENT_PORT);
    Wire.put16(frame, at + 4, Udp.HEADER + message.length);
    System.arraycopy(message, 0, frame, at + Udp.HEADER, message.length);
    Egress.finishChecksum(frame, at, 6, AddressPlan.GATEWAY, to, Ip.UDP);
    Ip.writeHeader(frame, Ip.UDP, AddressPlan.GATEWAY, to, Udp.HEADER + message.length);
    boolean all = to.equals(AddressPlan.BROADCAST);
    Egress.address(frame, all ? MacAddress.BROADCAST.value() : client, Ipv4.ETHER_TYPE);
    stack.egress().send(frame);
  }
}
