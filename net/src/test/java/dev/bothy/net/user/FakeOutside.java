package dev.bothy.net.user;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** What lies outside in tests: takes everything, answers what it is told to, without threads. */
final class FakeOutside implements Outside {
  /** The other end of a connection: sends a pattern and checks one. */
  static final class Peer implements HostStream {
    final TcpConnection connection;
    final IpAddress address;
    final int port;
    long toSend;
    boolean endAfter = true;
    boolean reading = true;
    long sent;
    long received;
    boolean ended;
    boolean aborted;

    Peer(TcpConnection connection, IpAddress address, int port) {
      this.connection = connection;
      this.address = address;
      this.port = port;
    }

    @Override
    public void readable() {}

    @Override
    public void writable() {}

    @Override
    public void abort() {
      aborted = true;
    }

    /** Answers the guest, and says nothing and ends nothing by itself. */
    void stay() {
      endAfter = false;
      connection.hostConnected();
    }

    /** Answers the guest, and is to send that many bytes. */
    void send(long bytes) {
      toSend = bytes;
      connection.hostConnected();
    }

    /** Reads and writes what is possible. */
    void step() {
      while (reading) {
        ByteBuffer[] views = connection.beginDrain(100_000);
        int count = 0;
        for (ByteBuffer view : views) {
          while (view.hasRemaining()) {
            if (view.get() != GuestTcp.pattern(received++)) {
              throw new AssertionError("wrong byte from the guest at " + (received - 1));
            }
            count++;
          }
        }
        connection.endDrain(count);
        if (count == 0) {
          break;
        }
      }
      ended |= connection.guestEnded();
      while (sent < toSend && connection.room() > 0) {
        ByteBuffer[] views = connection.beginFill((int) Math.min(50_000, toSend - sent));
        int count = 0;
        for (ByteBuffer view : views) {
          while (view.hasRemaining()) {
            view.put(GuestTcp.pattern(sent++));
            count++;
          }
        }
        connection.endFill(count);
        if (count == 0) {
          break;
        }
      }
      if (sent == toSend && endAfter) {
        connection.hostEnded();
      }
    }
  }

  /** A datagram that went out. */
  record Sent(IpAddress to, int port, byte[] payload) {}

  final List<Peer> peers = new ArrayList<>();
  final List<Sent> datagrams = new ArrayList<>();
  final List<DatagramReceiver> sockets = new ArrayList<>();
  int openSockets;

  /** What a new peer is told to do. */
  Consumer<Peer> onConnect = peer -> peer.connection.hostConnected();

  Consumer<Consumer<byte[]>> onQuestion = _ -> {};
  boolean reachable;

  @Override
  public HostStream connect(IpAddress address, int port, TcpConnection connection) {
    Peer peer = new Peer(connection, address, port);
    peers.add(peer);
    connection.host(peer);
    onConnect.accept(peer);
    return peer;
  }

  @Override
  public HostDatagrams open(boolean ipv4, DatagramReceiver receiver) {
    sockets.add(receiver);
    openSockets++;
    return new HostDatagrams() {
      @Override
      public void send(IpAddress to, int port, byte[] payload) {
        datagrams.add(new Sent(to, port, payload));
      }

      @Override
      public void close() {
        openSockets--;
      }
    };
  }

  @Override
  public void resolve(byte[] query, Consumer<byte[]> answer) {
    onQuestion.accept(answer);
  }

  @Override
  public IpAddress resolver() {
    return IpAddress.parse("192.0.2.53");
  }

  @Override
  public void ping(IpAddress address, Runnable answer) {
    if (reachable) {
      answer.run();
    }
  }

  @Override
  public boolean hasIpv6() {
    return true;
  }
}
