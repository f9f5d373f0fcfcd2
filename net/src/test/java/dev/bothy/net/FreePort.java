package dev.bothy.net;

import java.io.IOException;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Ports of the loopback address that nobody has, below those that a host gives to whoever asks for
 * any: so nobody gets one by chance before the test has it.
 */
public final class FreePort {
  private static final int FIRST = 20_000;
  private static final int LAST = 30_000;

  private FreePort() {}

  /** One that is free for TCP and for UDP. */
  public static int any() throws IOException {
    InetAddress loopback = InetAddress.ofLiteral("127.0.0.1");
    IOException last = null;
    for (int i = 0; i < 100; i++) {
      int port = ThreadLocalRandom.current().nextInt(FIRST, LAST);
      try (ServerSocket _ = new ServerSocket(port, 1, loopback);
          DatagramSocket _ = new DatagramSocket(port, loopback)) {
        return port;
      } catch (IOException e) {
        last = e;
      }
    }
    throw last;
  }
}
