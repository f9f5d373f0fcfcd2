package dev.bothy.net.user;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.concurrent.locks.Condition;

/**
 * A TCP socket of the host that stands for the other end of a guest's connection: one virtual
 * thread reads, another one writes, straight from and to the connection's buffers. Fields are
 * guarded by the stack's lock.
 */
final class HostConnection implements HostStream {
  /** Bytes of one read or write. */
  private static final int BULK = 2 * ChunkPool.CHUNK;

  /** Less room is not worth a turn of the reading thread: most of the buffer waits to be sent. */
  private static final int ENOUGH = BULK;

  /** What an idle connection has in place of chunks. */
  private static final int TRICKLE = 2048;

  private static final long POOL_RETRY_NANOS = 20_000_000L;

  private final Turn turn;
  private final SocketChannel channel;
  private final Condition data;
  private final Condition room;
  private TcpConnection connection;
  private boolean writing;
  private boolean aborted;
  private int directionsDone;

  HostConnection(Turn turn, SocketChannel channel) {
    this.turn = turn;
    this.channel = channel;
    this.data = turn.condition();
    this.room = turn.condition();
  }

  /** Connects for a guest, and then copies until both ends have ended. */
  void connect(InetSocketAddress address, TcpConnection guest) {
    connection = guest;
    Thread.ofVirtual()
        .name("bothy-net-read")
        .start(
            () -> {
              try {
                channel.connect(address);
                channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
              } catch (IOException | RuntimeException e) {
                turn.run(this::fail);
                return;
              }
              turn.run(connection::hostConnected);
              read();
            });
  }

  /** Copies for a connection to the guest; the channel is connected. */
  void serve(TcpConnection guest) {
    connection = guest;
    try {
      channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
    } catch (IOException e) {
      // Gone already: reading says so.
    }
    Thread.ofVirtual().name("bothy-net-read").start(this::read);
  }

  @Override
  public void readable() {
    if (!writing) {
      writing = true;
      Thread.ofVirtual().name("bothy-net-write").start(this::write);
    } else {
      data.signal();
    }
  }

  @Override
  public void writable() {
    if (connection.room() >= ENOUGH) {
      room.signal();
    }
  }

  @Override
  public void abort() {
    aborted = true;
    data.signal();
    room.signal();
    // Closing may wait for a thread that is just entering the channel.
    Thread.startVirtualThread(() -> close(true));
  }

  private void close(boolean reset) {
    try {
      if (reset && channel.isConnected()) {
        channel.setOption(StandardSocketOptions.SO_LINGER, 0);
      }
    } catch (IOException | RuntimeException e) {
      // Closed already.
    }
    try {
      channel.close();
    } catch (IOException e) {
      // Nothing can be done about it, and nothing is lost that was not already.
    }
  }

  private void fail() {
    if (!aborted) {
      connection.hostFailed();
      // The connection aborts us, unless it had ended before.
      if (!aborted) {
        abort();
      }
    }
  }

  private void read() {
    try {
      ByteBuffer trickle = ByteBuffer.allocate(TRICKLE);
      boolean bulk = false;
      while (true) {
        ByteBuffer[] views = null;
        turn.begin();
        try {
          while (!aborted && connection.room() < ENOUGH) {
            room.await();
          }
          if (aborted) {
            return;
          }
          if (bulk) {
            views = connection.beginFill(BULK);
          }
        } finally {
          turn.end();
        }
        boolean direct = views != null && views.length > 0;
        long count = -2;
        try {
          count = direct ? channel.read(views) : channel.read(trickle.clear());
        } finally {
          if (direct) {
            int filled = (int) Math.max(0, count);
            turn.run(() -> connection.endFill(filled));
          }
        }
        if (count < 0) {
          turn.run(connection::hostEnded);
          directionDone();
          return;
        }
        if (!direct) {
          putAll(trickle.flip());
        }
        bulk = count >= TRICKLE / 2;
      }
    } catch (IOException | RuntimeException e) {
      turn.run(this::fail);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      turn.run(this::fail);
    }
  }

  private void putAll(ByteBuffer bytes) throws InterruptedException {
    turn.begin();
    try {
      connection.put(bytes);
      while (bytes.hasRemaining() && !aborted) {
        // Nobody says when the pool has chunks again.
        room.awaitNanos(POOL_RETRY_NANOS);
        connection.put(bytes);
      }
    } finally {
      turn.end();
    }
  }

  private void write() {
    try {
      while (true) {
        ByteBuffer[] views;
        turn.begin();
        try {
          views = connection.beginDrain(BULK);
          while (views.length == 0 && !connection.guestEnded() && !aborted) {
            data.await();
            views = connection.beginDrain(BULK);
          }
          if (aborted) {
            connection.endDrain(0);
            return;
          }
        } finally {
          turn.end();
        }
        if (views.length == 0) {
          channel.shutdownOutput();
          directionDone();
          return;
        }
        long count = 0;
        try {
          count = channel.write(views);
        } finally {
          int written = (int) count;
          turn.run(() -> connection.endDrain(written));
        }
      }
    } catch (IOException | RuntimeException e) {
      turn.run(this::fail);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      turn.run(this::fail);
    }
  }

  private void directionDone() {
    turn.begin();
    boolean both = ++directionsDone == 2;
    turn.end();
    if (both) {
      close(false);
    }
  }
}
