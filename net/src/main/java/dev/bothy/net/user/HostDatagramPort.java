package dev.bothy.net.user;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;

/**
 * A UDP socket of the host. Sending never waits: what the host's queue has no room for is lost, as
 * datagrams may be. What comes is read by one thread for all sockets, with one buffer.
 */
final class HostDatagramPort implements Outside.HostDatagrams {
  private final DatagramChannel channel;
  private final Outside.DatagramReceiver receiver;

  private HostDatagramPort(DatagramChannel channel, Outside.DatagramReceiver receiver) {
    this.channel = channel;
    this.receiver = receiver;
  }

  @Override
  public void send(IpAddress to, int port, byte[] payload) {
    try {
      channel.send(ByteBuffer.wrap(payload), new InetSocketAddress(to.toInet(), port));
    } catch (IOException | RuntimeException e) {
      // Lost: no route, too large for the host, or closed meanwhile.
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // It is of no use to anybody any more.
    }
  }

  /** Reads all sockets of a network. */
  static final class Poller implements AutoCloseable {
    /** Datagrams of one socket before it is the next one's turn. */
    private static final int TURN = 32;

    private final Turn turn;
    private Selector selector;
    private boolean closed;

    Poller(Turn turn) {
      this.turn = turn;
    }

    /** Takes over a channel; any thread. */
    HostDatagramPort add(DatagramChannel channel, Outside.DatagramReceiver receiver)
        throws IOException {
      HostDatagramPort port = new HostDatagramPort(channel, receiver);
      try {
        channel.configureBlocking(false);
        Selector all = selector();
        channel.register(all, SelectionKey.OP_READ, port);
        all.wakeup();
        return port;
      } catch (IOException | RuntimeException e) {
        channel.close();
        throw e instanceof IOException failure ? failure : new IOException(e);
      }
    }

    private synchronized Selector selector() throws IOException {
      if (closed) {
        throw new IOException("closed");
      }
      if (selector == null) {
        selector = Selector.open();
        Selector all = selector;
        Thread.ofPlatform().daemon().name("bothy-net-udp").start(() -> poll(all));
      }
      return selector;
    }

    private void poll(Selector all) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(65536);
      try {
        while (all.isOpen()) {
          all.select(
              key -> {
                if (key.attachment() instanceof HostDatagramPort port) {
                  read(port, buffer);
                }
              });
        }
      } catch (IOException | ClosedSelectorException e) {
        // Closed.
      }
    }

    private void read(HostDatagramPort port, ByteBuffer buffer) {
      for (int i = 0; i < TURN; i++) {
        try {
          buffer.clear();
          if (!(port.channel.receive(buffer) instanceof InetSocketAddress from)) {
            return;
          }
          byte[] payload = new byte[buffer.flip().remaining()];
          buffer.get(payload);
          IpAddress address = IpAddress.of(from.getAddress());
          turn.run(() -> port.receiver.received(address, from.getPort(), payload));
        } catch (IOException e) {
          // An error of an earlier datagram, or closed.
          return;
        }
      }
    }

    @Override
    public synchronized void close() {
      if (closed) {
        return;
      }
      closed = true;
      if (selector != null) {
        for (SelectionKey key : selector.keys()) {
          ((HostDatagramPort) key.attachment()).close();
        }
        try {
          selector.close();
        } catch (IOException e) {
          // It is of no use to anybody any more.
        }
      }
    }
  }
}
