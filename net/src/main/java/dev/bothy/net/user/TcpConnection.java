package dev.bothy.net.user;

import java.nio.ByteBuffer;

/**
 * A TCP connection between the guest and something beyond the gateway (RFC 9293, 3.10), the states
 * of the guest's side and the handing over to the host's. The stream to the guest is {@link
 * TcpSender}'s, the one from it {@link TcpReceiver}'s. Guarded by the stack's lock.
 */
public final class TcpConnection extends Timeouts.Timeout {
  /** Who talks to whom. */
  record Flow(IpAddress guest, int guestPort, IpAddress remote, int remotePort) {}

  private enum State {
    /** The guest's SYN waits for the host's connection. */
    CONNECTING,
    SYN_RECEIVED,
    SYN_SENT,
    /** All from ESTABLISHED to the last acknowledgement; the halves know how far they are. */
    OPEN,
    /** All is acknowledged; the host may still have to take data. */
    TIME_WAIT,
    CLOSED
  }

  private static final int SYN_TRIES = 6;
  private static final int TRIES = 10;
  private static final int ACKS_AT_ONCE = 8;
  private static final long TIME_WAIT = 2_000_000_000L;
  private static final long DRAIN_TIME = 60_000_000_000L;
  private static final long KEEP_ALIVE = 600_000_000_000L;
  private static final long KEEP_ALIVE_AGAIN = 15_000_000_000L;

  private static final long[] NO_BLOCKS = {};
  private static final ByteBuffer[] NO_VIEWS = {};

  private final Tcp tcp;
  private final Flow flow;
  private final TcpSender sender;
  private final TcpReceiver receiver;
  private final int initialSend;
  private int initialReceive;
  private HostStream host;
  private State state;
  private int guestScale;
  private int agreedMss;
  private boolean scaling;
  private boolean selective;
  private boolean synDue;
  private int acksOwed;
  private boolean probeOwed;
  private int unanswered;

  /** True if the timer is armed for an answer, not for a sign of life. */
  private boolean waiting;

  private boolean filling;
  private boolean draining;

  /** Set while it is in {@link Tcp}'s queue of those that have something to send. */
  boolean queued;

  private TcpConnection(Tcp tcp, Flow flow, State state) {
    this.tcp = tcp;
    this.flow = flow;
    this.state = state;
    this.initialSend = tcp.random().nextInt();
    this.sender = new TcpSender(tcp.pool(), this::sendData);
    this.receiver = new TcpReceiver(tcp.pool());
    this.agreedMss = tcp.mss(flow.guest());
  }

  /** What the guest wants with a SYN; waits for the host. */
  static TcpConnection fromGuest(Tcp tcp, Flow flow, TcpSegment syn) {
    TcpConnection connection = new TcpConnection(tcp, flow, State.CONNECTING);
    connection.agree(syn);
    return connection;
  }

  /** What the host wants; a SYN goes to the guest. */
  static TcpConnection toGuest(Tcp tcp, Flow flow, HostStream host) {
    TcpConnection connection = new TcpConnection(tcp, flow, State.SYN_SENT);
    connection.host = host;
    connection.synDue = true;
    return connection;
  }

  private void agree(TcpSegment syn) {
    initialReceive = syn.sequence;
    agreedMss = Math.min(agreedMss, syn.mss);
    scaling = syn.windowScale >= 0;
    guestScale = Math.max(0, syn.windowScale);
    selective = syn.sackPermitted;
    receiver.begin(agreedMss, scaling);
  }

  void host(HostStream stream) {
    host = stream;
  }

  Flow flow() {
    return flow;
  }

  boolean connecting() {
    return state == State.CONNECTING || state == State.SYN_RECEIVED || state == State.SYN_SENT;
  }

  /** True if the guest was called and has not answered. */
  boolean calling() {
    return state == State.SYN_SENT;
  }

  /** True if nothing is lost when it is forgotten: both sides have all there was. */
  boolean forgettable() {
    return state == State.TIME_WAIT && receiver.drained();
  }

  /** True once the guest has nothing to do with it any more. */
  public boolean closed() {
    return state == State.CLOSED;
  }

  // What the guest sends.

  void received(TcpSegment segment, long now) {
    unanswered = 0;
    switch (state) {
      case CONNECTING -> {
        if (segment.has(TcpSegment.RST)) {
          end(false);
        }
      }
      case SYN_SENT -> answered(segment, now);
      case SYN_RECEIVED -> confirmed(segment, now);
      case OPEN -> established(segment, now);
      case TIME_WAIT -> {
        if (segment.span() > 0) {
          oweAck();
        }
      }
      case CLOSED -> {
        // Out of the table already.
      }
      default -> throw new AssertionError(state);
    }
  }

  private void answered(TcpSegment segment, long now) {
    boolean ack = segment.has(TcpSegment.ACK);
    if (ack && segment.acknowledgement != initialSend + 1) {
      if (!segment.has(TcpSegment.RST)) {
        tcp.reset(segment);
      }
    } else if (segment.has(TcpSegment.RST)) {
      if (ack) {
        end(false);
      }
    } else if (ack && segment.has(TcpSegment.SYN)) {
      agree(segment);
      open(segment.window, now);
      oweAck();
      host.writable();
    }
  }

  private void confirmed(TcpSegment segment, long now) {
    if (segment.has(TcpSegment.RST)) {
      if (segment.sequence == initialReceive + 1) {
        end(false);
      }
    } else if (segment.has(TcpSegment.SYN)) {
      if (segment.sequence == initialReceive) {
        synDue = true;
        tcp.ready(this);
      }
    } else if (segment.has(TcpSegment.ACK)) {
      if (segment.acknowledgement != initialSend + 1) {
        tcp.reset(segment);
        return;
      }
      open(segment.window << guestScale, now);
      host.writable();
      established(segment, now);
    }
  }

  private void open(long window, long now) {
    state = State.OPEN;
    synDue = false;
    sender.begin(agreedMss, selective, window);
    sender.roundTrip().progress();
    rearm(now);
  }

  private void established(TcpSegment segment, long now) {
    long next = receiver.next();
    long position = next + (segment.sequence - (initialReceive + 1 + (int) next));
    if (segment.has(TcpSegment.RST)) {
      // Only the exact number resets; others make us ask (RFC 5961, 3.2).
      if (position == next) {
        end(false);
      } else {
        oweAck();
      }
      return;
    }
    if (segment.has(TcpSegment.SYN)) {
      oweAck();
      return;
    }
    if (!segment.has(TcpSegment.ACK)) {
      return;
    }
    long una = sender.una();
    long acknowledged = una + (segment.acknowledgement - (initialSend + 1 + (int) una));
    if (acknowledged > sender.next() || position + segment.span() < next) {
      oweAck();
      return;
    }
    boolean nothing = segment.span() == 0;
    if (acknowledged >= una) {
      sender.acknowledged(
          acknowledged,
          (long) segment.window << guestScale,
          nothing,
          blocks(segment, acknowledged),
          now);
      if (acknowledged > una) {
        rearm(now);
      }
      host.writable();
      tcp.ready(this);
    }
    if (!nothing) {
      takeData(position, segment);
    } else if (position != next) {
      oweAck();
    }
    settle(now);
  }

  private void takeData(long position, TcpSegment segment) {
    if (receiver.finished()) {
      oweAck();
      return;
    }
    boolean holes = receiver.hasHoles();
    boolean inOrder =
        receiver.data(
            position, segment.frame, segment.data, segment.length, segment.has(TcpSegment.FIN));
    if (inOrder && !holes) {
      acksOwed = Math.max(acksOwed, 1);
      tcp.ready(this);
    } else {
      oweAck();
    }
    if (receiver.pending() > 0 || receiver.finished()) {
      host.readable();
    }
  }

  private long[] blocks(TcpSegment segment, long acknowledged) {
    if (!selective || segment.sackBlocks == 0) {
      return NO_BLOCKS;
    }
    long[] positions = new long[2 * segment.sackBlocks];
    for (int i = 0; i < segment.sackBlocks; i++) {
      positions[2 * i] = acknowledged + (segment.sackLeft[i] - segment.acknowledgement);
      positions[2 * i + 1] = acknowledged + (segment.sackRight[i] - segment.acknowledgement);
    }
    return positions;
  }

  /** One more acknowledgement, even if it says the same as the last. */
  private void oweAck() {
    acksOwed = Math.min(acksOwed + 1, ACKS_AT_ONCE);
    tcp.ready(this);
  }

  /** Goes on to the next state if both halves are done. */
  private void settle(long now) {
    if (state == State.OPEN && sender.finished() && receiver.finished()) {
      state = State.TIME_WAIT;
      releaseBuffers();
      tcp.timeouts().arm(this, now + (receiver.drained() ? TIME_WAIT : DRAIN_TIME));
    }
  }

  // What goes to the guest.

  /** Sends up to {@code most} frames; true if there are more to be sent now. */
  boolean emit(int most, long now) {
    switch (state) {
      case SYN_SENT, SYN_RECEIVED -> {
        if (synDue && tcp.canReach(flow.guest())) {
          synDue = false;
          sendSyn();
          tcp.timeouts().arm(this, now + sender.roundTrip().timeout());
        } else if (synDue && !armed()) {
          tcp.timeouts().arm(this, now + sender.roundTrip().timeout());
        }
        return false;
      }
      case OPEN, TIME_WAIT -> {
        return emitOpen(most, now);
      }
      default -> {
        return false;
      }
    }
  }

  private boolean emitOpen(int most, long now) {
    if (!tcp.canReach(flow.guest())) {
      return false;
    }
    if (probeOwed) {
      // A number before the next makes the guest answer (RFC 9293, 3.8.4).
      probeOwed = false;
      send(sequence(sender.next()) - 1, TcpSegment.ACK, null, 0, 0);
    }
    boolean large = tcp.large(flow.guest());
    int sent = 0;
    while (sent < most && state == State.OPEN && sender.sendOne(large, now)) {
      sent++;
    }
    if (acksOwed > 0 && (sent == 0 || receiver.hasHoles())) {
      for (; acksOwed > 0; acksOwed--) {
        send(sequence(sender.next()), TcpSegment.ACK, acknowledgementOptions(), 0, 0);
      }
    }
    acksOwed = 0;
    if (state == State.OPEN && !(armed() && waiting)) {
      rearm(now);
    }
    return sent == most;
  }

  private void rearm(long now) {
    waiting = sender.waiting();
    tcp.timeouts().arm(this, now + (waiting ? sender.roundTrip().timeout() : KEEP_ALIVE));
  }

  private int sequence(long position) {
    return initialSend + 1 + (int) position;
  }

  private void sendData(long position, int length, boolean fin) {
    int flags =
        TcpSegment.ACK
            | (position + length == sender.end() ? TcpSegment.PSH : 0)
            | (fin ? TcpSegment.FIN : 0);
    send(sequence(position), flags, null, position, length);
  }

  private void send(int sequence, int flags, byte[] options, long position, int length) {
    int acknowledgement = initialReceive + 1 + (int) receiver.next();
    tcp.send(
        flow,
        sequence,
        acknowledgement,
        flags,
        receiver.advertise(true),
        options,
        sender.buffer(),
        position,
        length,
        agreedMss);
  }

  private void sendSyn() {
    boolean answer = state == State.SYN_RECEIVED;
    byte[] options = new byte[4 + (answer && !selective ? 0 : 4) + (answer && !scaling ? 0 : 4)];
    Wire.put32(options, 0, TcpSegment.MSS << 24 | 4 << 16 | tcp.mss(flow.guest()));
    int at = 4;
    if (!answer || selective) {
      Wire.put32(options, at, 0x0101_0000 | TcpSegment.SACK_PERMITTED << 8 | 2);
      at += 4;
    }
    if (!answer || scaling) {
      Wire.put32(
          options,
          at,
          0x0100_0000 | TcpSegment.WINDOW_SCALE << 16 | 3 << 8 | TcpReceiver.WINDOW_SCALE);
    }
    tcp.send(
        flow,
        initialSend,
        answer ? initialReceive + 1 : 0,
        TcpSegment.SYN | (answer ? TcpSegment.ACK : 0),
        receiver.advertise(false),
        options,
        sender.buffer(),
        0,
        0,
        agreedMss);
  }

  private byte[] acknowledgementOptions() {
    int blocks = selective ? receiver.blocks(3) : 0;
    if (blocks == 0) {
      return null;
    }
    byte[] options = new byte[4 + 8 * blocks];
    Wire.put32(options, 0, 0x0101_0000 | TcpSegment.SACK << 8 | 2 + 8 * blocks);
    for (int i = 0; i < blocks; i++) {
      int index = receiver.block(i);
      Wire.put32(options, 4 + 8 * i, initialReceive + 1 + (int) receiver.blockStart(index));
      Wire.put32(options, 8 + 8 * i, initialReceive + 1 + (int) receiver.blockEnd(index));
    }
    return options;
  }

  /** The guest's Ethernet address is known now. */
  void reachable() {
    tcp.ready(this);
  }

  // Time.

  @Override
  void expired(long now) {
    if (queued && state != State.TIME_WAIT) {
      // The card takes nothing: what should be answered has not even been sent.
      tcp.timeouts().arm(this, now + sender.roundTrip().timeout());
      return;
    }
    switch (state) {
      case SYN_SENT, SYN_RECEIVED -> {
        sender.roundTrip().backOff();
        if (++unanswered > SYN_TRIES) {
          end(true);
          return;
        }
        synDue = true;
        tcp.ready(this);
      }
      case OPEN -> {
        if (++unanswered > TRIES) {
          end(true);
        } else if (waiting) {
          sender.timedOut();
          rearm(now);
          tcp.ready(this);
        } else {
          probeOwed = true;
          tcp.ready(this);
          tcp.timeouts().arm(this, now + KEEP_ALIVE_AGAIN);
        }
      }
      default -> end(false);
    }
  }

  /** Over at once: the host's side is told, and with {@code tellGuest} the guest by a RST. */
  void end(boolean tellGuest) {
    if (state == State.CLOSED) {
      return;
    }
    if (tellGuest && state != State.TIME_WAIT) {
      boolean answer = state != State.SYN_SENT;
      tcp.sendControl(
          flow,
          state == State.CONNECTING ? 0 : sequence(sender.next()) - (connecting() ? 1 : 0),
          answer ? initialReceive + 1 + (int) receiver.next() : 0,
          TcpSegment.RST | (answer ? TcpSegment.ACK : 0));
    }
    boolean complete = state == State.TIME_WAIT && receiver.drained();
    state = State.CLOSED;
    tcp.timeouts().cancel(this);
    tcp.remove(this);
    releaseBuffers();
    if (host != null && !complete) {
      host.abort();
    }
  }

  private void releaseBuffers() {
    if (!filling) {
      sender.buffer().clear();
    }
    if (!draining && (state == State.CLOSED || receiver.drained())) {
      receiver.buffer().clear();
    }
  }

  // The host's side.

  /** The host's connection stands. */
  public void hostConnected() {
    if (state == State.CONNECTING) {
      state = State.SYN_RECEIVED;
      synDue = true;
      tcp.ready(this);
    }
  }

  /** There is no connection, or it broke: the guest gets a RST. */
  public void hostFailed() {
    end(true);
  }

  /** Bytes that may be put now; 0 before the connection stands. */
  public int room() {
    return state == State.OPEN ? sender.room() : 0;
  }

  /**
   * Room for bytes to the guest, to be written to without the lock; empty if there is none. Then
   * {@link #endFill} must follow.
   */
  public ByteBuffer[] beginFill(int most) {
    ByteBuffer[] views = room() == 0 ? NO_VIEWS : sender.roomViews(Math.min(most, room()));
    filling = views.length > 0;
    return views;
  }

  /** So many bytes were written to what {@link #beginFill} gave. */
  public void endFill(int count) {
    filling = false;
    if (state != State.OPEN) {
      releaseBuffers();
    } else if (count > 0) {
      sender.committed(count);
      tcp.ready(this);
    }
  }

  /** Puts bytes for the guest, as far as there is room. */
  public void put(ByteBuffer bytes) {
    if (room() > 0) {
      sender.put(bytes);
      tcp.ready(this);
    }
  }

  /** The host sends nothing more. */
  public void hostEnded() {
    if (state == State.OPEN && !sender.finWanted()) {
      sender.finish();
      tcp.ready(this);
    }
  }

  /**
   * The guest's data that wait, to be read without the lock; empty if there are none. Then {@link
   * #endDrain} must follow.
   */
  public ByteBuffer[] beginDrain(int most) {
    boolean some = state != State.CLOSED && receiver.pending() > 0;
    draining = some;
    return some ? receiver.pendingViews(most) : NO_VIEWS;
  }

  /** So many bytes of what {@link #beginDrain} gave were taken. */
  public void endDrain(int count) {
    draining = false;
    if (state == State.CLOSED) {
      releaseBuffers();
      return;
    }
    receiver.taken(count);
    if (state == State.TIME_WAIT) {
      if (count > 0) {
        // A slow reader is given its time as long as it takes anything.
        releaseBuffers();
        tcp.timeouts().arm(this, tcp.now() + (receiver.drained() ? TIME_WAIT : DRAIN_TIME));
      }
    } else if (receiver.windowUpdateDue()) {
      acksOwed = Math.max(acksOwed, 1);
      tcp.ready(this);
    }
  }

  /** True once the guest's data were all taken and no more will come. */
  public boolean guestEnded() {
    return receiver.drained();
  }
}
