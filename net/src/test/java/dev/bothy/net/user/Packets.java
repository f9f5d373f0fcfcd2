package dev.bothy.net.user;

import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * Builds and reads packets for the guest's side of tests, with code of its own, the plainest there
 * is: what the stack gets wrong shall not be right here too.
 */
final class Packets {
  static final byte[] GUEST_MAC = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
  static final byte[] GATEWAY_MAC = {0x52, 0x55, 0x0a, 0, 2, 2};

  /** An IP packet that came in, its checksums checked. */
  record Seen(int protocol, byte[] source, byte[] destination, byte[] payload) {
    ByteBuffer bytes() {
      return ByteBuffer.wrap(payload);
    }
  }

  private Packets() {}

  static byte[] address(String text) {
    return InetAddress.ofLiteral(text).getAddress();
  }

  static byte[] join(byte[]... parts) {
    int length = Arrays.stream(parts).mapToInt(part -> part.length).sum();
    ByteBuffer all = ByteBuffer.allocate(length);
    Arrays.stream(parts).forEach(all::put);
    return all.array();
  }

  /** RFC 1071, word by word. */
  static int checksum(byte[]... parts) {
    byte[] bytes = join(parts);
    int sum = 0;
    for (int i = 0; i < bytes.length; i++) {
      sum += (bytes[i] & 0xff) << (i % 2 == 0 ? 8 : 0);
      sum = (sum & 0xffff) + (sum >>> 16);
    }
    return ~sum & 0xffff;
  }

  static byte[] pseudo(byte[] source, byte[] destination, int protocol, int length) {
    return source.length == 4
        ? join(
            source,
            destination,
            new byte[] {0, (byte) protocol, (byte) (length >> 8), (byte) length})
        : join(source, destination, ByteBuffer.allocate(8).putInt(length).putInt(protocol).array());
  }

  static byte[] ethernet(byte[] destination, int type, byte[] payload) {
    return join(destination, GUEST_MAC, new byte[] {(byte) (type >> 8), (byte) type}, payload);
  }

  /** A frame with an IP packet; {@code checksumAt} is where the payload's own is, or -1. */
  static byte[] ip(
      byte[] source, byte[] destination, int protocol, byte[] payload, int checksumAt) {
    byte[] body = payload.clone();
    if (checksumAt >= 0) {
      boolean plain = protocol == 1;
      int sum =
          checksum(plain ? new byte[0] : pseudo(source, destination, protocol, body.length), body);
      body[checksumAt] = (byte) (sum >> 8);
      body[checksumAt + 1] = (byte) sum;
    }
    if (source.length == 4) {
      return ethernet(GATEWAY_MAC, 0x800, ipv4(source, destination, protocol, body, 7, 0));
    }
    byte[] header =
        ByteBuffer.allocate(40)
            .putInt(0x60000000)
            .putShort((short) body.length)
            .put((byte) protocol)
            .put((byte) 255)
            .put(source)
            .put(destination)
            .array();
    return ethernet(GATEWAY_MAC, 0x86dd, join(header, body));
  }

  static byte[] ipv4(
      byte[] source,
      byte[] destination,
      int protocol,
      byte[] body,
      int identification,
      int fragment) {
    byte[] header =
        ByteBuffer.allocate(20)
            .put((byte) 0x45)
            .put((byte) 0)
            .putShort((short) (20 + body.length))
            .putShort((short) identification)
            .putShort((short) fragment)
            .put((byte) 64)
            .put((byte) protocol)
            .putShort((short) 0)
            .put(source)
            .put(destination)
            .array();
    int sum = checksum(header);
    header[10] = (byte) (sum >> 8);
    header[11] = (byte) sum;
    return join(header, body);
  }

  static byte[] udp(byte[] source, int sourcePort, byte[] destination, int port, byte[] data) {
    byte[] datagram =
        ByteBuffer.allocate(8 + data.length)
            .putShort((short) sourcePort)
            .putShort((short) port)
            .putShort((short) (8 + data.length))
            .putShort((short) 0)
            .put(data)
            .array();
    return ip(source, destination, 17, datagram, 6);
  }

  /** Takes an IP frame apart; null for other frames. Wrong checksums are an error. */
  static Seen read(byte[] frame) {
    ByteBuffer in = ByteBuffer.wrap(frame);
    int type = in.getShort(12) & 0xffff;
    if (type == 0x800) {
      int header = (frame[14] & 15) * 4;
      int total = in.getShort(16) & 0xffff;
      if (checksum(Arrays.copyOfRange(frame, 14, 14 + header)) != 0) {
        throw new AssertionError("IPv4 header checksum");
      }
      Seen seen =
          new Seen(
              frame[23] & 0xff,
              Arrays.copyOfRange(frame, 26, 30),
              Arrays.copyOfRange(frame, 30, 34),
              Arrays.copyOfRange(frame, 14 + header, 14 + total));
      return checked(seen, (in.getShort(20) & 0x3fff) != 0);
    }
    if (type == 0x86dd) {
      int length = in.getShort(18) & 0xffff;
      Seen seen =
          new Seen(
              frame[20] & 0xff,
              Arrays.copyOfRange(frame, 22, 38),
              Arrays.copyOfRange(frame, 38, 54),
              Arrays.copyOfRange(frame, 54, 54 + length));
      return checked(seen, seen.protocol == 44);
    }
    return null;
  }

  private static Seen checked(Seen seen, boolean fragment) {
    if (fragment) {
      return seen;
    }
    byte[] before =
        seen.protocol == 1
            ? new byte[0]
            : pseudo(seen.source, seen.destination, seen.protocol, seen.payload.length);
    if (checksum(before, seen.payload) != 0) {
      throw new AssertionError("checksum of protocol " + seen.protocol);
    }
    return seen;
  }
}
