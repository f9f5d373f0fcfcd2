package dev.bothy.net.user;

import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.net.StandardProtocolFamily;
import java.net.UnknownHostException;
import java.nio.channels.DatagramChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * The world outside as the host's sockets show it, without privileges: TCP on virtual threads, UDP
 * on one thread with a selector, names from the host's name servers.
 */
public final class HostSockets implements Outside, AutoCloseable {
  /** Lookups and pings that block a thread, at a time, and waiting. */
  private static final int SLOW_THREADS = 4;

  private static final int SLOW_WAITING = 32;
  private static final int PING_MILLIS = 3000;

  /** Stands where there is no socket. */
  private static final HostStream NOBODY =
      new HostStream() {
        @Override
        public void readable() {}

        @Override
        public void writable() {}

        @Override
        public void abort() {}
      };

  private final Turn turn;
  private final HostDatagramPort.Poller datagrams;
  private final NameServers nameServers;
  private final List<AutoCloseable> listeners = new ArrayList<>();
  private final ThreadPoolExecutor slow;

  /** For a stack whose lock is {@code turn}. */
  public HostSockets(Turn turn) {
    this.turn = turn;
    this.datagrams = new HostDatagramPort.Poller(turn);
    this.slow =
        new ThreadPoolExecutor(
            SLOW_THREADS,
            SLOW_THREADS,
            10,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(SLOW_WAITING),
            Thread.ofPlatform().daemon().name("bothy-net-lookup-", 0).factory(),
            new ThreadPoolExecutor.DiscardPolicy());
    slow.allowCoreThreadTimeOut(true);
    this.nameServers = new NameServers(NameServers.RESOLV_CONF, NameServers.PORT, slow);
  }

  @Override
  public HostStream connect(IpAddress address, int port, TcpConnection connection) {
    try {
      HostConnection stream = new HostConnection(turn, SocketChannel.open());
      stream.connect(new InetSocketAddress(address.toInet(), port), connection);
      return stream;
    } catch (IOException e) {
      // Out of descriptors: to the guest it looks like a busy host.
      connection.hostFailed();
      return NOBODY;
    }
  }

  @Override
  public HostDatagrams open(boolean ipv4, DatagramReceiver receiver) {
    try {
      DatagramChannel channel =
          DatagramChannel.open(ipv4 ? StandardProtocolFamily.INET : StandardProtocolFamily.INET6);
      channel.bind(null);
      return datagrams.add(channel, receiver);
    } catch (IOException | UnsupportedOperationException e) {
      return null;
    }
  }

  @Override
  public void resolve(byte[] query, Consumer<byte[]> answer) {
    Thread.ofVirtual()
        .name("bothy-net-dns")
        .start(() -> nameServers.resolve(query, message -> turn.run(() -> answer.accept(message))));
  }

  @Override
  public IpAddress resolver() {
    return nameServers.first();
  }

  @Override
  public void ping(IpAddress address, Runnable reachable) {
    slow.execute(
        () -> {
          try {
            if (address.toInet().isReachable(PING_MILLIS)) {
              turn.run(reachable);
            }
          } catch (IOException e) {
            // Not reachable.
          }
        });
  }

  @Override
  public boolean hasIpv6() {
    try {
      return NetworkInterface.networkInterfaces()
          .flatMap(NetworkInterface::inetAddresses)
          .anyMatch(
              address ->
                  address instanceof Inet6Address
                      && !address.isLoopbackAddress()
                      && !address.isLinkLocalAddress());
    } catch (SocketException e) {
      return false;
    }
  }

  /**
   * Lets a TCP port of the host lead to the guest.
   *
   * @throws IOException in one line, if the port cannot be had
   */
  public void forwardTcp(Stack stack, InetSocketAddress from, IpAddress guest, int guestPort)
      throws IOException {
    ServerSocketChannel server = ServerSocketChannel.open();
    listeners.add(server);
    server.bind(from);
    Thread.ofVirtual()
        .name("bothy-net-accept")
        .start(() -> accept(stack, server, guest, guestPort));
  }

  private void accept(Stack stack, ServerSocketChannel server, IpAddress guest, int guestPort) {
    while (server.isOpen()) {
      try {
        SocketChannel client = server.accept();
        HostConnection stream = new HostConnection(turn, client);
        turn.begin();
        try {
          int port = ((InetSocketAddress) client.getRemoteAddress()).getPort();
          // Once nobody listens the stack is being closed, and would not end this one.
          TcpConnection connection =
              server.isOpen() ? stack.open(guest, guestPort, port, stream) : null;
          if (connection == null) {
            stream.abort();
          } else {
            stream.serve(connection);
          }
        } finally {
          turn.end();
        }
      } catch (IOException e) {
        // Closed; or out of descriptors, in which case somebody must first close one.
        pause();
      }
    }
  }

  private static void pause() {
    try {
      Thread.sleep(100);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Lets a UDP port of the host lead to the guest.
   *
   * @throws IOException in one line, if the port cannot be had
   */
  public void forwardUdp(Stack stack, InetSocketAddress from, IpAddress guest, int guestPort)
      throws IOException {
    DatagramChannel channel =
        DatagramChannel.open(
            from.getAddress() instanceof Inet6Address
                ? StandardProtocolFamily.INET6
                : StandardProtocolFamily.INET);
    try {
      channel.bind(from);
    } catch (IOException e) {
      channel.close();
      throw e;
    }
    DatagramReceiver[] receiver = {null};
    // The first datagram may be there already: with the lock held it waits for its receiver.
    turn.begin();
    try {
      HostDatagrams port =
          datagrams.add(
              channel, (source, number, payload) -> receiver[0].received(source, number, payload));
      receiver[0] = stack.forward(port, guest, guestPort);
    } finally {
      turn.end();
    }
  }

  /** Closes what listens and all sockets for datagrams; connections end with the stack. */
  @Override
  public void close() {
    for (AutoCloseable listener : listeners) {
      try {
        listener.close();
      } catch (Exception e) {
        // It is of no use to anybody any more.
      }
    }
    datagrams.close();
    slow.shutdownNow();
  }

  /** An address in digits or a name, for what the user typed. */
  public static InetSocketAddress socketAddress(String host, int port) throws UnknownHostException {
    return new InetSocketAddress(InetAddress.getByName(host), port);
  }
}
