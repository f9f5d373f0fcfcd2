package dev.bothy.net.user;

import java.nio.ByteBuffer;

/**
 * The half of a connection that sends to the guest: what is unacknowledged, loss detection and
 * retransmission (RFC 6675 with selective acknowledgements, RFC 6582 without), window (RFC 9293,
 * 3.8.6), CUBIC. Positions count the stream's bytes from 0; the FIN takes one behind the last.
 */
final class TcpSender {
  /** Most bytes between the host and the guest's acknowledgement. */
  static final int BUFFER = 1 << 20;

  /** Data of one frame, headers left out, where the guest takes more than an MTU's worth. */
  private static final int LARGEST = 65535 - 120;

  private static final int DUPLICATES = 3;
  private static final int SACK_RANGES = 256;

  /** Where segments go. */
  interface Target {
    /** Sends the stream's bytes from {@code position}, {@code fin} behind them. */
    void send(long position, int length, boolean fin);
  }

  private final StreamBuffer buffer;
  private final RangeSet sacked = new RangeSet(SACK_RANGES);
  private final RoundTrip roundTrip = new RoundTrip();
  private final Target target;
  private Cubic congestion;
  private int mss;
  private boolean selective;

  /** The oldest position that is not acknowledged. */
  private long una;

  /** The next position never sent. */
  private long next;

  /** Where the host's data end by now. */
  private long end;

  private boolean finWanted;

  /** The position before which the guest has room. */
  private long edge;

  private boolean recovering;

  /** Recovery ends when this is acknowledged. */
  private long recoveryPoint;

  /** What is unacknowledged before this is taken for lost. */
  private long lostBefore;

  /** What was lost before this was sent again. */
  private long resent;

  /** {@link #next} when the oldest hole was sent again last. */
  private long resentWhenNext;

  private boolean resendOldest;

  /** True in the recovery that follows a time-out: the window grows from one segment. */
  private boolean slowRestart;

  private int duplicates;
  private boolean heldBack;
  private boolean probeWanted;

  /** The last byte sent was beyond the guest's window, to make it answer. */
  private boolean probing;

  private long timedEnd = -1;
  private long timedAt;

  TcpSender(ChunkPool pool, Target target) {
    this.buffer = new StreamBuffer(pool, BUFFER);
    this.target = target;
  }

  /** What the handshake agreed upon; {@code window} is the guest's first. */
  void begin(int agreedMss, boolean agreedSelective, long window) {
    mss = agreedMss;
    selective = agreedSelective;
    congestion = new Cubic(mss);
    edge = una + window;
  }

  StreamBuffer buffer() {
    return buffer;
  }

  RoundTrip roundTrip() {
    return roundTrip;
  }

  long una() {
    return una;
  }

  /** The next position never sent. */
  long next() {
    return next;
  }

  /** Where the host's data end by now. */
  long end() {
    return end;
  }

  int mss() {
    return mss;
  }

  // The host's side.

  /** Bytes that it takes now. */
  int room() {
    return finWanted ? 0 : (int) Math.min(buffer.end() - end, Integer.MAX_VALUE);
  }

  /** Memory behind the last byte, no more than {@code most} bytes; empty if there is none now. */
  ByteBuffer[] roomViews(int most) {
    long reserved = buffer.reserve(Math.min(end + most, end + room()));
    return reserved <= end ? new ByteBuffer[0] : buffer.views(end, (int) (reserved - end));
  }

  /** {@code count} bytes were put into {@link #roomViews}. */
  void committed(int count) {
    end += count;
  }

  /** Copies; what there was no room for is left in {@code bytes}. */
  void put(ByteBuffer bytes) {
    int limit = bytes.limit();
    long reserved = buffer.reserve(end + Math.min(bytes.remaining(), room()));
    int count = (int) Math.max(0, reserved - end);
    bytes.limit(bytes.position() + count);
    buffer.put(end, bytes);
    bytes.limit(limit);
    end += count;
  }

  /** No more data will come. */
  void finish() {
    finWanted = true;
  }

  boolean finWanted() {
    return finWanted;
  }

  /** True once the guest has acknowledged all data and the FIN. */
  boolean finished() {
    return finWanted && una == end + 1;
  }

  private long streamEnd() {
    return finWanted ? end + 1 : end;
  }

  // The guest's acknowledgements.

  /**
   * The guest acknowledges all before {@code position}, which was sent, and has room up to {@code
   * window} bytes from there.
   *
   * @param plain true if the segment carried nothing else: then it may be a duplicate
   * @param blocks pairs of positions that the guest has, or an empty array
   */
  void acknowledged(long position, long window, boolean plain, long[] blocks, long now) {
    long edgeBefore = edge;
    edge = position + window;
    long sackedBefore = sacked.covered(una, next);
    for (int i = 0; i + 1 < blocks.length; i += 2) {
      if (blocks[i] >= position && blocks[i] < blocks[i + 1] && blocks[i + 1] <= next) {
        sacked.add(blocks[i], blocks[i + 1]);
      }
    }
    if (position > una) {
      advance(position, now);
    } else if (probing && edge > una) {
      // The window is open; whatever became of the probe, its byte goes again.
      probing = false;
      recovering = false;
      next = una;
    } else if (next > una) {
      boolean news = sacked.covered(una, next) > sackedBefore;
      if (selective ? news : plain && edge == edgeBefore) {
        duplicates++;
      }
    }
    detectLoss();
  }

  private void advance(long position, long now) {
    long bytes = position - una;
    if (timedEnd >= 0 && position >= timedEnd) {
      roundTrip.measured(now - timedAt);
      timedEnd = -1;
    }
    roundTrip.progress();
    una = position;
    probing = false;
    sacked.removeBefore(una);
    buffer.release(Math.min(una, end));
    resent = Math.max(resent, una);
    if (recovering && una >= recoveryPoint) {
      recovering = false;
      lostBefore = 0;
    }
    if (recovering) {
      resentWhenNext = next;
      if (!selective) {
        // A partial acknowledgement: the next hole was lost too (RFC 6582, 3.2).
        duplicates = Math.max(0, duplicates - (int) (bytes / mss));
        lostBefore = Math.max(lostBefore, Math.min(una + mss, recoveryPoint));
        resent = una;
      }
      if (slowRestart) {
        congestion.acknowledged(bytes, now, roundTrip.smoothed());
      }
    } else {
      duplicates = 0;
      if (heldBack) {
        congestion.acknowledged(bytes, now, roundTrip.smoothed());
      }
    }
  }

  private void detectLoss() {
    if (next == una) {
      return;
    }
    if (selective) {
      long above = 0;
      for (int i = sacked.count() - 1; i >= 0; i--) {
        above += sacked.end(i) - sacked.start(i);
        if (above > (long) (DUPLICATES - 1) * mss || sacked.count() - i >= DUPLICATES) {
          lostBefore = Math.max(lostBefore, sacked.start(i));
          break;
        }
      }
      if (recovering
          && resent > una
          && sacked.covered(resentWhenNext, next) > (long) DUPLICATES * mss) {
        // What was sent after the oldest hole was sent again has arrived, the hole has not.
        resent = una;
        resentWhenNext = next;
      }
    } else if (duplicates >= DUPLICATES && !recovering) {
      lostBefore = Math.min(una + mss, next);
    }
    if (!recovering && lostBefore > una) {
      recover();
      slowRestart = false;
      congestion.lost(next - una);
      resendOldest = true;
    }
  }

  private void recover() {
    recovering = true;
    recoveryPoint = next;
    resent = una;
    resentWhenNext = next;
    timedEnd = -1;
  }

  /** Bytes that are on their way (RFC 6675, 4). */
  private long inFlight() {
    if (!recovering) {
      long extra = selective ? sacked.covered(una, next) : (long) duplicates * mss;
      return Math.max(0, next - una - extra);
    }
    if (!selective) {
      return Math.max(0, next - Math.max(una, lostBefore) - (long) duplicates * mss)
          + Math.max(0, Math.min(resent, lostBefore) - una);
    }
    long from = Math.max(una, lostBefore);
    long again = Math.min(resent, from);
    return (next - from) - sacked.covered(from, next) + (again - una) - sacked.covered(una, again);
  }

  // Sending.

  /**
   * Sends one frame if there is something that may be sent.
   *
   * @param large true if the guest takes frames of more than one segment
   */
  boolean sendOne(boolean large, long now) {
    return recovering && sendAgain() || sendNew(large, now);
  }

  private boolean sendAgain() {
    long hole = sacked.firstMissing(Math.max(resent, una));
    if (hole >= lostBefore) {
      return false;
    }
    if (!resendOldest && (windowClosed() || inFlight() + mss > congestion.window())) {
      return false;
    }
    long holeEnd = Math.min(sacked.nextStart(hole, lostBefore), lostBefore);
    int length = (int) Math.min(mss, holeEnd - hole);
    if (hole == una) {
      resentWhenNext = next;
    }
    resendOldest = false;
    resent = hole + length;
    transmit(hole, length);
    return true;
  }

  private boolean sendNew(boolean large, long now) {
    long available = streamEnd() - next;
    if (available <= 0) {
      heldBack = false;
      return false;
    }
    if (probeWanted) {
      probeWanted = false;
      probing = true;
      transmitNew(1, now);
      return true;
    }
    long usable = edge - next;
    long room = congestion.window() - inFlight();
    long length = Math.min(Math.min(available, large ? LARGEST : mss), Math.min(usable, room));
    if (length < available && length > mss) {
      length -= length % mss;
    }
    heldBack = room <= usable && room < available;
    // Silly windows are waited out (RFC 9293, 3.8.6.2.1), unless nothing else would wake us.
    boolean small = length < Math.min(available, mss);
    if (length <= 0 || small && next > una) {
      return false;
    }
    transmitNew((int) length, now);
    return true;
  }

  private void transmitNew(int length, long now) {
    if (timedEnd < 0 && !recovering) {
      timedEnd = next + length;
      timedAt = now;
    }
    long from = next;
    next += length;
    transmit(from, length);
  }

  private void transmit(long from, int length) {
    boolean fin = finWanted && from + length > end;
    target.send(from, fin ? length - 1 : length, fin);
  }

  /** True if an acknowledgement, or room, is waited for. */
  boolean waiting() {
    return next > una || streamEnd() > next && edge <= next;
  }

  /** True if the guest's window is what stops us. */
  boolean windowClosed() {
    return edge <= una;
  }

  /** Nothing was heard for the retransmission time-out. */
  void timedOut() {
    roundTrip.backOff();
    timedEnd = -1;
    if (next == una) {
      // A probe of the closed window (RFC 9293, 3.8.6.1).
      probeWanted = true;
      return;
    }
    if (!windowClosed()) {
      congestion.timedOut(inFlight());
    }
    if (roundTrip.backedOff() > 1) {
      // The guest may have thrown away what it had out of order.
      sacked.clear();
    }
    recover();
    slowRestart = true;
    lostBefore = next;
    duplicates = 0;
    resendOldest = true;
  }
}
