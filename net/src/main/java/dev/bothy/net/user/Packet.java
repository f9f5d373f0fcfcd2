package dev.bothy.net.user;

import dev.bothy.net.Frame;
import dev.bothy.net.Offload;
import java.util.Arrays;

/**
 * An IP packet from the guest while it is being taken apart. Headers are read from a copy: the
 * guest may write to the frame meanwhile.
 */
final class Packet {
  /** Enough for the headers of all protocols, with options. */
  static final int HEADER_ROOM = 192;

  /** Where the IP header is. */
  static final int NETWORK = 14;

  final Frame frame;

  /** The frame's first bytes, or all: {@link #HEADER_ROOM} at least, if there are that many. */
  private byte[] bytes;

  IpAddress source;
  IpAddress destination;
  int protocol;
  int hopLimit;

  /** Where the transport header is. */
  int transport;

  /** Bytes from the transport header to the packet's end; all of them are in the frame. */
  int length;

  Packet(Frame frame) {
    this.frame = frame;
    this.bytes = new byte[Math.min(frame.length(), HEADER_ROOM)];
    frame.copyTo(0, bytes, 0, bytes.length);
  }

  /** The frame's first bytes. */
  byte[] header() {
    return bytes;
  }

  /** True if the header bytes up to {@code end} are there, after a longer copy if need be. */
  boolean has(int end) {
    if (end > frame.length()) {
      return false;
    }
    if (end > bytes.length) {
      all();
    }
    return true;
  }

  /** All bytes of the frame. */
  byte[] all() {
    if (bytes.length < frame.length()) {
      byte[] whole = frame.toArray();
      // What was looked at already stays what it was.
      System.arraycopy(bytes, 0, whole, 0, bytes.length);
      bytes = whole;
    }
    return bytes;
  }

  /** The transport header and what follows, as an array of its own. */
  byte[] transportBytes() {
    return Arrays.copyOfRange(all(), transport, transport + length);
  }

  /** True if the transport checksum, over a pseudo header, is right or need not be. */
  boolean checksumHolds() {
    if (frame.offload().checksum() != Offload.Checksum.IN_FRAME) {
      return true;
    }
    int sum =
        Checksum.sum(frame, transport, length)
            + Checksum.pseudo(source, destination, protocol, length);
    return Checksum.fold(sum) == 0xffff;
  }
}
