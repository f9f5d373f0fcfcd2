package dev.bothy.net.user;

import java.util.ArrayDeque;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Which Ethernet address the guest's IP addresses have, learned from what it sends; what must wait
 * for an answer to ARP (RFC 826) or neighbour discovery waits here. Guarded by the stack's lock.
 */
final class Neighbors {
  /** Neighbours that are remembered; one more replaces the one least used. */
  static final int ENTRIES = 256;

  private static final int FRAMES_WAITING = 4;
  private static final long ASK_AGAIN = 500_000_000L;
  private static final long NONE = -1;

  private static final class Neighbor {
    long address = NONE;
    long askedAt;
    boolean asked;
    final ArrayDeque<byte[]> waiting = new ArrayDeque<>();
  }

  private final Stack stack;
  private final Map<IpAddress, Neighbor> neighbors =
      new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<IpAddress, Neighbor> eldest) {
          return size() > ENTRIES;
        }
      };

  Neighbors(Stack stack) {
    this.stack = stack;
  }

  int count() {
    return neighbors.size();
  }

  /** The guest has {@code ip} at {@code address}. */
  void learn(IpAddress ip, long address) {
    if ((address >>> 40 & 1) != 0 || address == 0) {
      return;
    }
    Neighbor neighbor = neighbors.computeIfAbsent(ip, _ -> new Neighbor());
    boolean news = neighbor.address != address;
    neighbor.address = address;
    if (news) {
      while (!neighbor.waiting.isEmpty()) {
        finish(neighbor.waiting.pollFirst(), ip, address);
      }
      stack.tcp().reachable(ip);
    }
  }

  /** The Ethernet address of {@code ip}, or -1 after asking for it. */
  long resolve(IpAddress ip) {
    Neighbor neighbor = neighbors.get(ip);
    if (neighbor != null && neighbor.address != NONE) {
      return neighbor.address;
    }
    if (neighbor == null) {
      neighbor = new Neighbor();
      neighbors.put(ip, neighbor);
    }
    if (!neighbor.asked || stack.now() - neighbor.askedAt >= ASK_AGAIN) {
      neighbor.asked = true;
      neighbor.askedAt = stack.now();
      if (ip.isV4()) {
        stack.arp().ask(ip);
      } else {
        stack.neighborDiscovery().ask(ip);
      }
    }
    return NONE;
  }

  /** Sends an IP packet, now or when the address is known. */
  void send(byte[] frame, IpAddress destination) {
    long address = resolve(destination);
    if (address >= 0) {
      finish(frame, destination, address);
      return;
    }
    ArrayDeque<byte[]> waiting = neighbors.get(destination).waiting;
    if (waiting.size() < FRAMES_WAITING) {
      waiting.addLast(frame);
    }
  }

  private void finish(byte[] frame, IpAddress destination, long address) {
    Egress.address(frame, address, destination.isV4() ? Ipv4.ETHER_TYPE : Ipv6.ETHER_TYPE);
    stack.egress().send(frame);
  }
}
