package dev.bothy.net.user;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * A guest's TCP connection for tests, written apart from the stack's: sends a pattern by go-back-N
 * with fast retransmission, checks a pattern that comes in, acknowledges each segment.
 */
final class GuestTcp {
  private static final int MSS = 1460;
  private static final long TIMEOUT = 600_000_000L;
  private static final int FIN = 1;
  private static final int SYN = 2;
  private static final int RST = 4;
  private static final int ACK = 16;

  private final byte[] address;
  private final int port;
  private final byte[] remote;
  private final int remotePort;
  private final boolean selective;
  private final Consumer<byte[]> out;
  private final int initial = 0xffff_f000;
  private int peerInitial;
  private boolean open;
  boolean reset;

  /** Bytes to be sent in all, and then the end. */
  private long toSend;

  private boolean endAfter;
  private long una;
  private long next;
  private long peerEdge;
  private int peerScale;
  private long lastProgress;
  private int duplicates;
  private long recovery = -1;
  int retransmissions;

  long received;
  boolean peerEnded;
  private long peerEnd = -1;
  private final TreeMap<Long, Long> outOfOrder = new TreeMap<>();
  private long newest;

  /** The position before which the window has ever been open. */
  private long promised;

  /** Bytes that the window is open for, beyond what has come. */
  int window = 1 << 20;

  int maximumInFlight = 1 << 17;

  GuestTcp(
      byte[] address,
      int port,
      byte[] remote,
      int remotePort,
      boolean selective,
      Consumer<byte[]> out) {
    this.address = address;
    this.port = port;
    this.remote = remote;
    this.remotePort = remotePort;
    this.selective = selective;
    this.out = out;
  }

  /** What the stream has at a position. */
  static byte pattern(long position) {
    return (byte) (position * 31 + (position >>> 8) * 17 + (position >>> 16));
  }

  void connect(long now) {
    lastProgress = now;
    send(initial, SYN, synOptions(), 0, 0);
  }

  private byte[] synOptions() {
    ByteBuffer options = ByteBuffer.allocate(selective ? 12 : 8);
    options.putInt(0x020405b4).putInt(0x01030307);
    if (selective) {
      options.putInt(0x01010402);
    }
    return options.array();
  }

  void send(long bytes, boolean thenEnd) {
    toSend = bytes;
    endAfter = thenEnd;
  }

  int port() {
    return port;
  }

  boolean open() {
    return open;
  }

  boolean allAcknowledged() {
    return una == toSend + (endAfter ? 1 : 0);
  }

  /** Takes a TCP segment for this connection. */
  void receive(Packets.Seen seen, long now) {
    ByteBuffer in = seen.bytes();
    int sequence = in.getInt(4);
    int acknowledgement = in.getInt(8);
    int flags = in.get(13);
    int header = (in.get(12) >>> 4 & 15) * 4;
    int length = seen.payload().length - header;
    if ((flags & RST) != 0) {
      reset = true;
      return;
    }
    if ((flags & SYN) != 0) {
      peerInitial = sequence;
      readOptions(in, header);
      if (!open) {
        open = true;
        peerEdge = in.getShort(14) & 0xffff;
        lastProgress = now;
      }
      acknowledge();
      return;
    }
    if (!open) {
      return;
    }
    acknowledged(acknowledgement, (long) (in.getShort(14) & 0xffff) << peerScale, length, now);
    long position = received + (sequence - (peerInitial + 1 + (int) received));
    if ((flags & FIN) != 0) {
      peerEnd = position + length;
    }
    if (length > 0) {
      for (int i = 0; i < length; i++) {
        if (position + i >= 0 && in.get(header + i) != pattern(position + i)) {
          throw new AssertionError("wrong byte at " + (position + i));
        }
      }
      take(position, length);
    }
    if (received == peerEnd) {
      peerEnded = true;
    }
    if (length > 0 || (flags & FIN) != 0 || position < received) {
      acknowledge();
    }
  }

  private void readOptions(ByteBuffer in, int header) {
    for (int at = 20; at < header; ) {
      int kind = in.get(at);
      if (kind == 3) {
        peerScale = in.get(at + 2);
      }
      at += kind == 1 ? 1 : kind == 0 ? 60 : in.get(at + 1);
    }
  }

  private void take(long position, int length) {
    if (position + length <= received) {
      return;
    }
    // One byte beyond is a probe.
    if (position + length > promised + 1) {
      throw new AssertionError("data beyond the window");
    }
    long end = Math.min(position + length, received + window);
    if (end <= position) {
      return;
    }
    newest = position;
    outOfOrder.merge(position, end, Math::max);
    while (!outOfOrder.isEmpty() && outOfOrder.firstKey() <= received) {
      received = Math.max(received, outOfOrder.pollFirstEntry().getValue());
    }
  }

  private void acknowledged(int number, long room, int length, long now) {
    long position = una + (number - (initial + 1 + (int) una));
    if (position > next) {
      throw new AssertionError("acknowledges what was not sent");
    }
    if (position < una) {
      return;
    }
    if (position == una && position + room == peerEdge && length == 0 && next > una) {
      if (++duplicates == 3 && una > recovery) {
        recovery = next;
        retransmissions++;
        transmit(una);
      }
    }
    peerEdge = Math.max(peerEdge, position + room);
    if (position > una) {
      una = position;
      lastProgress = now;
      duplicates = 0;
      if (una < recovery) {
        retransmissions++;
        transmit(una);
      }
    }
  }

  /** Sends what may be sent now. */
  void step(long now) {
    if (!open) {
      if (now - lastProgress > TIMEOUT) {
        connect(now);
      }
      return;
    }
    long end = toSend + (endAfter ? 1 : 0);
    if (next > una && now - lastProgress > TIMEOUT) {
      lastProgress = now;
      retransmissions++;
      recovery = next;
      transmit(una);
    }
    while (next < end && next - una < maximumInFlight && next < Math.max(peerEdge, una + 1)) {
      if (next == una) {
        lastProgress = now;
      }
      next += transmit(next);
    }
  }

  long deadline() {
    return !open || next > una ? lastProgress + TIMEOUT + 1 : Long.MAX_VALUE;
  }

  private long transmit(long position) {
    int length = (int) Math.min(MSS, Math.max(0, toSend - position));
    length = (int) Math.min(length, Math.max(1, peerEdge - position));
    boolean fin = endAfter && position + length == toSend;
    send(initial + 1 + (int) position, ACK | (fin ? FIN : 0), null, position, length);
    return length + (fin ? 1 : 0);
  }

  void acknowledge() {
    send(initial + 1 + (int) next, ACK, selective ? blocks() : null, 0, 0);
  }

  private byte[] blocks() {
    List<long[]> ranges = new ArrayList<>();
    for (Map.Entry<Long, Long> entry : outOfOrder.entrySet()) {
      long[] last = ranges.isEmpty() ? null : ranges.getLast();
      if (last != null && entry.getKey() <= last[1]) {
        last[1] = Math.max(last[1], entry.getValue());
      } else {
        ranges.add(new long[] {entry.getKey(), entry.getValue()});
      }
    }
    ranges.sort(
        (a, b) ->
            Boolean.compare(b[0] <= newest && newest < b[1], a[0] <= newest && newest < a[1]));
    int count = Math.min(3, ranges.size());
    if (count == 0) {
      return null;
    }
    ByteBuffer options = ByteBuffer.allocate(4 + 8 * count).putInt(0x01010500 | 2 + 8 * count);
    for (long[] range : ranges.subList(0, count)) {
      options.putInt(peerInitial + 1 + (int) range[0]).putInt(peerInitial + 1 + (int) range[1]);
    }
    return options.array();
  }

  /** Sends bytes out of turn. */
  void sendPiece(long position, int length) {
    next = Math.max(next, position + length);
    send(initial + 1 + (int) position, ACK, null, position, length);
  }

  void send(int sequence, int flags, byte[] options, long position, int length) {
    int header = 20 + (options == null ? 0 : options.length);
    ByteBuffer segment = ByteBuffer.allocate(header + length);
    boolean ack = (flags & ACK) != 0;
    segment.putShort((short) port).putShort((short) remotePort).putInt(sequence);
    segment.putInt(ack ? peerInitial + 1 + (int) received + (peerEnded ? 1 : 0) : 0);
    segment.putShort((short) (header / 4 << 12 | flags));
    int units = Math.min(0xffff, (flags & SYN) != 0 ? 0xffff : window >> 7);
    promised = Math.max(promised, received + ((flags & SYN) != 0 ? units : units << 7));
    segment.putShort((short) units);
    segment.putInt(0);
    if (options != null) {
      segment.put(options);
    }
    for (int i = 0; i < length; i++) {
      segment.put(pattern(position + i));
    }
    out.accept(Packets.ip(address, remote, 6, segment.array(), 16));
  }
}
