package dev.bothy.net.user;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.net.Frame;
import dev.bothy.net.FreePort;
import dev.bothy.net.NetworkCard;
import dev.bothy.net.PortForward;
import dev.bothy.net.UserNetwork;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The user network with its threads and the host's sockets. */
@Timeout(300)
final class UserNetworkTest {
  private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");

  /** A card that keeps what it gets for the test's thread. */
  private static final class Card implements NetworkCard {
    final LinkedBlockingQueue<byte[]> frames = new LinkedBlockingQueue<>();

    /** How many frames it refuses before each that it takes. */
    int refusals;

    private int refused;
    private byte[] last;
    volatile boolean waiting;

    @Override
    public boolean receive(Frame frame) {
      if (refused < refusals) {
        if (last != null) {
          assertEquals(ByteBuffer.wrap(last), ByteBuffer.wrap(frame.toArray()));
        }
        last = frame.toArray();
        refused++;
        waiting = true;
        return false;
      }
      last = null;
      refused = 0;
      frames.add(frame.toArray());
      return true;
    }

    @Override
    public void linkChanged(boolean up) {}
  }

  private final Card card = new Card();

  /** Plays the guest until {@code done}. */
  private void play(UserNetwork network, GuestTcp guest, BooleanSupplier done)
      throws InterruptedException {
    while (!done.getAsBoolean()) {
      byte[] frame = card.frames.poll(1, TimeUnit.MILLISECONDS);
      if (card.waiting) {
        card.waiting = false;
        network.receiveReady();
      }
      Packets.Seen seen = frame == null ? null : Packets.read(frame);
      if (seen != null && seen.protocol() == 6) {
        guest.receive(seen, System.nanoTime());
      }
      guest.step(System.nanoTime());
    }
  }

  private static GuestTcp connect(UserNetwork network, int port) {
    GuestTcp guest =
        new GuestTcp(
            Packets.address("10.0.2.15"),
            40000,
            Packets.address("10.0.2.2"),
            port,
            true,
            frame -> network.transmit(Frame.of(frame)));
    guest.connect(System.nanoTime());
    return guest;
  }

  /** Takes all that one connection sends, and sends as much of the pattern back after that. */
  private static CompletableFuture<Long> echo(ServerSocket server) {
    return CompletableFuture.supplyAsync(
        () -> {
          try (Socket socket = server.accept()) {
            byte[] bytes = socket.getInputStream().readAllBytes();
            for (int i = 0; i < bytes.length; i++) {
              assertEquals(GuestTcp.pattern(i), bytes[i]);
            }
            socket.getOutputStream().write(bytes);
            return (long) bytes.length;
          } catch (IOException e) {
            throw new AssertionError(e);
          }
        });
  }

  private void exchange(int size) throws Exception {
    try (UserNetwork network = new UserNetwork(List.of(), null, false);
        ServerSocket server = new ServerSocket(0, 1, LOOPBACK)) {
      network.attach(card);
      CompletableFuture<Long> echo = echo(server);
      GuestTcp guest = connect(network, server.getLocalPort());
      guest.send(size, true);
      play(network, guest, () -> guest.peerEnded || guest.reset);
      assertEquals(size, guest.received);
      assertEquals(size, echo.get());
    }
  }

  @Test
  void carriesDataToTheHostAndBack() throws Exception {
    exchange(3_000_000);
  }

  @Test
  void keepsWhatTheCardRefuses() throws Exception {
    card.refusals = 2;
    exchange(200_000);
  }

  @Test
  void resetsTheHostWhereTheGuestRefuses() throws Exception {
    int port = FreePort.any();
    PortForward forward = PortForward.parse("tcp::" + port + "-10.0.2.15:22");
    // Forwards work where the guest is cut off from everything else.
    try (UserNetwork network = new UserNetwork(List.of(forward), null, true)) {
      network.attach(card);
      try (Socket socket = new Socket()) {
        socket.connect(new InetSocketAddress(LOOPBACK, port));
        // The guest shows its address, and is sent a SYN.
        network.transmit(
            Frame.of(
                Packets.udp(
                    Packets.address("10.0.2.15"), 9, Packets.address("10.0.2.2"), 9, new byte[1])));
        Packets.Seen syn = null;
        while (syn == null || syn.protocol() != 6) {
          syn = Packets.read(card.frames.take());
        }
        assertEquals(22, syn.bytes().getShort(2));
        byte[] refusal =
            ByteBuffer.allocate(20)
                .putShort((short) 22)
                .putShort(syn.bytes().getShort(0))
                .putInt(0)
                .putInt(syn.bytes().getInt(4) + 1)
                .putShort((short) 0x5014)
                .position(20)
                .array();
        network.transmit(
            Frame.of(
                Packets.ip(
                    Packets.address("10.0.2.15"), Packets.address("10.0.2.2"), 6, refusal, 16)));
        assertThrows(IOException.class, () -> socket.getInputStream().read());
      }
    }
  }

  @Test
  void endsConnectionsAndGivesPortsBackWhenClosed() throws Exception {
    int port = FreePort.any();
    try (ServerSocket server = new ServerSocket(0, 1, LOOPBACK)) {
      UserNetwork network =
          new UserNetwork(List.of(PortForward.parse("udp::" + port + "-:7")), null, false);
      network.attach(card);
      assertTrue(network.linkUp());
      GuestTcp guest = connect(network, server.getLocalPort());
      play(network, guest, guest::open);
      try (Socket socket = server.accept()) {
        network.close();
        network.close();
        assertFalse(network.linkUp());
        assertThrows(
            IOException.class,
            () -> {
              if (socket.getInputStream().read() < 0) {
                throw new IOException("ended");
              }
            });
      }
      card.frames.clear();
      connect(network, server.getLocalPort());
      assertEquals(0, card.frames.size());
    }
    new UserNetwork(List.of(PortForward.parse("udp::" + port + "-:7")), null, false).close();
  }

  @Test
  void hasOneCard() throws Exception {
    try (UserNetwork network = new UserNetwork(List.of(), null, false)) {
      network.attach(card);
      assertThrows(IllegalStateException.class, () -> network.attach(card));
    }
  }
}
