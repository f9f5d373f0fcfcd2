package dev.bothy.host;

import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** A Unix socket that other programs connect to. Its file goes when it is closed. Any thread. */
public final class UnixServer implements AutoCloseable {
  private static final long PATIENCE = TimeUnit.MILLISECONDS.toNanos(100);

  private final Path path;
  private final ServerSocketChannel server;

  /**
   * Listens at {@code path}; connections wait until they are accepted. A socket there that nobody
   * listens at any more is replaced.
   *
   * @throws IOException in one line, if that is not possible
   */
  public UnixServer(Path path) throws IOException {
    this.path = path;
    ServerSocketChannel made = null;
    try {
      UnixDomainSocketAddress address = UnixDomainSocketAddress.of(path);
      made = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
      clear(path, address);
      made.bind(address);
    } catch (IOException | UnsupportedOperationException | IllegalArgumentException e) {
      if (made != null) {
        made.close();
      }
      throw new IOException("cannot listen at " + path + " (" + e.getMessage() + ")", e);
    }
    server = made;
  }

  /** Removes a socket that nobody listens at; refuses anything else that is there. */
  private static void clear(Path path, UnixDomainSocketAddress address) throws IOException {
    if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    if (!Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
        .isOther()) {
      throw new IOException("there is a file already");
    }
    try (SocketChannel _ = SocketChannel.open(address)) {
      throw new IOException("somebody listens there already");
    } catch (ConnectException e) {
      Files.delete(path);
    }
  }

  /**
   * The next connection, waited for; also while the process has no room for one more.
   *
   * @throws ClosedChannelException if this is closed, or the thread is interrupted
   */
  public SocketChannel accept() throws ClosedChannelException {
    while (true) {
      try {
        return server.accept();
      } catch (ClosedChannelException e) {
        throw e;
      } catch (IOException e) {
        // Too many files are open, for example.
        LockSupport.parkNanos(PATIENCE);
      }
    }
  }

  /** Listens no more, and removes the file. Harmless when repeated. */
  @Override
  public void close() {
    try {
      if (server.isOpen()) {
        server.close();
        Files.deleteIfExists(path);
      }
    } catch (IOException e) {
      // Nobody listens there; that is what counts.
    }
  }
}
