package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.ConsoleSocket.Place;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(600)
class ConsoleSocketTest {
  @TempDir Path folder;

  @Test
  void aPlaceIsASocketAndPerhapsAName() {
    assertEquals(new Place(Path.of("/run/tty"), ""), Place.parse("socket=/run/tty"));
    assertEquals(
        new Place(Path.of("/run/agent"), "org.agent-1"),
        Place.parse("socket=/run/agent,name=org.agent-1"));
    assertEquals(new Place(Path.of("a,b=c"), "d"), Place.parse("socket=a,,b=c,name=d"));
    assertEquals(new Place(Path.of("b"), "a"), Place.parse("name=a,socket=b"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "''|wants its socket",
        "/run/tty|wants its socket",
        "socket=|no file's name",
        "socket=,name=a|no file's name",
        "name=a|wants its socket",
        "socket=a,socket=b|more than once",
        "socket=a,name=|no name of a port",
        "socket=a,name=b c|no name of a port",
        "socket=a,nmae=b|knows no \"nmae=b\"",
        "socket=a,|knows no \"\"",
      })
  void whatIsNoPlaceIsSaidInOneLine(String text, String mentions) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Place.parse(text)).getMessage();
    assertTrue(message.contains(mentions), message);
    assertEquals(1, message.lines().count(), message);
  }

  /** A write by the guest; returns how much of it is over. */
  private static int write(ConsoleSocket socket, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    return socket.take(bytes, bytes.length);
  }

  private SocketChannel connect() throws IOException {
    return SocketChannel.open(UnixDomainSocketAddress.of(folder.resolve("socket")));
  }

  private ConsoleSocket open(String name) throws IOException {
    return new ConsoleSocket(new Place(folder.resolve("socket"), name));
  }

  /** Has the guest write {@code text} until the client has heard it. */
  private static void hear(ConsoleSocket socket, SocketChannel client, String text)
      throws Exception {
    client.configureBlocking(false);
    StringBuilder heard = new StringBuilder();
    ByteBuffer buffer = ByteBuffer.allocate(1 << 16);
    while (heard.indexOf(text) < 0) {
      assertEquals(text.length(), write(socket, text));
      Thread.sleep(1);
      client.read(buffer.clear());
      heard.append(StandardCharsets.US_ASCII.decode(buffer.flip()));
    }
  }

  @Test
  void outputGoesToOneClientAndThenToTheNext() throws Exception {
    try (ConsoleSocket socket = open("")) {
      assertEquals(4, write(socket, "lost"));
      try (SocketChannel second = socketAfter(socket)) {
        hear(socket, second, "to the second");
      }
    }
    assertTrue(Files.notExists(folder.resolve("socket")));
  }

  /** A client that came while there was one, which has gone. */
  private SocketChannel socketAfter(ConsoleSocket socket) throws Exception {
    try (SocketChannel first = connect()) {
      hear(socket, first, "to the first");
      SocketChannel second = connect();
      second.configureBlocking(false);
      hear(socket, first, "still to the first");
      assertEquals(0, second.read(ByteBuffer.allocate(1)));
      return second;
    }
  }

  @Test
  void clientThatGoesWithUnreadInputIsNoHindranceToTheNext() throws Exception {
    try (ConsoleSocket socket = open("")) {
      for (String name : List.of("first", "second", "third")) {
        try (SocketChannel client = connect()) {
          client.write(ByteBuffer.wrap(new byte[1000]));
          hear(socket, client, name);
        }
      }
      // More than is kept for the guest: what the guest writes shows that the client has gone.
      try (SocketChannel client = connect()) {
        client.configureBlocking(false);
        while (client.write(ByteBuffer.wrap(new byte[10_000])) > 0) {
          // Until the socket is full, too.
        }
      }
      try (SocketChannel client = connect()) {
        hear(socket, client, "last");
      }
    }
  }

  @Test
  void terminalOfAClientThatNeverReadsKeepsNoGuestWaiting() throws Exception {
    byte[] much = new byte[1 << 20];
    try (ConsoleSocket socket = open("");
        SocketChannel client = connect()) {
      hear(socket, client, "hello");
      while (socket.take(much, much.length) == much.length) {
        Thread.sleep(1);
      }
      // The guest waits for a while, and then its output is lost.
      while (socket.take(much, much.length) < much.length) {
        Thread.sleep(1);
      }
      // Once what is under way to the client has filled its socket.
      for (int lost = 0; lost < 100; ) {
        lost = socket.take(much, much.length) == much.length ? lost + 1 : 0;
      }
      // When the client reads again, it hears again.
      ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
      while (client.read(buffer.clear()) == 0 || buffer.get(buffer.position() - 1) != '!') {
        write(socket, "!");
      }
    }
  }

  @Test
  void plainPortOfAClientThatNeverReadsKeepsAllAndNoMore() throws Exception {
    byte[] much = new byte[1 << 16];
    long taken = 0;
    try (ConsoleSocket socket = open("org.test");
        SocketChannel client = connect()) {
      hear(socket, client, "x");
      long refused = 0;
      while (refused < 100) {
        int now = socket.take(much, much.length);
        taken += now;
        refused += now == 0 ? 1 : 0;
        Thread.sleep(1);
      }
      assertTrue(taken < 4 << 20, "kept " + taken);
      long heard = 0;
      ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
      client.configureBlocking(true);
      while (heard < taken) {
        heard += client.read(buffer.clear());
      }
    }
  }
}
