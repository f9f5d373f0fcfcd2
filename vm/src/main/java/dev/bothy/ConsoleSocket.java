package dev.bothy;

import dev.bothy.device.virtio.ConsolePort;
import dev.bothy.host.UnixServer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A console port of a machine behind a Unix socket of the host: one client at a time. What the
 * guest writes while there is none is lost. Any thread.
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

    private static final String SOCKET = "socket=";
    private static final String NAME = "name=";

    /**
     * Reads {@link #FORM}; a comma in a path is written twice.
     *
     * @throws IllegalArgumentException in one line, if it is something else
     */
    public static Place parse(String text) {
      List<String> words = CommaWords.of(text);
      String socket = words.getFirst();
      if (!socket.startsWith(SOCKET) || socket.equals(SOCKET)) {
        throw new IllegalArgumentException("a console wants its socket: " + FORM);
      }
      String name = "";
      for (String word : words.subList(1, words.size())) {
        if (!word.startsWith(NAME)) {
          throw new IllegalArgumentException("a console knows no \"" + word + "\": " + FORM);
        }
        name = word.substring(NAME.length());
        if (!name.matches("[A-Za-z0-9._-]{1,64}")) {
          throw new IllegalArgumentException("\"" + name + "\" is no name of a port");
        }
      }
      String file = socket.substring(SOCKET.length());
      try {
        return new Place(Path.of(file), name);
      } catch (InvalidPathException e) {
        throw new IllegalArgumentException("\"" + file + "\" is no file's name", e);
      }
    }
  }

  /** Bytes that wait for the client, and for the guest. */
  private static final int WAITING = 1 << 16;

  private final UnixServer server;
  private final ConsolePort port;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();

  // Guarded by the lock.
  private final ByteBuffer output = ByteBuffer.allocate(WAITING);
  private SocketChannel client;
  private boolean room;
  private volatile boolean closed;

  /**
   * Opens the socket.
   *
   * @throws IOException in one line, if it cannot be
   */
  ConsoleSocket(Place place) throws IOException {
    server = new UnixServer(place.socket());
    port = new ConsolePort(place.name(), place.name().isEmpty(), this::take);
    port.onRoom(this::roomAgain);
    Thread.ofVirtual().name("bothy-console-socket").start(this::serve);
  }

  ConsolePort port() {
    return port;
  }

  /** The guest writes. */
  private int take(byte[] bytes, int length) {
    lock.lock();
    try {
      if (client == null) {
        return length;
      }
      int taken = Math.min(length, output.remaining());
      output.put(bytes, 0, taken);
      changed.signalAll();
      return taken;
    } finally {
      lock.unlock();
    }
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
    while (!closed) {
      try (SocketChannel next = server.accept()) {
        connected(next);
        Thread.ofVirtual().start(() -> write(next));
        read(next);
        connected(null);
      } catch (IOException e) {
        connected(null);
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  private void connected(SocketChannel channel) {
    lock.lock();
    try {
      client = channel;
      output.clear();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    port.setOpen(channel != null);
    port.sinkReady();
  }

  /** From the client to the guest, at the guest's pace. */
  private void read(SocketChannel channel) throws IOException, InterruptedException {
    ByteBuffer buffer = ByteBuffer.allocate(WAITING);
    while (channel.read(buffer.clear()) >= 0) {
      int done = 0;
      while (done < buffer.position()) {
        lock.lock();
        try {
          room = false;
        } finally {
          lock.unlock();
        }
        int taken = port.offer(buffer.array(), done, buffer.position() - done);
        done += taken;
        if (taken == 0) {
          awaitRoom(channel);
        }
      }
    }
  }

  private void awaitRoom(SocketChannel channel) throws InterruptedException, IOException {
    lock.lock();
    try {
      while (!room && !closed && client == channel) {
        changed.await();
      }
      if (closed || client != channel) {
        throw new IOException("closed");
      }
    } finally {
      lock.unlock();
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
          channel.write(portion);
        }
      }
    } catch (IOException | InterruptedException e) {
      gone(channel);
    }
  }

  /** The client takes nothing any more: what the guest writes is lost, and the next may come. */
  private void gone(SocketChannel channel) {
    lock.lock();
    try {
      if (client != channel) {
        return;
      }
      client = null;
      output.clear();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    try {
      // Whoever reads from it notices.
      channel.close();
    } catch (IOException e) {
      // It is gone in any case.
    }
    port.sinkReady();
  }

  /** Closes the socket and takes its file away. */
  @Override
  public void close() {
    closed = true;
    roomAgain();
    server.close();
    lock.lock();
    try {
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
