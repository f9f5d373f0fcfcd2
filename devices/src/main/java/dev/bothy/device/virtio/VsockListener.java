package dev.bothy.device.virtio;

import dev.bothy.host.UnixServer;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The Unix socket by which programs of the host reach ports of the guest. A program connects and
 * sends {@code CONNECT port} and a line feed; it gets {@code OK port} and a line feed, with its own
 * port, and from then on has the stream. A port where nobody listens closes the connection.
 */
public final class VsockListener implements AutoCloseable {
  /** Longest line; more is no request. */
  private static final int LINE = 32;

  private static final Pattern REQUEST = Pattern.compile("CONNECT (\\d{1,10})\r?");
  private static final long LAST_PORT = 0xffff_fffeL;

  private final Path path;
  private final UnixServer server;

  /** Who gets connections. Called on any thread, without locks. */
  interface Target {
    /** Takes the connection over, or closes it. */
    void connect(SocketChannel socket, int guestPort);
  }

  /**
   * Listens at {@code path}; connections wait until there is a device. A socket there that nobody
   * listens at any more is replaced.
   *
   * @throws IOException in one line, if that is not possible
   */
  public VsockListener(Path path) throws IOException {
    this.path = path;
    server = new UnixServer(path);
  }

  /** Lets {@code target} have the connections; once. */
  void start(Target target) {
    Thread.ofVirtual().name("vsock-listener").start(() -> accept(target));
  }

  private void accept(Target target) {
    try {
      while (true) {
        SocketChannel socket = server.accept();
        Thread.ofVirtual().name("vsock-handshake").start(() -> shakeHands(socket, target));
      }
    } catch (IOException e) {
      // Closed.
    }
  }

  private static void shakeHands(SocketChannel socket, Target target) {
    try {
      Matcher request = REQUEST.matcher(line(socket));
      if (request.matches() && Long.parseLong(request.group(1)) <= LAST_PORT) {
        target.connect(socket, (int) Long.parseLong(request.group(1)));
        return;
      }
      socket.close();
    } catch (IOException e) {
      // The program is gone.
    }
  }

  /** What comes before the first line feed, and no byte more. */
  private static String line(SocketChannel socket) throws IOException {
    StringBuilder line = new StringBuilder();
    ByteBuffer one = ByteBuffer.allocate(1);
    while (line.length() < LINE && socket.read(one.clear()) > 0 && one.get(0) != '\n') {
      line.append((char) one.get(0));
    }
    return one.get(0) == '\n' ? line.toString() : "";
  }

  /** The socket that a port of the host stands for: the path, an underscore, the port. */
  UnixDomainSocketAddress hostPort(int port) {
    return UnixDomainSocketAddress.of(path + "_" + Integer.toUnsignedString(port));
  }

  /** Listens no more, and removes the socket. Harmless when repeated. */
  @Override
  public void close() {
    server.close();
  }
}
