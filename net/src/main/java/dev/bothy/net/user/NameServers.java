package dev.bothy.net.user;

import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/**
 * The host's name servers, as resolv.conf(5) lists them at the time of the question, and where none
 * of them answers, the host's own look-up. Thread-safe.
 */
final class NameServers {
  static final Path RESOLV_CONF = Path.of("/etc/resolv.conf");
  static final int PORT = 53;

  /** As the C library does it: three servers, twice. */
  private static final int SERVERS = 3;

  private static final int ROUNDS = 2;
  private static final int WAIT_MILLIS = 2500;
  private static final int LONGEST_ANSWER = 16384;
  private static final int FILE_LIMIT = 1 << 16;

  private final Path file;
  private final int port;
  private final Executor slow;

  /**
   * @param port the servers', 53 but in tests
   * @param slow runs what blocks a thread
   */
  NameServers(Path file, int port, Executor slow) {
    this.file = file;
    this.port = port;
    this.slow = slow;
  }

  /** The addresses in the file, the first few; none if it cannot be read. */
  List<IpAddress> servers() {
    List<IpAddress> servers = new ArrayList<>();
    try (var in = Files.newInputStream(file)) {
      String text = new String(in.readNBytes(FILE_LIMIT), StandardCharsets.UTF_8);
      for (String line : text.split("\n")) {
        String[] words = line.strip().split("\\s+");
        if (words.length >= 2 && words[0].equals("nameserver") && servers.size() < SERVERS) {
          try {
            IpAddress server = IpAddress.parse(words[1]);
            // Link-local ones want a scope, which is not kept.
            if (!server.isLinkLocalV6()) {
              servers.add(server);
            }
          } catch (IllegalArgumentException e) {
            // Nonsense: the next one.
          }
        }
      }
    } catch (IOException e) {
      // Hosts without the file look names up in another way.
    }
    return servers;
  }

  /** The first server; null if there is none. */
  IpAddress first() {
    List<IpAddress> servers = servers();
    return servers.isEmpty() ? null : servers.getFirst();
  }

  /** Asks, and waits; {@code answer} gets the message that answers {@code query}, or nothing. */
  void resolve(byte[] query, Consumer<byte[]> answer) {
    List<IpAddress> servers = servers();
    for (int round = 0; round < ROUNDS; round++) {
      for (IpAddress server : servers) {
        byte[] message = ask(server, query);
        if (message != null) {
          answer.accept(message);
          return;
        }
      }
    }
    slow.execute(() -> answer.accept(HostLookup.answer(query)));
  }

  private byte[] ask(IpAddress server, byte[] query) {
    try (DatagramSocket socket = new DatagramSocket()) {
      socket.connect(new InetSocketAddress(server.toInet(), port));
      socket.setSoTimeout(WAIT_MILLIS);
      socket.send(new DatagramPacket(query, query.length));
      DatagramPacket packet = new DatagramPacket(new byte[LONGEST_ANSWER], LONGEST_ANSWER);
      int tries = 4;
      while (tries-- > 0) {
        socket.receive(packet);
        byte[] message = Arrays.copyOf(packet.getData(), packet.getLength());
        if (answers(message, query)) {
          return message;
        }
      }
      return null;
    } catch (IOException | RuntimeException e) {
      return null;
    }
  }

  /** True if the message is an answer, and to this question. */
  private static boolean answers(byte[] message, byte[] query) {
    return message.length >= Dns.HEADER
        && message[0] == query[0]
        && message[1] == query[1]
        && message[2] < 0;
  }
}
