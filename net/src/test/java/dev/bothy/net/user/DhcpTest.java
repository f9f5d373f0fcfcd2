package dev.bothy.net.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

final class DhcpTest {
  private static final int DISCOVER = 1;
  private static final int OFFER = 2;
  private static final int REQUEST = 3;
  private static final int ACK = 5;
  private static final int NAK = 6;

  private final Cable cable = new Cable(1, false);

  private static byte[] message(int type, int lastByteOfMac, byte[] options) {
    ByteBuffer message = ByteBuffer.allocate(300);
    message.put(new byte[] {1, 1, 6, 0}).putInt(0xcafe1234);
    message.position(28);
    message.put(new byte[] {0x52, 0x54, 0, 0, 0, (byte) lastByteOfMac});
    message.position(236);
    message.putInt(0x63825363).put(new byte[] {53, 1, (byte) type}).put(options).put((byte) 255);
    return message.array();
  }

  /** Options of the only answer, its address under 0; null if there is none. */
  private static Map<Integer, byte[]> ask(Cable cable, byte[] message) {
    cable.fromGuest(
        Packets.udp(
            Packets.address("0.0.0.0"), 68, Packets.address("255.255.255.255"), 67, message));
    List<byte[]> answers = cable.answers();
    if (answers.isEmpty()) {
      return null;
    }
    assertEquals(1, answers.size());
    Packets.Seen seen = Packets.read(answers.getFirst());
    ByteBuffer in = seen.bytes();
    assertEquals(67 << 16 | 68, in.getInt(0));
    assertEquals(0xcafe1234, in.getInt(12));
    Map<Integer, byte[]> options = new HashMap<>();
    options.put(0, Arrays.copyOfRange(seen.payload(), 24, 28));
    for (int at = 248; seen.payload()[at] != -1; at += 2 + seen.payload()[at + 1]) {
      options.put(
          seen.payload()[at] & 0xff,
          Arrays.copyOfRange(seen.payload(), at + 2, at + 2 + seen.payload()[at + 1]));
    }
    return options;
  }

  private static byte[] requested(String address) {
    return Packets.join(new byte[] {50, 4}, Packets.address(address));
  }

  @Test
  void leasesTheAddressWithRouterServerAndName() {
    Map<Integer, byte[]> offer = ask(cable, message(DISCOVER, 1, new byte[0]));
    assertArrayEquals(new byte[] {OFFER}, offer.get(53));
    assertArrayEquals(Packets.address("10.0.2.15"), offer.get(0));
    Map<Integer, byte[]> ack = ask(cable, message(REQUEST, 1, requested("10.0.2.15")));
    assertArrayEquals(new byte[] {ACK}, ack.get(53));
    assertArrayEquals(Packets.address("255.255.255.0"), ack.get(1));
    assertArrayEquals(Packets.address("10.0.2.2"), ack.get(3));
    assertArrayEquals(Packets.address("10.0.2.3"), ack.get(6));
    assertEquals("guest", new String(ack.get(12), StandardCharsets.US_ASCII));
    assertEquals(86400, ByteBuffer.wrap(ack.get(51)).getInt());
    assertArrayEquals(Packets.address("10.0.2.2"), ack.get(54));
  }

  @Test
  void givesEachCardItsOwnAddressAndTheSameAgain() {
    assertArrayEquals(
        Packets.address("10.0.2.15"), ask(cable, message(DISCOVER, 1, new byte[0])).get(0));
    assertArrayEquals(
        Packets.address("10.0.2.16"), ask(cable, message(DISCOVER, 2, new byte[0])).get(0));
    assertArrayEquals(
        Packets.address("10.0.2.15"), ask(cable, message(DISCOVER, 1, new byte[0])).get(0));
  }

  @Test
  void refusesAnAddressThatIsAnothers() {
    ask(cable, message(DISCOVER, 1, new byte[0]));
    Map<Integer, byte[]> answer = ask(cable, message(REQUEST, 2, requested("10.0.2.15")));
    assertArrayEquals(new byte[] {NAK}, answer.get(53));
  }

  @Test
  void leavesRequestsToOtherServersAlone() {
    byte[] options =
        Packets.join(requested("10.0.2.15"), new byte[] {54, 4}, Packets.address("10.0.2.9"));
    assertNull(ask(cable, message(REQUEST, 1, options)));
  }

  @Test
  void doesNotRunOutOfAddresses() {
    for (int i = 0; i < 250; i++) {
      byte[] address = ask(cable, message(DISCOVER, i, new byte[0])).get(0);
      assertTrue(address[3] >= 15 && address[3] < 31, () -> "10.0.2." + address[3]);
    }
  }

  @Test
  void namesNoRouterWhereThereIsNoWayOut() {
    Cable restricted = new Cable(1, true);
    Map<Integer, byte[]> offer = ask(restricted, message(DISCOVER, 1, new byte[0]));
    assertArrayEquals(Packets.address("10.0.2.15"), offer.get(0));
    assertFalse(offer.containsKey(3) || offer.containsKey(6));
  }
}
