package dev.bothy.net.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** UDP, DNS, echo and fragments, as a guest sees them. */
final class UdpTest {
  private static final byte[] GUEST = Packets.address("10.0.2.15");
  private static final byte[] GUEST_IPV6 = Packets.address("fec0::15");

  private final Cable cable = new Cable(1, false);

  private static byte[] bytes(int size) {
    byte[] bytes = new byte[size];
    for (int i = 0; i < size; i++) {
      bytes[i] = (byte) (i * 7 + i / 256);
    }
    return bytes;
  }

  private void send(String to, int port, byte[] data) {
    byte[] destination = Packets.address(to);
    byte[] source = destination.length == 4 ? GUEST : GUEST_IPV6;
    cable.fromGuest(Packets.udp(source, 5000, destination, port, data));
    cable.run(cable.now + 1, () -> false);
  }

  @ParameterizedTest
  @CsvSource({
    "198.51.100.9, 198.51.100.9",
    "10.0.2.2, 127.0.0.1",
    "2001:db8::9, 2001:db8::9",
    "fec0::2, ::1"
  })
  void passesDatagramsOnAndAnswersBack(String to, String onHost) {
    send(to, 7, bytes(100));
    FakeOutside.Sent sent = cable.outside.datagrams.getFirst();
    assertEquals(IpAddress.parse(onHost), sent.to());
    assertEquals(7, sent.port());
    assertArrayEquals(bytes(100), sent.payload());
    cable.outside.sockets.getFirst().received(IpAddress.parse(onHost), 7, bytes(50));
    Packets.Seen seen = Packets.read(cable.answers().getFirst());
    assertArrayEquals(Packets.address(to), seen.source());
    assertEquals(7 << 16 | 5000, seen.bytes().getInt(0));
    assertArrayEquals(bytes(50), Arrays.copyOfRange(seen.payload(), 8, 58));
  }

  @Test
  void takesAnswersOnlyFromWhereTheGuestHasSentTo() {
    send("198.51.100.9", 7, bytes(1));
    cable.outside.sockets.getFirst().received(IpAddress.parse("198.51.100.9"), 8, bytes(1));
    cable.outside.sockets.getFirst().received(IpAddress.parse("198.51.100.8"), 7, bytes(1));
    assertEquals(List.of(), cable.answers());
  }

  @Test
  void closesSocketsThatAreSilent() {
    send("198.51.100.9", 7, bytes(1));
    assertEquals(1, cable.outside.openSockets);
    cable.run(cable.now + 119_000_000_000L, () -> false);
    assertEquals(1, cable.outside.openSockets);
    cable.run(cable.now + 2_000_000_000L, () -> false);
    assertEquals(0, cable.outside.openSockets);
    assertEquals(0, cable.stack.udp().count());
  }

  @Test
  void opensNoMoreSocketsThanItsLimit() {
    for (int port = 1; port < 5000; port++) {
      cable.fromGuest(Packets.udp(GUEST, port, Packets.address("198.51.100.9"), 7, bytes(1)));
      cable.run(cable.now + 1, () -> false);
    }
    assertEquals(Udp.SESSIONS, cable.outside.openSockets);
    assertEquals(Udp.SESSIONS, cable.stack.timeouts().count());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "127.0.0.1",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.2.77",
        "240.0.0.1",
        "::1",
        "fe80::99",
        "::127.0.0.1"
      })
  void leadsNowhereThatIsTheHostsOwn(String to) {
    send(to, 7, bytes(1));
    assertEquals(List.of(), cable.outside.datagrams);
    Packets.Seen seen = Packets.read(cable.answers().getFirst());
    assertEquals(seen.source().length == 4 ? 3 : 1, seen.payload()[0]);
  }

  @ParameterizedTest
  @ValueSource(strings = {"198.51.100.9", "2001:db8::9"})
  void sendsLongDatagramsInFragmentsThatFit(String from) {
    send(from, 7, bytes(1));
    cable.outside.sockets.getFirst().received(IpAddress.parse(from), 7, bytes(5000));
    byte[] whole = new byte[5008];
    int total = 0;
    for (byte[] frame : cable.answers()) {
      assertTrue(frame.length <= 1514);
      boolean ipv4 = frame[12] == 8;
      ByteBuffer in = ByteBuffer.wrap(frame);
      int header = ipv4 ? 34 : 62;
      int at = ipv4 ? (in.getShort(20) & 0x1fff) * 8 : in.getShort(56) & 0xfff8;
      System.arraycopy(frame, header, whole, at, frame.length - header);
      total += frame.length - header;
    }
    assertEquals(5008, total);
    assertArrayEquals(bytes(5000), Arrays.copyOfRange(whole, 8, 5008));
  }

  // What the guest sends in fragments.

  private void fragment(byte[] whole, int from, int to, int identification) {
    byte[] packet =
        Packets.ipv4(
            GUEST,
            Packets.address("198.51.100.9"),
            17,
            Arrays.copyOfRange(whole, from, to),
            identification,
            from / 8 | (to < whole.length ? 0x2000 : 0));
    cable.fromGuest(Packets.ethernet(Packets.GATEWAY_MAC, 0x800, packet));
    cable.run(cable.now + 1, () -> false);
  }

  private static byte[] datagram(byte[] data) {
    byte[] frame = Packets.udp(GUEST, 5000, Packets.address("198.51.100.9"), 7, data);
    return Arrays.copyOfRange(frame, 34, frame.length);
  }

  @Test
  void putsFragmentsTogetherInAnyOrder() {
    byte[] whole = datagram(bytes(4000));
    fragment(whole, 2960, whole.length, 9);
    fragment(whole, 0, 1480, 9);
    fragment(whole, 1480, 2960, 9);
    assertArrayEquals(bytes(4000), cable.outside.datagrams.getFirst().payload());
    assertEquals(0, cable.stack.reassembly().count());
  }

  @Test
  void dropsDatagramsWhoseFragmentsOverlap() {
    byte[] whole = datagram(bytes(4000));
    fragment(whole, 0, 1480, 9);
    fragment(whole, 1472, 2960, 9);
    fragment(whole, 1480, 2960, 9);
    fragment(whole, 2960, whole.length, 9);
    assertEquals(List.of(), cable.outside.datagrams);
  }

  @Test
  void keepsFewDatagramsInPartsAndNotForLong() {
    byte[] whole = datagram(bytes(60000));
    for (int i = 0; i < 1000; i++) {
      fragment(whole, 59200, whole.length, i);
    }
    assertEquals(Reassembly.DATAGRAMS, cable.stack.reassembly().count());
    cable.run(cable.now + Reassembly.TIME, () -> false);
    fragment(whole, 0, 1480, 5000);
    assertEquals(1, cable.stack.reassembly().count());
  }

  // Names.

  private static byte[] query() {
    return ByteBuffer.allocate(17)
        .putShort((short) 0x1234)
        .putShort((short) 0x100)
        .putShort((short) 1)
        .position(12)
        .put((byte) 0)
        .putInt(0x0001_0001)
        .array();
  }

  @ParameterizedTest
  @ValueSource(strings = {"10.0.2.3", "fec0::3"})
  void passesQuestionsAndAnswersOn(String server) {
    cable.outside.onQuestion = answer -> answer.accept(bytes(30));
    send(server, 53, query());
    Packets.Seen seen = Packets.read(cable.answers().getFirst());
    assertArrayEquals(Packets.address(server), seen.source());
    assertArrayEquals(bytes(30), Arrays.copyOfRange(seen.payload(), 8, 38));
  }

  @Test
  void keepsFewQuestionsWaiting() {
    int[] asked = {0};
    cable.outside.onQuestion = _ -> asked[0]++;
    for (int i = 0; i < 1000; i++) {
      send("10.0.2.3", 53, query());
    }
    assertEquals(Dns.QUESTIONS, asked[0]);
    cable.run(cable.now + 30_000_000_000L, () -> false);
    send("10.0.2.3", 53, query());
    assertEquals(Dns.QUESTIONS + 1, asked[0]);
  }

  @Test
  void reachesNothingWhenRestricted() {
    Cable restricted = new Cable(1, true);
    restricted.fromGuest(Packets.udp(GUEST, 5000, Packets.address("10.0.2.2"), 7, bytes(1)));
    restricted.fromGuest(Packets.udp(GUEST, 5000, Packets.address("198.51.100.9"), 7, bytes(1)));
    restricted.fromGuest(Packets.udp(GUEST, 5000, Packets.address("10.0.2.3"), 53, query()));
    GuestTcp tcp = restricted.connect("10.0.2.15", 40000, "198.51.100.7", 80, true);
    List<byte[]> answers = restricted.answers();
    assertEquals(List.of(), restricted.outside.datagrams);
    assertEquals(List.of(), restricted.outside.peers);
    assertTrue(tcp.reset);
    int refused = 0;
    for (byte[] frame : answers) {
      Packets.Seen seen = Packets.read(frame);
      refused += seen.protocol() == 17 && (seen.payload()[11] & 15) == 5 ? 1 : 0;
    }
    assertEquals(1, refused);
  }

  // Echo.

  private static byte[] echo(boolean ipv4, String to) {
    byte[] message =
        ByteBuffer.allocate(64)
            .put((byte) (ipv4 ? 8 : 128))
            .position(4)
            .putInt(0x12340001)
            .put(bytes(56))
            .array();
    return ipv4
        ? Packets.ip(GUEST, Packets.address(to), 1, message, 2)
        : Packets.ip(GUEST_IPV6, Packets.address(to), 58, message, 2);
  }

  @ParameterizedTest
  @CsvSource({"10.0.2.2, false", "10.0.2.3, false", "fec0::2, false", "198.51.100.9, true"})
  void answersEchoes(String to, boolean reachable) {
    cable.outside.reachable = reachable;
    boolean ipv4 = !to.contains(":");
    cable.fromGuest(echo(ipv4, to));
    Packets.Seen seen = Packets.read(cable.answers().getFirst());
    assertArrayEquals(Packets.address(to), seen.source());
    assertEquals(ipv4 ? 0 : (byte) 129, seen.payload()[0]);
    assertEquals(0x12340001, seen.bytes().getInt(4));
    assertArrayEquals(bytes(56), Arrays.copyOfRange(seen.payload(), 8, 64));
  }

  @Test
  void answersNoEchoForWhoIsNotThere() {
    cable.fromGuest(echo(true, "198.51.100.9"));
    assertEquals(List.of(), cable.answers());
  }

  // Neighbours.

  @Test
  void answersArpForItsOwnAddressesAlone() {
    for (String ip : new String[] {"10.0.2.2", "10.0.2.3", "10.0.2.4", "10.0.2.15"}) {
      byte[] request =
          ByteBuffer.allocate(28)
              .putLong(0x0001080006040001L)
              .put(Packets.GUEST_MAC)
              .put(GUEST)
              .position(24)
              .put(Packets.address(ip))
              .array();
      byte[] all = {-1, -1, -1, -1, -1, -1};
      cable.fromGuest(Packets.ethernet(all, 0x806, request));
      List<byte[]> answers = cable.answers();
      boolean ours = ip.equals("10.0.2.2") || ip.equals("10.0.2.3");
      assertEquals(ours ? 1 : 0, answers.size(), ip);
      if (ours) {
        byte[] reply = answers.getFirst();
        assertEquals(2, reply[21]);
        assertArrayEquals(Packets.GATEWAY_MAC, Arrays.copyOfRange(reply, 22, 28));
        assertArrayEquals(Packets.address(ip), Arrays.copyOfRange(reply, 28, 32));
      }
    }
  }

  @Test
  void advertisesItsPrefixAndNameServer() {
    byte[] solicitation = ByteBuffer.allocate(8).put((byte) 133).array();
    cable.fromGuest(
        Packets.ip(Packets.address("fe80::1234"), Packets.address("ff02::2"), 58, solicitation, 2));
    // To fe80::1234, whose Ethernet address it has learned.
    Packets.Seen seen = Packets.read(cable.answers().getFirst());
    assertEquals((byte) 134, seen.payload()[0]);
    assertTrue(seen.bytes().getShort(6) > 0);
    byte[] prefix = null;
    byte[] server = null;
    for (int at = 16; at < seen.payload().length; at += 8 * seen.payload()[at + 1]) {
      if (seen.payload()[at] == 3) {
        prefix = Arrays.copyOfRange(seen.payload(), at + 16, at + 32);
      } else if (seen.payload()[at] == 25) {
        server = Arrays.copyOfRange(seen.payload(), at + 8, at + 24);
      }
    }
    assertArrayEquals(Packets.address("fec0::"), prefix);
    assertArrayEquals(Packets.address("fec0::3"), server);
  }

  @Test
  void forwardsDatagramsAndTheirAnswers() {
    send("198.51.100.9", 7, bytes(1));
    FakeOutside.Sent[] back = {null};
    Outside.HostDatagrams socket =
        new Outside.HostDatagrams() {
          @Override
          public void send(IpAddress to, int port, byte[] payload) {
            back[0] = new FakeOutside.Sent(to, port, payload);
          }

          @Override
          public void close() {}
        };
    Outside.DatagramReceiver forward = cable.stack.forward(socket, IpAddress.ANY_IPV4, 53);
    forward.received(IpAddress.parse("127.0.0.1"), 6000, bytes(9));
    Packets.Seen seen = Packets.read(cable.answers().getLast());
    assertArrayEquals(Packets.address("10.0.2.2"), seen.source());
    assertEquals(53, seen.bytes().getShort(2));
    int shown = seen.bytes().getShort(0) & 0xffff;
    cable.fromGuest(Packets.udp(GUEST, 53, Packets.address("10.0.2.2"), shown, bytes(11)));
    cable.answers();
    assertEquals(IpAddress.parse("127.0.0.1"), back[0].to());
    assertEquals(6000, back[0].port());
    assertArrayEquals(bytes(11), back[0].payload());
  }
}
