package dev.bothy.net.user;

import dev.bothy.net.Frame;
import java.nio.ByteBuffer;

/**
 * The half of a connection that receives from the guest: reassembly, the window that is advertised
 * (RFC 9293, 3.8.6; RFC 7323, 2) and selective acknowledgements (RFC 2018). Positions count the
 * stream's bytes from 0; the FIN takes one behind the last.
 */
final class TcpReceiver {
  /** Most bytes between the guest and the host's socket. */
  static final int BUFFER = 1 << 20;

  /** The window's unit, as a shift: up to 4 MiB could be said. */
  static final int WINDOW_SCALE = 6;

  /** Ranges out of order that are remembered; what would make one more is dropped. */
  private static final int RANGES = 64;

  private final StreamBuffer buffer;
  private final RangeSet outOfOrder = new RangeSet(RANGES);
  private boolean scaled;

  /** The position that comes next. */
  private long next;

  /** The position before which the guest may send; never goes back. */
  private long edge;

  private long finPosition = -1;

  /** In the range that changed last, which is told first. */
  private long latest;

  private int mss;

  TcpReceiver(ChunkPool pool) {
    this.buffer = new StreamBuffer(pool, BUFFER);
  }

  /** What the handshake agreed upon. */
  void begin(int agreedMss, boolean windowScaled) {
    mss = agreedMss;
    scaled = windowScaled;
  }

  StreamBuffer buffer() {
    return buffer;
  }

  /** The position that comes next, the FIN's counted. */
  long next() {
    return finished() ? next + 1 : next;
  }

  /** True once all data and the FIN are there. */
  boolean finished() {
    return next == finPosition;
  }

  /** True if there are holes before something that is there. */
  boolean hasHoles() {
    return !outOfOrder.isEmpty();
  }

  // The guest's side.

  /**
   * Takes the data of a segment, as far as they are new and within the window.
   *
   * @return true if they were what came next
   */
  boolean data(long position, Frame frame, int from, int length, boolean fin) {
    long last = position + length;
    if (fin && finPosition < 0 && last >= next && last <= edge && !beyond(last)) {
      finPosition = last;
    }
    long begin = Math.max(position, next);
    long end = Math.min(last, finPosition < 0 ? edge : Math.min(edge, finPosition));
    end = Math.min(end, buffer.reserve(end));
    if (begin >= end) {
      return length == 0 && fin && finished();
    }
    if (begin > next) {
      if (outOfOrder.add(begin, end) < 0) {
        return false;
      }
      buffer.put(begin, frame, from + (int) (begin - position), (int) (end - begin));
      latest = begin;
      return false;
    }
    buffer.put(begin, frame, from + (int) (begin - position), (int) (end - begin));
    next = outOfOrder.firstMissing(end);
    outOfOrder.removeBefore(next);
    return true;
  }

  /**
   * True if something is there that lies beyond {@code position}: no stream ends before its end.
   */
  private boolean beyond(long position) {
    int count = outOfOrder.count();
    return count > 0 && outOfOrder.end(count - 1) > position;
  }

  /** The window field of a segment to be sent now; remembers what was promised. */
  int advertise(boolean withScale) {
    int shift = withScale && scaled ? WINDOW_SCALE : 0;
    long free = Math.max(0, buffer.end() - next);
    long units = Math.min(free >> shift, 0xffff);
    edge = Math.max(edge, next + (units << shift));
    return (int) Math.min(edge - next >> shift, 0xffff);
  }

  /** True if the window has grown so much since it was advertised that the guest should know. */
  boolean windowUpdateDue() {
    long growth = buffer.end() - edge;
    return !finished() && (growth >= BUFFER / 2 || edge - next < 2L * mss && growth >= 2L * mss);
  }

  /** How many blocks there are to tell of, at most {@code most}. */
  int blocks(int most) {
    return Math.min(most, outOfOrder.count());
  }

  /** The index of the range to be told in place {@code place}, the newest first. */
  int block(int place) {
    int newest = 0;
    for (int i = 0; i < outOfOrder.count(); i++) {
      if (outOfOrder.start(i) <= latest && latest < outOfOrder.end(i)) {
        newest = i;
      }
    }
    return place == 0 ? newest : place <= newest ? place - 1 : place;
  }

  long blockStart(int index) {
    return outOfOrder.start(index);
  }

  long blockEnd(int index) {
    return outOfOrder.end(index);
  }

  // The host's side.

  /** Bytes in order that the host has not taken. */
  int pending() {
    return (int) (next - buffer.start());
  }

  /** The memory of the first pending bytes, at most {@code most}. */
  ByteBuffer[] pendingViews(int most) {
    return buffer.views(buffer.start(), Math.min(most, pending()));
  }

  /** The host has taken that many. */
  void taken(int count) {
    buffer.release(buffer.start() + count);
    if (outOfOrder.isEmpty()) {
      buffer.releaseIfEmpty(next);
    }
  }

  /** True once the host has all there will be. */
  boolean drained() {
    return finished() && pending() == 0;
  }
}
