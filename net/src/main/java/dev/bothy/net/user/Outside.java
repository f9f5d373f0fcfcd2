package dev.bothy.net.user;

import java.util.function.Consumer;

/**
 * What lies beyond the gateway: the host's sockets, or a test's. Called with the stack's lock held,
 * hence without waiting; what is called back is called with the lock held.
 */
public interface Outside {
  /**
   * Connects; tells the connection by {@link TcpConnection#hostConnected} or {@link
   * TcpConnection#hostFailed}.
   */
  HostStream connect(IpAddress address, int port, TcpConnection connection);

  /** A socket for datagrams of a kind of address; null if there can be none. */
  HostDatagrams open(boolean ipv4, DatagramReceiver receiver);

  /** What takes a datagram from outside. */
  interface DatagramReceiver {
    void received(IpAddress from, int port, byte[] payload);
  }

  /** A host's socket for datagrams. */
  interface HostDatagrams {
    /** Sends, or drops if there is too much to be sent already. */
    void send(IpAddress to, int port, byte[] payload);

    void close();
  }

  /** Answers a DNS message, or never; may be called back at once. */
  void resolve(byte[] query, Consumer<byte[]> answer);

  /** Where DNS over TCP goes; null if nowhere. */
  IpAddress resolver();

  /** Runs {@code reachable} if that host answers. */
  void ping(IpAddress address, Runnable reachable);

  /** True if there seems to be a way to other hosts by IPv6. */
  boolean hasIpv6();
}
