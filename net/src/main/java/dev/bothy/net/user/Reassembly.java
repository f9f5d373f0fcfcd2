package dev.bothy.net.user;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Puts fragments together (RFC 791, 3.2; RFC 8200, 4.5). Few datagrams at a time, for a few
 * seconds; one whose fragments overlap is dropped as a whole (RFC 5722). Guarded by the stack's
 * lock.
 */
final class Reassembly {
  /** Fragments of the same datagram have this in common. */
  record Key(IpAddress source, IpAddress destination, int protocol, int identification) {}

  /** Datagrams at a time; one more replaces the oldest. */
  static final int DATAGRAMS = 32;

  static final long TIME = 15_000_000_000L;
  private static final int LARGEST = 65535;

  /** Room is made as fragments come: a last one does not cost 64 KiB. */
  private static final class Datagram {
    final long deadline;
    byte[] bytes = new byte[2048];
    final RangeSet there = new RangeSet(64);
    int total = -1;
    boolean spoilt;

    Datagram(long deadline) {
      this.deadline = deadline;
    }
  }

  private final Stack stack;
  private final Map<Key, Datagram> datagrams = new LinkedHashMap<>();

  Reassembly(Stack stack) {
    this.stack = stack;
  }

  /** How many datagrams are in parts. */
  int count() {
    return datagrams.size();
  }

  /**
   * Adds a fragment.
   *
   * @param from where it belongs, a multiple of 8
   * @return the whole payload once all is there, or null
   */
  byte[] add(Key key, int from, byte[] fragment, boolean more) {
    long now = stack.now();
    datagrams.values().removeIf(datagram -> datagram.deadline <= now);
    int end = from + fragment.length;
    if (fragment.length == 0 || end > LARGEST || more && (fragment.length & 7) != 0) {
      return null;
    }
    Datagram datagram = datagrams.get(key);
    if (datagram == null) {
      if (datagrams.size() >= DATAGRAMS) {
        datagrams.remove(datagrams.keySet().iterator().next());
      }
      datagram = new Datagram(now + TIME);
      datagrams.put(key, datagram);
    }
    if (datagram.spoilt) {
      return null;
    }
    boolean contradicts =
        datagram.total >= 0 && (end > datagram.total || !more && end != datagram.total);
    if (contradicts
        || datagram.there.covered(from, end) > 0
        || !more && datagram.there.covered(end, LARGEST) > 0
        || datagram.there.add(from, end) < 0) {
      // Kept without its bytes until its time is over, so that later fragments are dropped too.
      datagram.spoilt = true;
      datagram.bytes = new byte[0];
      return null;
    }
    if (datagram.bytes.length < end) {
      datagram.bytes =
          Arrays.copyOf(
              datagram.bytes, Math.min(LARGEST, Math.max(end, 2 * datagram.bytes.length)));
    }
    System.arraycopy(fragment, 0, datagram.bytes, from, fragment.length);
    if (!more) {
      datagram.total = end;
    }
    if (datagram.total < 0 || datagram.there.covered(0, datagram.total) < datagram.total) {
      return null;
    }
    datagrams.remove(key);
    return Arrays.copyOf(datagram.bytes, datagram.total);
  }
}
