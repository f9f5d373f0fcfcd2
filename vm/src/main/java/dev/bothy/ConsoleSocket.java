package dev.bothy;

import dev.bothy.device.virtio.ConsolePort;
import dev.bothy.host.UnixServer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A console port of a machine behind a Unix socket of the host: one client at a time, the others
 * wait. What the guest writes while there is none is lost. A client that does not read makes the
 * guest wait; on a terminal for a second, then what it does not take is lost. What a client has
 * sent, up to 64 KiB, waits for a guest that does not read, also when the client has gone. Any
 * thread.
 */
public final class ConsoleSocket implements AutoCloseable {
  /**
   * Where the socket is to be, and what the guest calls the port.
   *
   * @param name empty: the guest puts a terminal on it; else it is plain bytes under that name
   */
  public record Place(Path socket, String name) {
    /** How {@link #parse} wants it. */
    public static final String FORM = "socket=PATH[,name=NAME]";

    /**
     * Reads {@link #FORM}; a comma in a path is written twice.
     *
     * @throws IllegalArgumentException in one line, if it is something else
     */
    public static Place parse(String text) {
      CommaWords words = new CommaWords(text);
      Path socket =
          words
              .one("socket")
              .map(CommaWords::path)
              .orElseThrow(
                  () -> new IllegalArgumentException("a console wants its socket: " + FORM));
      Optional<String> name = words.one("name");
      if (name.isPresent() && !name.get().matches("[A-Za-z0-9._-]{1,64}")) {
        throw new IllegalArgumentException("\"" + name.get() + "\" is no name of a port");
      }
      words.finish("a console", FORM);
      return new Place(socket, name.orElse(""));
    }
  }

  /** Bytes that wait for the client, and for the guest. */
  private static final int WAITING = 1 << 16;

  /**
   * How long a client may take nothing before a terminal's output is lost. Guests wait for their
   * terminals with a processor that does nothing else (Linux does, holding a lock).
   */
  private static final Duration PATIENCE = Duration.ofSeconds(1);

  private final UnixServer server;
  private final ConsolePort port;
  private final boolean terminal;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();

  // Guarded by the lock. Buffers are filled at their positions.
  private final ByteBuffer output = ByteBuffer.allocate(WAITING);
  private final ByteBuffer input = ByteBuffer.allocate(WAITING);
  private SocketChannel client;

  /** How many clients there have been. */
  private int clients;

  /** The number of the client that the guest was told of; 0: that there is none. */
  private int told;

  /** The client takes no output any more; what it has sent may still be read. */
  private boolean deaf;

  /** The guest may have room for input. */
  private boolean room;

  /** Bytes that clients have taken. */
  private long sent;

  /** Somebody looks whether the client takes anything. */
  private boolean watched;

  /** It does not, and is not waited for. */
  private boolean stalled;

  private boolean closed;

  /**
   * Opens the socket.
   *
   * @throws IOException in one line, if it cannot be
   */
  ConsoleSocket(Place place) throws IOException {
    server = new UnixServer(place.socket());
    terminal = place.name().isEmpty();
    port = new ConsolePort(place.name(), terminal, this::take);
    port.onRoom(this::roomAgain);
    Thread.ofVirtual().name("bothy-console-socket").start(this::serve);
    Thread.ofVirtual().name("bothy-console-input").start(this::feed);
  }

  ConsolePort port() {
    return port;
  }

  /** The guest writes. */
  int take(byte[] bytes, int length) {
    lock.lock();
    try {
      if (client == null || deaf || stalled) {
        return length;
      }
      int taken = Math.min(length, output.remaining());
      output.put(bytes, 0, taken);
      if (taken < length && terminal && !watched) {
        watched = true;
        long before = sent;
        Thread.ofVirtual().start(() -> watch(before));
      }
      changed.signalAll();
      return taken;
    } finally {
      lock.unlock();
    }
  }

  /** Gives up waiting for the client, if it takes nothing for too long. */
  private void watch(long before) {
    lock.lock();
    try {
      long left = PATIENCE.toNanos();
      while (left > 0 && sent == before && client != null) {
        left = changed.awaitNanos(left);
      }
      watched = false;
      stalled = left <= 0;
    } catch (InterruptedException e) {
      // Nobody interrupts this thread.
    } finally {
      lock.unlock();
    }
    port.sinkReady();
  }

  private void roomAgain() {
    lock.lock();
    try {
      room = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void serve() {
    while (true) {
      try (SocketChannel next = server.accept()) {
        try {
          connected(next);
          Thread.ofVirtual().start(() -> write(next));
          read(next);
        } catch (IOException e) {
          // As if it had ended.
        } finally {
          connected(null);
        }
      } catch (IOException | InterruptedException e) {
        // Closed.
        return;
      }
    }
  }

  private void connected(SocketChannel channel) throws IOException {
    lock.lock();
    try {
      if (closed && channel != null) {
        throw new IOException("closed");
      }
      client = channel;
      clients += channel == null ? 0 : 1;
      deaf = false;
      stalled = false;
      output.clear();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    port.sinkReady();
  }

  /** What the client sends, to its end, as far as there is room for it. */
  private void read(SocketChannel channel) throws IOException, InterruptedException {
    ByteBuffer buffer = ByteBuffer.allocate(4096);
    while (channel.read(buffer.clear()) >= 0) {
      buffer.flip();
      lock.lock();
      try {
        while (buffer.hasRemaining()) {
          while (!input.hasRemaining() && !deaf && !closed) {
            changed.await();
          }
          int length = Math.min(buffer.remaining(), input.remaining());
          if (length == 0) {
            // Nobody waits for the guest with a client that has gone.
            break;
          }
          input.put(buffer.slice().limit(length));
          buffer.position(buffer.position() + length);
          changed.signalAll();
        }
      } finally {
        lock.unlock();
      }
    }
  }

  /**
   * From the clients to the guest, at the guest's pace: all that one has sent, also when it has
   * gone meanwhile, before the guest is told that another one is there.
   */
  private void feed() {
    byte[] portion = new byte[4096];
    try {
      while (true) {
        int length;
        int before;
        int now;
        lock.lock();
        try {
          while (!closed && input.position() == 0 && told == present()) {
            changed.await();
          }
          if (closed) {
            return;
          }
          before = told;
          length = Math.min(portion.length, input.position());
          now = length == 0 ? present() : before == 0 ? clients : before;
          told = now;
          input.flip().get(portion, 0, length).compact();
          changed.signalAll();
        } finally {
          lock.unlock();
        }
        if (before != now && before != 0) {
          port.setOpen(false);
        }
        if (before != now && now != 0) {
          port.setOpen(true);
        }
        offer(portion, length);
      }
    } catch (InterruptedException e) {
      // Nobody interrupts this thread.
    }
  }

  /** The number of the client that is there, or 0. */
  private int present() {
    return client == null ? 0 : clients;
  }

  private void offer(byte[] bytes, int length) throws InterruptedException {
    int done = 0;
    while (done < length) {
      lock.lock();
      try {
        room = false;
      } finally {
        lock.unlock();
      }
      int taken = port.offer(bytes, done, length - done);
      done += taken;
      lock.lock();
      try {
        while (taken == 0 && !room && !closed) {
          changed.await();
        }
        if (closed) {
          return;
        }
      } finally {
        lock.unlock();
      }
    }
  }

  /** From the guest to the client. */
  private void write(SocketChannel channel) {
    ByteBuffer portion = ByteBuffer.allocate(WAITING);
    try {
      while (true) {
        lock.lockInterruptibly();
        try {
          while (client == channel && output.position() == 0) {
            changed.await();
          }
          if (client != channel) {
            return;
          }
          portion.clear().put(output.flip()).flip();
          output.clear();
        } finally {
          lock.unlock();
        }
        port.sinkReady();
        while (portion.hasRemaining()) {
          progress(channel, channel.write(portion));
        }
      }
    } catch (IOException | InterruptedException e) {
      lock.lock();
      try {
        if (client == channel) {
          deaf = true;
          output.clear();
          changed.signalAll();
        }
      } finally {
        lock.unlock();
      }
      port.sinkReady();
    }
  }

  private void progress(SocketChannel channel, int bytes) {
    lock.lock();
    try {
      if (client == channel) {
        sent += bytes;
        stalled = false;
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Closes the socket and takes its file away. */
  @Override
  public void close() {
    server.close();
    lock.lock();
    try {
      closed = true;
      changed.signalAll();
      if (client != null) {
        client.close();
      }
    } catch (IOException e) {
      // Nothing more can be done about it.
    } finally {
      lock.unlock();
    }
  }
}
