package dev.bothy.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(300)
class UnixServerTest {
  @TempDir Path folder;

  private void exchange(UnixServer server, Path path) throws IOException {
    try (SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(path));
        SocketChannel accepted = server.accept()) {
      accepted.write(ByteBuffer.wrap(new byte[] {7}));
      ByteBuffer answer = ByteBuffer.allocate(1);
      assertEquals(1, client.read(answer));
      assertEquals(7, answer.get(0));
    }
  }

  @Test
  void programsConnectUntilItIsClosed() throws Exception {
    Path path = folder.resolve("socket");
    UnixServer server = new UnixServer(path);
    exchange(server, path);
    exchange(server, path);
    server.close();
    assertFalse(Files.exists(path));
    assertThrows(ClosedChannelException.class, server::accept);
    Files.writeString(path, "somebody else's");
    server.close();
    assertTrue(Files.exists(path));
  }

  @Test
  void aSocketThatNobodyListensAtIsReplaced() throws Exception {
    Path path = folder.resolve("socket");
    try (ServerSocketChannel gone = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      gone.bind(UnixDomainSocketAddress.of(path));
    }
    assertTrue(Files.exists(path));
    try (UnixServer server = new UnixServer(path)) {
      exchange(server, path);
    }
  }

  @Test
  void whatIsInTheWayStaysAndIsNamedInOneLine() throws Exception {
    Path path = folder.resolve("socket");
    try (UnixServer first = new UnixServer(path)) {
      refused(path, "somebody listens there already");
      first.accept().close(); // The attempt to connect.
      exchange(first, path);
    }
    Files.writeString(path, "a file");
    refused(path, "there is a file already");
    assertEquals("a file", Files.readString(path));
    refused(folder.resolve("no folder").resolve("socket"), "No such file");
    refused(folder.resolve("x".repeat(200)), "too long");
  }

  private static void refused(Path path, String reason) {
    String message = assertThrows(IOException.class, () -> new UnixServer(path)).getMessage();
    assertTrue(message.startsWith("cannot listen at " + path + " ("), message);
    assertTrue(message.contains(reason), message);
    assertEquals(1, message.lines().count(), message);
  }
}
