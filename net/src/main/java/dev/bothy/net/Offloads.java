package dev.bothy.net;

/**
 * What a card's driver takes of unfinished frames.
 *
 * @param checksum frames whose TCP or UDP checksum is not filled in, or said to be right
 * @param tcpIpv4 TCP segments over IPv4 beyond the MTU; only with {@code checksum}
 * @param tcpIpv6 TCP segments over IPv6 beyond the MTU; only with {@code checksum}
 */
public record Offloads(boolean checksum, boolean tcpIpv4, boolean tcpIpv6) {
  /** Finished frames only. */
  public static final Offloads NONE = new Offloads(false, false, false);

  /** All that a {@link Frame} can say. */
  public static final Offloads ALL = new Offloads(true, true, true);

  public Offloads {
    if (!checksum && (tcpIpv4 || tcpIpv6)) {
      throw new IllegalArgumentException("segmentation without checksums");
    }
  }
}
