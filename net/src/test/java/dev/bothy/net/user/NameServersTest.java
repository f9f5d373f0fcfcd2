package dev.bothy.net.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class NameServersTest {
  private static final int A = 1;
  private static final int AAAA = 28;
  private static final int MX = 15;

  @TempDir Path folder;

  private Path file(String text) throws IOException {
    return Files.writeString(folder.resolve("resolv.conf"), text);
  }

  private static byte[] query(String name, int type) {
    ByteBuffer query = ByteBuffer.allocate(512);
    query.putShort((short) 0xbeef).putShort((short) 0x0100).putShort((short) 1).position(12);
    for (String label : name.split("\\.")) {
      query.put((byte) label.length()).put(label.getBytes(StandardCharsets.US_ASCII));
    }
    query.put((byte) 0).putShort((short) type).putShort((short) 1);
    return Arrays.copyOf(query.array(), query.position());
  }

  private byte[] resolve(NameServers servers, byte[] query) throws Exception {
    CompletableFuture<byte[]> answer = new CompletableFuture<>();
    servers.resolve(query, answer::complete);
    return answer.get(240, TimeUnit.SECONDS);
  }

  @Test
  void readsTheHostsFile() throws IOException {
    Path file =
        file(
            "# comment\nsearch example.org\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 \n"
                + "nameserver fe80::1%eth0\nnameserver nonsense\noptions ndots:2\n"
                + "nameserver 192.0.2.2\nnameserver 192.0.2.3\n");
    assertEquals(
        List.of(
            IpAddress.parse("192.0.2.1"),
            IpAddress.parse("2001:db8::1"),
            IpAddress.parse("192.0.2.2")),
        new NameServers(file, 53, Runnable::run).servers());
    assertNull(new NameServers(folder.resolve("none"), 53, Runnable::run).first());
  }

  @Test
  void passesQuestionsOnAndTakesOnlyTheirAnswers() throws Exception {
    byte[] query = query("example.org", MX);
    try (DatagramSocket server = new DatagramSocket(0, InetAddress.ofLiteral("127.0.0.1"))) {
      byte[] right = query.clone();
      right[2] |= (byte) 0x80;
      byte[] wrong = right.clone();
      wrong[0]++;
      Thread.ofVirtual()
          .start(
              () -> {
                try {
                  DatagramPacket packet = new DatagramPacket(new byte[512], 512);
                  server.receive(packet);
                  packet.setData(wrong);
                  server.send(packet);
                  packet.setData(right);
                  server.send(packet);
                } catch (IOException e) {
                  // The test is over.
                }
              });
      NameServers servers =
          new NameServers(file("nameserver 127.0.0.1\n"), server.getLocalPort(), Runnable::run);
      assertArrayEquals(right, resolve(servers, query));
    }
  }

  @Test
  void looksUpWithTheHostWhereNobodyAnswers() throws Exception {
    NameServers servers = new NameServers(folder.resolve("none"), 53, Runnable::run);
    byte[] query = query("localhost", A);
    byte[] answer = resolve(servers, query);
    ByteBuffer in = ByteBuffer.wrap(answer);
    assertEquals(0xbeef, in.getShort(0) & 0xffff);
    assertEquals(0x8180, in.getShort(2) & 0xffff);
    assertEquals(1, in.getShort(4));
    assertEquals(1, in.getShort(6));
    int record = query.length;
    assertEquals(0xc00c, in.getShort(record) & 0xffff);
    assertEquals(A, in.getShort(record + 2));
    assertEquals(4, in.getShort(record + 10));
    assertEquals(0x7f000001, in.getInt(record + 12));
    assertEquals(record + 16, answer.length);
  }

  @Test
  void answersWithACodeWhatItCannotLookUp() throws Exception {
    NameServers servers = new NameServers(folder.resolve("none"), 53, Runnable::run);
    assertEquals(4, resolve(servers, query("localhost", MX))[3] & 15);
    assertEquals(1, resolve(servers, query("no spaces", AAAA))[3] & 15);
    assertEquals(1, resolve(servers, query("127.0.0.1", A))[3] & 15);
    assertEquals(1, resolve(servers, Arrays.copyOf(query("localhost", A), 15))[3] & 15);
    assertEquals(2, resolve(servers, query("name.invalid", A))[3] & 15);
  }
}
