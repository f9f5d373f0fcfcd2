package dev.bothy.net.user;

import dev.bothy.net.Frame;
import dev.bothy.net.Offload;
import dev.bothy.net.Offloads;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.List;

/** Frames on their way to the card. Guarded by the stack's lock. */
final class Egress {
  /** Finished frames that wait; more are dropped, as by a router with a full queue. */
  private static final int FRAMES = 1024;

  private static final long BYTES = 4 << 20;

  private final Stack stack;
  private final ArrayDeque<byte[]> waiting = new ArrayDeque<>();
  private long waitingBytes;
  private Offloads offloads = Offloads.NONE;
  private List<Frame> out;

  Egress(Stack stack) {
    this.stack = stack;
  }

  void accept(Offloads taken) {
    offloads = taken;
  }

  /** True if the guest takes TCP data beyond the MTU. */
  boolean large(boolean ipv4) {
    return ipv4 ? offloads.tcpIpv4() : offloads.tcpIpv6();
  }

  /** Queues a finished frame, addresses included. */
  void send(byte[] frame) {
    if (waiting.size() < FRAMES && waitingBytes + frame.length <= BYTES) {
      waiting.addLast(frame);
      waitingBytes += frame.length;
      stack.wake();
    }
  }

  /** Writes the Ethernet header. */
  static void address(byte[] frame, long destination, int type) {
    Wire.put48(frame, 0, destination);
    Wire.put48(frame, 6, AddressPlan.MAC.value());
    Wire.put16(frame, 12, type);
  }

  /** Fills in the checksum of a transport header from {@code at} to the frame's end. */
  static void finishChecksum(
      byte[] frame, int at, int field, IpAddress source, IpAddress destination, int protocol) {
    int length = frame.length - at;
    Wire.put16(frame, at + field, 0);
    int sum =
        Checksum.fold(
            Checksum.sum(frame, at, length)
                + Checksum.pseudo(source, destination, protocol, length));
    // UDP says "none" with a zero, and a sum of zero with its other form (RFC 768).
    Wire.put16(frame, at + field, protocol == Ip.UDP && sum == 0xffff ? 0xffff : ~sum);
  }

  /** Moves what waits, and then what connections have to send, to {@code frames}. */
  void collect(List<Frame> frames, int most, Tcp tcp, long now) {
    out = frames;
    do {
      while (frames.size() < most && !waiting.isEmpty()) {
        byte[] frame = waiting.pollFirst();
        waitingBytes -= frame.length;
        frames.add(Frame.of(frame));
      }
      // What one connection sends in its turn may go beyond; or it asks for an address first.
    } while (frames.size() < most && (tcp.emit(now) || !waiting.isEmpty()));
    out = null;
  }

  /**
   * Sends a TCP segment during {@link #collect}.
   *
   * @param header room for Ethernet and IP headers, and the TCP header without checksum
   * @param parts the header and the data
   * @param length bytes of data
   */
  void tcp(
      byte[] header,
      MemorySegment[] parts,
      int length,
      TcpConnection.Flow flow,
      int mss,
      long destination) {
    if (destination < 0) {
      // Nobody is known there any more; the retransmission asks.
      return;
    }
    boolean ipv4 = flow.guest().isV4();
    int transport = Ip.transport(flow.guest());
    int size = header.length - transport;
    Ip.writeHeader(header, Ip.TCP, flow.remote(), flow.guest(), size + length);
    address(header, destination, ipv4 ? Ipv4.ETHER_TYPE : Ipv6.ETHER_TYPE);
    int pseudo = Checksum.pseudo(flow.remote(), flow.guest(), Ip.TCP, size + length);
    Offload offload = Offload.NONE;
    if (offloads.checksum()) {
      Wire.put16(header, transport + 16, pseudo);
      offload =
          new Offload(
              Offload.Checksum.PARTIAL,
              transport,
              16,
              length <= mss
                  ? Offload.Segmentation.NONE
                  : ipv4 ? Offload.Segmentation.TCP_IPV4 : Offload.Segmentation.TCP_IPV6,
              header.length,
              mss);
    } else {
      int sum = pseudo + Checksum.sum(header, transport, size);
      boolean odd = false;
      for (int i = 1; i < parts.length; i++) {
        sum += Checksum.after(odd, Checksum.sum(parts[i], 0, parts[i].byteSize()));
        odd ^= (parts[i].byteSize() & 1) != 0;
      }
      Wire.put16(header, transport + 16, ~Checksum.fold(sum));
    }
    out.add(new Frame(offload, parts));
  }
}
