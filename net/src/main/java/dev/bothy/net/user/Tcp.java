package dev.bothy.net.user;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.random.RandomGenerator;

/**
 * All TCP connections of a network: finds them, begins them within limits, refuses what belongs to
 * none, and takes turns among those that have something to send. Guarded by the stack's lock.
 */
final class Tcp {
  /** Connections at a time; a SYN more is not heard. */
  static final int CONNECTIONS = 1024;

  /** Of these, connections that do not stand yet. */
  static final int CONNECTING = 256;

  /** Memory for data on its way, all connections together. */
  private static final int POOL_CHUNKS = (64 << 20) / ChunkPool.CHUNK;

  private static final int FRAMES_A_TURN = 4;
  private static final int DNS_PORT = 53;
  private static final int EPHEMERAL = 49152;

  private final Stack stack;
  private final Outside outside;
  private final RandomGenerator random;
  private final ChunkPool pool = new ChunkPool(POOL_CHUNKS);
  private final Map<TcpConnection.Flow, TcpConnection> connections = new LinkedHashMap<>();
  private final ArrayDeque<TcpConnection> ready = new ArrayDeque<>();

  Tcp(Stack stack, Outside outside, RandomGenerator random) {
    this.stack = stack;
    this.outside = outside;
    this.random = random;
  }

  ChunkPool pool() {
    return pool;
  }

  RandomGenerator random() {
    return random;
  }

  Timeouts timeouts() {
    return stack.timeouts();
  }

  long now() {
    return stack.now();
  }

  int count() {
    return connections.size();
  }

  /** The largest segment that fits the network's MTU. */
  int mss(IpAddress guest) {
    return AddressPlan.MTU - TcpSegment.HEADER - (guest.isV4() ? Ipv4.HEADER : Ipv6.HEADER);
  }

  boolean large(IpAddress guest) {
    return stack.egress().large(guest.isV4());
  }

  /** True if the guest's Ethernet address is known; asks for it otherwise. */
  boolean canReach(IpAddress guest) {
    return stack.neighbors().resolve(guest) >= 0;
  }

  /** A new neighbour's address is known. */
  void reachable(IpAddress guest) {
    for (TcpConnection connection : connections.values()) {
      if (connection.flow().guest().equals(guest)) {
        connection.reachable();
      }
    }
  }

  void received(Packet packet) {
    TcpSegment segment = TcpSegment.parse(packet);
    if (segment == null || segment.sourcePort == 0 || segment.destinationPort == 0) {
      return;
    }
    TcpConnection.Flow flow =
        new TcpConnection.Flow(
            segment.source, segment.sourcePort, segment.destination, segment.destinationPort);
    TcpConnection connection = connections.get(flow);
    boolean opens = segment.has(TcpSegment.SYN) && !segment.has(TcpSegment.ACK);
    if (connection != null && connection.forgettable() && opens) {
      connection.end(false);
      connection = null;
    }
    if (connection != null) {
      connection.received(segment, stack.now());
    } else if (segment.has(TcpSegment.RST)) {
      return;
    } else if (opens) {
      begin(flow, segment);
    } else {
      reset(segment);
    }
  }

  private void begin(TcpConnection.Flow flow, TcpSegment segment) {
    IpAddress target = stack.restricted() ? null : target(flow);
    if (target == null) {
      reset(segment);
      return;
    }
    if (!admits()) {
      return;
    }
    TcpConnection connection = TcpConnection.fromGuest(this, flow, segment);
    connections.put(flow, connection);
    connection.host(outside.connect(target, flow.remotePort(), connection));
  }

  private IpAddress target(TcpConnection.Flow flow) {
    if (AddressPlan.isDns(flow.remote())) {
      return flow.remotePort() == DNS_PORT ? outside.resolver() : null;
    }
    return AddressPlan.toHost(flow.remote());
  }

  /** Makes room for one connection more if that is possible. */
  private boolean admits() {
    if (connections.size() >= CONNECTIONS) {
      TcpConnection old = null;
      for (TcpConnection connection : connections.values()) {
        if (connection.forgettable()) {
          old = connection;
          break;
        }
      }
      if (old == null) {
        return false;
      }
      old.end(false);
    }
    int connecting = 0;
    for (TcpConnection connection : connections.values()) {
      connecting += connection.connecting() ? 1 : 0;
    }
    return connecting < CONNECTING;
  }

  /**
   * Connects to the guest for the host, from the gateway's address.
   *
   * @param port what the guest sees it come from, if that is free
   * @return null if there is no room
   */
  TcpConnection open(IpAddress guest, int guestPort, int port, HostStream host) {
    if (!admits()) {
      return null;
    }
    IpAddress gateway = AddressPlan.gateway(guest.isV4());
    TcpConnection.Flow flow = new TcpConnection.Flow(guest, guestPort, gateway, port);
    while (connections.containsKey(flow)) {
      int other = EPHEMERAL + random.nextInt(65536 - EPHEMERAL);
      flow = new TcpConnection.Flow(guest, guestPort, gateway, other);
    }
    TcpConnection connection = TcpConnection.toGuest(this, flow, host);
    connections.put(flow, connection);
    ready(connection);
    return connection;
  }

  void remove(TcpConnection connection) {
    connections.remove(connection.flow(), connection);
  }

  /** Ends all connections that the guest knew of, without a word to it. */
  void reset() {
    for (TcpConnection connection : new ArrayList<>(connections.values())) {
      if (!connection.calling()) {
        connection.end(false);
      }
    }
  }

  /** Ends all connections without a word to the guest. */
  void close() {
    for (TcpConnection connection : new ArrayList<>(connections.values())) {
      connection.end(false);
    }
  }

  // Output.

  /** The connection may have something to send. */
  void ready(TcpConnection connection) {
    if (!connection.queued) {
      connection.queued = true;
      ready.addLast(connection);
      stack.wake();
    }
  }

  /** Lets one connection send a few frames; false if none has any. */
  boolean emit(long now) {
    TcpConnection connection = ready.pollFirst();
    if (connection == null) {
      return false;
    }
    connection.queued = false;
    if (connection.emit(FRAMES_A_TURN, now)) {
      ready(connection);
    }
    return true;
  }

  /** Sends a segment with bytes of a stream behind its header. */
  void send(
      TcpConnection.Flow flow,
      int sequence,
      int acknowledgement,
      int flags,
      int window,
      byte[] options,
      StreamBuffer data,
      long position,
      int length,
      int mss) {
    byte[] header = header(flow, sequence, acknowledgement, flags, window, options);
    MemorySegment[] parts = data.slices(position, length, MemorySegment.ofArray(header));
    stack.egress().tcp(header, parts, length, flow, mss, stack.neighbors().resolve(flow.guest()));
  }

  /** Sends a segment without data or options, also where nobody knows a connection. */
  void sendControl(TcpConnection.Flow flow, int sequence, int acknowledgement, int flags) {
    byte[] frame = header(flow, sequence, acknowledgement, flags, 0, null);
    int at = frame.length - TcpSegment.HEADER;
    Egress.finishChecksum(frame, at, 16, flow.remote(), flow.guest(), Ip.TCP);
    stack.ip().send(frame, Ip.TCP, flow.remote(), flow.guest());
  }

  /** Refuses a segment that belongs to no connection (RFC 9293, 3.10.7.1). */
  void reset(TcpSegment segment) {
    TcpConnection.Flow flow =
        new TcpConnection.Flow(
            segment.source, segment.sourcePort, segment.destination, segment.destinationPort);
    if (segment.has(TcpSegment.ACK)) {
      sendControl(flow, segment.acknowledgement, 0, TcpSegment.RST);
    } else {
      sendControl(flow, 0, segment.sequence + segment.span(), TcpSegment.RST | TcpSegment.ACK);
    }
  }

  private static byte[] header(
      TcpConnection.Flow flow,
      int sequence,
      int acknowledgement,
      int flags,
      int window,
      byte[] options) {
    int size = TcpSegment.HEADER + (options == null ? 0 : options.length);
    byte[] frame = Ip.allocate(flow.guest(), size);
    int at = frame.length - size;
    Wire.put16(frame, at, flow.remotePort());
    Wire.put16(frame, at + 2, flow.guestPort());
    Wire.put32(frame, at + 4, sequence);
    Wire.put32(frame, at + 8, acknowledgement);
    Wire.put16(frame, at + 12, size / 4 << 12 | flags);
    Wire.put16(frame, at + 14, window);
    if (options != null) {
      System.arraycopy(options, 0, frame, at + TcpSegment.HEADER, options.length);
    }
    return frame;
  }
}
