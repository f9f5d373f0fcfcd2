package dev.bothy.device.virtio;

import dev.bothy.net.Frame;

/**
 * Which pair of queues a flow was last sent on: by a hash over the addresses and ports, the same in
 * both directions. Flows with the same hash share a pair. Any thread.
 */
final class FlowTable {
  private static final int SIZE = 256;
  private static final int HEAD = 14 + 40 + 4;
  private static final int IPV4 = 0x0800;
  private static final int IPV6 = 0x86dd;
  private static final int TCP = 6;
  private static final int UDP = 17;

  /** Torn by nothing: a byte each. */
  private final byte[] pairs = new byte[SIZE];

  void sent(Frame frame, int pair) {
    pairs[hash(frame)] = (byte) pair;
  }

  /** The pair for a frame that is received; may be more than are in use by now. */
  int pairOf(Frame frame) {
    return pairs[hash(frame)] & 0xff;
  }

  void clear() {
    java.util.Arrays.fill(pairs, (byte) 0);
  }

  private static int hash(Frame frame) {
    byte[] head = new byte[HEAD];
    frame.copyTo(0, head, 0, Math.min(HEAD, frame.length()));
    int type = word(head, 12) >>> 16;
    int sum = 0;
    int ports = 0;
    if (type == IPV4) {
      sum = word(head, 26) ^ word(head, 30);
      boolean first = (word(head, 20) >>> 16 & 0x1fff) == 0;
      int length = 4 * (head[14] & 0xf);
      if (first && (head[23] == TCP || head[23] == UDP) && length <= 40) {
        ports = word(head, 14 + length);
      }
    } else if (type == IPV6) {
      for (int at = 22; at < 54; at += 4) {
        sum ^= word(head, at);
      }
      ports = head[20] == TCP || head[20] == UDP ? word(head, 54) : 0;
    }
    sum ^= (ports ^ ports << 16) & 0xffff_0000;
    sum *= 0x9e37_79b9;
    return sum >>> 24;
  }

  private static int word(byte[] bytes, int at) {
    return bytes[at] << 24
        | (bytes[at + 1] & 0xff) << 16
        | (bytes[at + 2] & 0xff) << 8
        | bytes[at + 3] & 0xff;
  }
}
