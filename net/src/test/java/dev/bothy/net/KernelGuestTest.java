package dev.bothy.net;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The user network with the host's own kernel as the guest, behind a tap interface. */
final class KernelGuestTest {
  private final String name = "bothy" + ProcessHandle.current().pid() % 100000;
  private TapNetwork tap;
  private UserNetwork network;
  private int forwarded;

  @BeforeEach
  void plugIn() throws Exception {
    try {
      tap = new TapNetwork(name);
    } catch (IOException e) {
      Assumptions.abort(e.getMessage());
    }
    Assumptions.assumeTrue(
        run("ip", "netns", "add", name).status == 0, "network namespaces need root and ip(8)");
    forwarded = FreePort.any();
    network =
        new UserNetwork(
            List.of(PortForward.parse("tcp::" + forwarded + "-:2222")), "kernel", false);
    check(
        "sh",
        "-c",
        """
        set -e
        ip link set $0 netns $0
        ip -n $0 link set lo up
        ip -n $0 link set $0 up
        ip -n $0 addr add 10.0.2.15/24 dev $0
        ip -n $0 route add default via 10.0.2.2
        ip -n $0 addr add fec0::15/64 dev $0 nodad
        """,
        name);
    network.attach(card(tap));
    tap.attach(card(network));
  }

  /** A card that hands on what it gets. */
  private static NetworkCard card(Network to) {
    return new NetworkCard() {
      @Override
      public boolean receive(Frame frame) {
        to.transmit(frame);
        return true;
      }

      @Override
      public void linkChanged(boolean up) {}
    };
  }

  @AfterEach
  void pullOut() throws Exception {
    if (network != null) {
      network.close();
    }
    if (tap != null) {
      tap.close();
      run("ip", "netns", "del", name);
    }
  }

  private record Result(int status, byte[] output) {}

  private static Result run(String... command) throws Exception {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getOutputStream().close();
    byte[] output = process.getInputStream().readAllBytes();
    return new Result(process.waitFor(), output);
  }

  private static byte[] check(String... command) throws Exception {
    Result result = run(command);
    assertEquals(
        0,
        result.status,
        () -> String.join(" ", command) + ": " + new String(result.output, StandardCharsets.UTF_8));
    return result.output;
  }

  private byte[] guest(String... command) throws Exception {
    String[] whole = new String[command.length + 4];
    System.arraycopy(new String[] {"ip", "netns", "exec", name}, 0, whole, 0, 4);
    System.arraycopy(command, 0, whole, 4, command.length);
    return check(whole);
  }

  private static byte[] random(int size) {
    byte[] bytes = new byte[size];
    new Random(size).nextBytes(bytes);
    return bytes;
  }

  /** Accepts one connection, takes all of it, and answers with {@code answer}. */
  private static Thread server(ServerSocket server, byte[] answer, byte[][] taken) {
    return Thread.ofVirtual()
        .start(
            () -> {
              try (Socket socket = server.accept()) {
                taken[0] = socket.getInputStream().readAllBytes();
                socket.getOutputStream().write(answer);
              } catch (IOException e) {
                taken[0] = e.toString().getBytes(StandardCharsets.UTF_8);
              }
            });
  }

  private static final String CLIENT =
      """
      import socket, sys, random, threading
      address, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
      s = socket.create_connection((address, port), 240)
      s.settimeout(240)
      s.sendall(bytes(i * 7 % 251 for i in range(size)))
      s.shutdown(socket.SHUT_WR)
      while True:
          d = s.recv(1 << 16)
          if not d: break
          sys.stdout.buffer.write(d)
      """;

  private static byte[] pattern(int size) {
    byte[] bytes = new byte[size];
    for (int i = 0; i < size; i++) {
      bytes[i] = (byte) (i * 7L % 251);
    }
    return bytes;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void carriesDataBothWaysAndHalfCloses(boolean offloads) throws Exception {
    if (offloads) {
      network.accept(Offloads.ALL);
      tap.accept(Offloads.ALL);
    }
    byte[] answer = random(5_000_000);
    for (String[] addresses : new String[][] {{"127.0.0.1", "10.0.2.2"}, {"::1", "fec0::2"}}) {
      try (ServerSocket server = new ServerSocket(0, 1, InetAddress.ofLiteral(addresses[0]))) {
        byte[][] taken = {null};
        Thread thread = server(server, answer, taken);
        byte[] got =
            guest(
                "python3",
                "-c",
                CLIENT,
                addresses[1],
                Integer.toString(server.getLocalPort()),
                "3000000");
        thread.join();
        assertArrayEquals(pattern(3_000_000), taken[0]);
        assertArrayEquals(answer, got);
      }
    }
  }

  @Test
  void forwardsAPortToTheGuest() throws Exception {
    String serve =
        """
        import socket
        s = socket.create_server(("", 2222))
        print("listening", flush=True)
        c, a = s.accept()
        d = b""
        while True:
            e = c.recv(65536)
            if not e: break
            d += e
        c.sendall(a[0].encode() + b" " + d[::-1])
        """;
    Process process =
        new ProcessBuilder("ip", "netns", "exec", name, "python3", "-c", serve).start();
    try (InputStream in = process.getInputStream()) {
      assertEquals('l', in.read());
      try (Socket socket = new Socket()) {
        socket.connect(new InetSocketAddress("127.0.0.1", forwarded));
        socket.getOutputStream().write("abcdef".getBytes(StandardCharsets.UTF_8));
        socket.shutdownOutput();
        assertEquals(
            "10.0.2.2 fedcba",
            new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
      }
    } finally {
      process.destroyForcibly();
    }
  }

  @Test
  void carriesDatagramsAndEchoes() throws Exception {
    String exchange =
        """
        import os, socket, struct, sys
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(240)
        for size in (10, 1000, 9000):
            s.sendto(bytes(i * 7 % 251 for i in range(size)), ("10.0.2.2", int(sys.argv[1])))
            d, a = s.recvfrom(65536)
            print(len(d), a[0], a[1] == int(sys.argv[1]), d == bytes(i * 7 % 251 for i in range(size)))
        r = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        r.settimeout(240)
        r.sendto(struct.pack(">BBHHH", 8, 0, 0xf7ff - 5, 0, 5), ("10.0.2.2", 0))
        d, a = r.recvfrom(1000)
        print(a[0], d[20], d[27])
        """;
    try (DatagramSocket echo = new DatagramSocket(0, InetAddress.ofLiteral("127.0.0.1"))) {
      Thread.ofVirtual()
          .start(
              () -> {
                try {
                  DatagramPacket packet = new DatagramPacket(new byte[65536], 65536);
                  while (true) {
                    echo.receive(packet);
                    echo.send(packet);
                    packet.setLength(65536);
                  }
                } catch (IOException e) {
                  // Closed.
                }
              });
      String output =
          new String(
              guest("python3", "-c", exchange, Integer.toString(echo.getLocalPort())),
              StandardCharsets.UTF_8);
      assertEquals(
          """
          10 10.0.2.2 True True
          1000 10.0.2.2 True True
          9000 10.0.2.2 True True
          10.0.2.2 0 5
          """,
          output);
    }
  }

  @Test
  void refusesConnectionsThatTheHostRefuses() throws Exception {
    int port = FreePort.any();
    String connect =
        """
        import socket, sys
        try:
            socket.create_connection(("10.0.2.2", int(sys.argv[1])), 240)
        except ConnectionRefusedError:
            print("refused")
        """;
    String output =
        new String(guest("python3", "-c", connect, Integer.toString(port)), StandardCharsets.UTF_8);
    assertTrue(output.contains("refused"), output);
  }
}
