package dev.bothy.net.user;

import dev.bothy.net.Frame;

/** A TCP segment from the guest (RFC 9293, 3.1), with the options of RFC 7323 and RFC 2018. */
final class TcpSegment {
  static final int FIN = 1;
  static final int SYN = 2;
  static final int RST = 4;
  static final int PSH = 8;
  static final int ACK = 16;

  static final int HEADER = 20;
  private static final int END = 0;
  private static final int NOTHING = 1;
  static final int MSS = 2;
  static final int WINDOW_SCALE = 3;
  static final int SACK_PERMITTED = 4;
  static final int SACK = 5;

  /** What is assumed where nothing is said, and the least that is believed. */
  private static final int DEFAULT_MSS = 536;

  final Frame frame;
  final IpAddress source;
  final IpAddress destination;
  final int sourcePort;
  final int destinationPort;
  final int sequence;
  final int acknowledgement;
  final int flags;

  /** As in the header, unscaled. */
  final int window;

  /** Where in the frame the data are. */
  final int data;

  final int length;
  int mss = DEFAULT_MSS;

  /** -1 if the option is not there. */
  int windowScale = -1;

  boolean sackPermitted;
  int sackBlocks;
  final int[] sackLeft = new int[4];
  final int[] sackRight = new int[4];

  private TcpSegment(Packet packet, byte[] bytes, int headerLength) {
    int at = packet.transport;
    frame = packet.frame;
    source = packet.source;
    destination = packet.destination;
    sourcePort = Wire.get16(bytes, at);
    destinationPort = Wire.get16(bytes, at + 2);
    sequence = Wire.get32(bytes, at + 4);
    acknowledgement = Wire.get32(bytes, at + 8);
    flags = bytes[at + 13];
    window = Wire.get16(bytes, at + 14);
    data = at + headerLength;
    length = packet.length - headerLength;
    options(bytes, at + HEADER, data);
  }

  /** Null if it is malformed. */
  static TcpSegment parse(Packet packet) {
    int at = packet.transport;
    if (packet.length < HEADER || !packet.has(at + HEADER)) {
      return null;
    }
    int headerLength = (Wire.get8(packet.header(), at + 12) >>> 4) * 4;
    if (headerLength < HEADER
        || headerLength > packet.length
        || !packet.has(at + headerLength)
        || !packet.checksumHolds()) {
      return null;
    }
    return new TcpSegment(packet, packet.header(), headerLength);
  }

  private void options(byte[] bytes, int from, int end) {
    int at = from;
    while (at < end) {
      int kind = Wire.get8(bytes, at);
      if (kind == END) {
        return;
      }
      if (kind == NOTHING) {
        at++;
        continue;
      }
      int size = at + 1 < end ? Wire.get8(bytes, at + 1) : 0;
      if (size < 2 || at + size > end) {
        return;
      }
      switch (kind) {
        case MSS -> {
          if (size == 4) {
            mss = Math.max(DEFAULT_MSS / 8, Wire.get16(bytes, at + 2));
          }
        }
        case WINDOW_SCALE -> {
          if (size == 3) {
            windowScale = Math.min(14, Wire.get8(bytes, at + 2));
          }
        }
        case SACK_PERMITTED -> sackPermitted = true;
        case SACK -> {
          sackBlocks = Math.min(4, (size - 2) / 8);
          for (int i = 0; i < sackBlocks; i++) {
            sackLeft[i] = Wire.get32(bytes, at + 2 + 8 * i);
            sackRight[i] = Wire.get32(bytes, at + 6 + 8 * i);
          }
        }
        default -> {
          // Timestamps and the rest were not agreed upon.
        }
      }
      at += size;
    }
  }

  boolean has(int flag) {
    return (flags & flag) != 0;
  }

  /** What it takes of the sequence space. */
  int span() {
    return length + (has(SYN) ? 1 : 0) + (has(FIN) ? 1 : 0);
  }
}
