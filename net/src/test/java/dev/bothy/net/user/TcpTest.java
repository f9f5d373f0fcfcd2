package dev.bothy.net.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.Test;

/** TCP's beginnings and ends, and guests that mean no good. */
final class TcpTest {
  private static final long SECOND = 1_000_000_000L;
  private static final byte[] GUEST = Packets.address("10.0.2.15");
  private static final byte[] SERVER = Packets.address("198.51.100.7");

  private final Cable cable = new Cable(3, false);

  private GuestTcp connect() {
    GuestTcp guest = cable.connect("10.0.2.15", 40000, "198.51.100.7", 80, true);
    cable.run(cable.now + SECOND / 100, guest::open);
    return guest;
  }

  private FakeOutside.Peer peer() {
    return cable.outside.peers.getFirst();
  }

  private static byte[] segment(
      int port, int sequence, int acknowledgement, int flags, int window) {
    byte[] segment =
        ByteBuffer.allocate(20)
            .putShort((short) port)
            .putShort((short) 80)
            .putInt(sequence)
            .putInt(acknowledgement)
            .putShort((short) (0x5000 | flags))
            .putShort((short) window)
            .array();
    return Packets.ip(GUEST, SERVER, 6, segment, 16);
  }

  @Test
  void connectsOnlyWhenTheHostIsConnected() {
    cable.outside.onConnect = _ -> {};
    GuestTcp guest = connect();
    assertFalse(guest.open() || guest.reset);
    peer().connection.hostConnected();
    cable.run(cable.now + SECOND, guest::open);
    assertTrue(guest.open());
    assertEquals(1, cable.outside.peers.size());
  }

  @Test
  void refusesWhatTheHostRefuses() {
    cable.outside.onConnect = peer -> peer.connection.hostFailed();
    GuestTcp guest = connect();
    assertTrue(guest.reset);
    assertEquals(0, cable.stack.tcp().count());
  }

  @Test
  void letsTheHostGoOnAfterTheGuestHasEnded() {
    cable.outside.onConnect = FakeOutside.Peer::stay;
    GuestTcp guest = connect();
    guest.send(1000, true);
    assertTrue(cable.run(cable.now + SECOND, () -> peer().ended && guest.allAcknowledged()));
    peer().toSend = 100_000;
    peer().endAfter = true;
    assertTrue(cable.run(cable.now + SECOND, () -> guest.peerEnded));
    assertEquals(100_000, guest.received);
    cable.run(cable.now + 5 * SECOND, () -> false);
    assertEquals(0, cable.stack.tcp().count());
    assertFalse(peer().aborted);
    assertEquals(0, cable.stack.tcp().pool().inUse());
  }

  @Test
  void letsTheGuestGoOnAfterTheHostHasEnded() {
    GuestTcp guest = connect();
    assertTrue(cable.run(cable.now + SECOND, () -> guest.peerEnded));
    guest.send(200_000, true);
    assertTrue(cable.run(cable.now + SECOND, () -> peer().ended));
    assertEquals(200_000, peer().received);
    cable.run(cable.now + 5 * SECOND, () -> false);
    assertEquals(0, cable.stack.tcp().count());
  }

  @Test
  void passesResetsOnBothWays() {
    GuestTcp guest = connect();
    peer().connection.hostFailed();
    cable.run(cable.now + SECOND / 10, () -> false);
    assertTrue(guest.reset);
    assertTrue(peer().aborted);

    Cable other = new Cable(4, false);
    other.outside.onConnect = FakeOutside.Peer::stay;
    GuestTcp second = other.connect("10.0.2.15", 40000, "198.51.100.7", 80, true);
    other.run(other.now + SECOND, second::open);
    other.answers();
    second.send(0xffff_f001, 4, null, 0, 0);
    other.answers();
    assertTrue(other.outside.peers.getFirst().aborted);
    assertEquals(0, other.stack.tcp().count());
  }

  @Test
  void isNotResetByAGuess() {
    cable.outside.onConnect = FakeOutside.Peer::stay;
    GuestTcp guest = connect();
    cable.answers();
    guest.send(0xffff_f001 + 1000, 4, null, 0, 0);
    guest.send(0xffff_f001 + 1000, 2, null, 0, 0);
    cable.answers();
    assertFalse(peer().aborted);
    assertEquals(1, cable.stack.tcp().count());
  }

  @Test
  void refusesSegmentsOfNoConnection() {
    cable.fromGuest(segment(1234, 100, 500, 16, 1000));
    Packets.Seen seen = Packets.read(cable.answers().getFirst());
    assertEquals(4, seen.payload()[13]);
    assertEquals(500, seen.bytes().getInt(4));
  }

  @Test
  void looksIntoAClosedWindowUntilItOpens() {
    cable.outside.onConnect = peer -> peer.send(300_000);
    GuestTcp guest = cable.connect("10.0.2.15", 40000, "198.51.100.7", 80, true);
    cable.run(cable.now + SECOND, () -> guest.received > 100_000);
    guest.window = 0;
    guest.acknowledge();
    long before = cable.frames;
    cable.run(cable.now + 100 * SECOND, () -> false);
    assertTrue(guest.received < 300_000);
    // Probes come ever more seldom.
    assertTrue(cable.frames - before < 30, () -> cable.frames - before + " frames");
    guest.window = 1 << 20;
    // The guest's update may be lost: the next probe finds out.
    assertTrue(cable.run(cable.now + 130 * SECOND, () -> guest.peerEnded));
    assertEquals(300_000, guest.received);
  }

  @Test
  void forwardsAPortToTheGuest() {
    // As the guest's DHCP would have it, to 10.0.2.15, which is asked for by ARP first.
    FakeOutside.Peer[] host = {null};
    HostStream later =
        new HostStream() {
          @Override
          public void readable() {}

          @Override
          public void writable() {}

          @Override
          public void abort() {
            host[0].aborted = true;
          }
        };
    TcpConnection connection = cable.stack.open(IpAddress.ANY_IPV4, 22, 50000, later);
    host[0] = new FakeOutside.Peer(connection, AddressPlan.GATEWAY, 50000);
    byte[] question = cable.answers().getFirst();
    assertEquals(1, question[21]);
    byte[] reply =
        ByteBuffer.allocate(28)
            .putLong(0x0001080006040002L)
            .put(Packets.GUEST_MAC)
            .put(GUEST)
            .put(Packets.GATEWAY_MAC)
            .put(Packets.address("10.0.2.2"))
            .array();
    cable.fromGuest(Packets.ethernet(Packets.GATEWAY_MAC, 0x806, reply));
    Packets.Seen syn = Packets.read(cable.answers().getFirst());
    assertEquals(2, syn.payload()[13]);
    assertArrayEquals(Packets.address("10.0.2.2"), syn.source());
    assertEquals(50000 << 16 | 22, syn.bytes().getInt(0));
    // The guest refuses.
    byte[] refusal =
        ByteBuffer.allocate(20)
            .putShort((short) 22)
            .putShort((short) 50000)
            .putInt(0)
            .putInt(syn.bytes().getInt(4) + 1)
            .putShort((short) 0x5014)
            .array();
    cable.fromGuest(Packets.ip(GUEST, Packets.address("10.0.2.2"), 6, refusal.clone(), 16));
    cable.run(cable.now + 1, () -> false);
    cable.answers();
    assertTrue(host[0].aborted);
  }

  @Test
  void endsWhatAGuestKnewOfThatIsResetAndCallsOn() {
    cable.outside.onConnect = FakeOutside.Peer::stay;
    connect();
    FakeOutside.Peer caller = new FakeOutside.Peer(null, AddressPlan.GATEWAY, 50000);
    TcpConnection call = cable.stack.open(IpAddress.v4(0x0a00_020f), 22, 50000, caller);
    cable.answers();
    cable.stack.reset();
    assertTrue(peer().aborted);
    assertFalse(caller.aborted || call.closed());
    assertEquals(1, cable.stack.tcp().count());
  }

  // Guests that mean no good.

  @Test
  void bearsAFloodOfSyns() {
    cable.outside.onConnect = _ -> {};
    for (int port = 1; port < 20_000; port++) {
      cable.fromGuest(segment(port, port, 0, 2, 1000));
    }
    cable.answers();
    assertEquals(Tcp.CONNECTING, cable.outside.peers.size());
    assertEquals(0, cable.stack.tcp().pool().inUse());
  }

  @Test
  void forgetsConnectionsThatAreNeverConfirmed() {
    for (int port = 1; port <= 200; port++) {
      cable.fromGuest(segment(port, port, 0, 2, 1000));
    }
    cable.answers();
    assertEquals(200, cable.stack.tcp().count());
    cable.run(cable.now + 200 * SECOND, () -> false);
    assertEquals(0, cable.stack.tcp().count());
    assertTrue(cable.outside.peers.stream().allMatch(peer -> peer.aborted));
  }

  @Test
  void giveUpOnAGuestThatIsGone() {
    cable.outside.onConnect = peer -> peer.send(3_000_000);
    GuestTcp guest = cable.connect("10.0.2.15", 40000, "198.51.100.7", 80, true);
    cable.run(cable.now + SECOND, () -> guest.received > 100_000);
    cable.loss = 1;
    cable.run(cable.now + 1000 * SECOND, () -> peer().aborted);
    assertTrue(peer().aborted);
    assertEquals(0, cable.stack.tcp().count());
    assertEquals(0, cable.stack.tcp().pool().inUse());
  }

  @Test
  void holdsNoMoreThanItsPoolForWindowsThatNeverOpen() {
    cable.outside.onConnect = peer -> peer.send(10_000_000);
    for (int port = 1; port <= 250; port++) {
      GuestTcp guest = cable.connect("10.0.2.15", 1000 + port, "198.51.100.7", 80, true);
      guest.window = 0;
    }
    cable.run(cable.now + 10 * SECOND, () -> false);
    assertTrue(cable.stack.tcp().pool().inUse() <= (64 << 20) / ChunkPool.CHUNK);
    // Whoever behaves still gets through.
    GuestTcp good = cable.connect("10.0.2.15", 2000, "198.51.100.7", 80, true);
    cable.outside.peers.forEach(peer -> peer.endAfter = true);
    assertTrue(cable.run(cable.now + 60 * SECOND, () -> good.received >= 1_000_000));
  }

  @Test
  void remembersFewHoles() {
    cable.outside.onConnect = FakeOutside.Peer::stay;
    GuestTcp guest = connect();
    cable.answers();
    for (int i = 1; i < 60_000; i += 2) {
      guest.send(0xffff_f001 + i, 16, null, i, 1);
    }
    cable.answers();
    assertTrue(cable.stack.tcp().pool().inUse() <= 1);
    guest.send(60_000, false);
    assertTrue(cable.run(cable.now + 60 * SECOND, () -> peer().received == 60_000));
  }

  @Test
  void takesTinySegments() {
    GuestTcp guest = connect();
    cable.answers();
    for (int i = 0; i < 5000; i++) {
      guest.sendPiece(i, 1);
    }
    cable.answers();
    assertEquals(5000, peer().received);
    assertTrue(cable.stack.tcp().pool().inUse() <= 1);
  }

  @Test
  void stopsTheGuestWhenTheHostReadsNothing() {
    cable.outside.onConnect =
        peer -> {
          peer.reading = false;
          peer.connection.hostConnected();
        };
    GuestTcp guest = connect();
    guest.send(10_000_000, true);
    cable.run(cable.now + 20 * SECOND, () -> false);
    assertTrue(cable.stack.tcp().pool().inUse() <= TcpReceiver.BUFFER / ChunkPool.CHUNK + 2);
    peer().reading = true;
    assertTrue(cable.run(cable.now + 60 * SECOND, () -> peer().ended));
    assertEquals(10_000_000, peer().received);
  }

  @Test
  void givesASlowHostTheTimeItTakes() {
    cable.outside.onConnect =
        peer -> {
          peer.reading = false;
          peer.connection.hostConnected();
        };
    GuestTcp guest = connect();
    guest.send(500_000, true);
    assertTrue(cable.run(cable.now + SECOND, () -> guest.allAcknowledged() && guest.peerEnded));
    int read = 0;
    while (read < 500_000) {
      cable.run(cable.now + 50 * SECOND, () -> false);
      assertFalse(peer().aborted);
      int count = 0;
      for (ByteBuffer view : peer().connection.beginDrain(100_000)) {
        count += view.remaining();
      }
      peer().connection.endDrain(count);
      read += count;
    }
    assertTrue(peer().connection.guestEnded());
    cable.run(cable.now + 5 * SECOND, () -> false);
    assertFalse(peer().aborted);
    assertEquals(0, cable.stack.tcp().count());
  }

  @Test
  void keepsNothingOfConnectionsThatAreOver() {
    cable.outside.onConnect = FakeOutside.Peer::stay;
    GuestTcp guest = connect();
    cable.run(cable.now + 10 * SECOND, () -> false);
    assertEquals(1, cable.stack.timeouts().count());
    guest.send(0xffff_f001, 4, null, 0, 0);
    cable.answers();
    assertTrue(peer().aborted);
    assertEquals(0, cable.stack.timeouts().count());
  }

  @Test
  void takesItsTurnsWithManyConnections() {
    cable.outside.onConnect = peer -> peer.send(20_000);
    for (int port = 1; port <= 200; port++) {
      cable.connect("10.0.2.15", 1000 + port, "198.51.100.7", 80, true).send(5000, true);
    }
    List<GuestTcp> guests = cable.guests;
    assertTrue(
        cable.run(
            cable.now + 10 * SECOND,
            () -> guests.stream().allMatch(guest -> guest.peerEnded && guest.allAcknowledged())));
    cable.run(cable.now + 5 * SECOND, () -> false);
    assertEquals(0, cable.stack.tcp().count());
    assertEquals(0, cable.stack.tcp().pool().inUse());
  }
}
