package dev.bothy.net.user;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.net.Frame;
import dev.bothy.net.Offload;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Frames of every kind with bytes changed, cut off and added: none may throw or take memory. */
final class MalformedFramesTest {
  /** More of them with {@code -Dbothy.fuzz.frames=N}. */
  private static final int CASES = Integer.getInteger("bothy.fuzz.frames", 100_000);

  private static final byte[] GUEST = Packets.address("10.0.2.15");
  private static final byte[] GUEST_IPV6 = Packets.address("fec0::15");

  private static List<byte[]> valid() {
    List<byte[]> frames = new ArrayList<>();
    GuestTcp[] endpoints = new GuestTcp[2];
    endpoints[0] =
        new GuestTcp(GUEST, 40000, Packets.address("198.51.100.7"), 80, true, frames::add);
    endpoints[1] =
        new GuestTcp(GUEST_IPV6, 40000, Packets.address("2001:db8::7"), 80, true, frames::add);
    for (GuestTcp endpoint : endpoints) {
      endpoint.connect(0);
      endpoint.send(0xffff_f001, 16, null, 0, 100);
      endpoint.send(0xffff_f001, 17, new byte[] {1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9}, 0, 0);
    }
    byte[] data = new byte[300];
    for (int port : new int[] {7, 53, 67}) {
      frames.add(Packets.udp(GUEST, 5000, Packets.address("10.0.2.3"), port, data));
      frames.add(Packets.udp(GUEST, 5000, Packets.address("10.0.2.2"), port, data));
      frames.add(Packets.udp(GUEST_IPV6, 5000, Packets.address("fec0::3"), port, data));
    }
    byte[] dhcp = new byte[300];
    ByteBuffer.wrap(dhcp).putInt(0x01010600).position(236).putInt(0x63825363).putInt(0x350103ff);
    frames.add(
        Packets.udp(Packets.address("0.0.0.0"), 68, Packets.address("255.255.255.255"), 67, dhcp));
    frames.add(
        Packets.ip(GUEST, Packets.address("10.0.2.2"), 1, new byte[] {8, 0, 0, 0, 1, 2, 3, 4}, 2));
    byte[] solicitation = new byte[32];
    solicitation[0] = (byte) 135;
    System.arraycopy(Packets.address("fec0::2"), 0, solicitation, 8, 16);
    frames.add(Packets.ip(GUEST_IPV6, Packets.address("fec0::2"), 58, solicitation, 2));
    byte[] router = new byte[16];
    router[0] = (byte) 133;
    frames.add(Packets.ip(GUEST_IPV6, Packets.address("ff02::2"), 58, router, 2));
    byte[] fragment = new byte[200];
    fragment[0] = 17;
    fragment[3] = 1;
    frames.add(Packets.ip(GUEST_IPV6, Packets.address("2001:db8::7"), 44, fragment, -1));
    frames.add(Packets.ip(GUEST_IPV6, Packets.address("2001:db8::7"), 0, new byte[64], -1));
    frames.add(
        Packets.ethernet(
            Packets.GATEWAY_MAC,
            0x800,
            Packets.ipv4(GUEST, Packets.address("198.51.100.7"), 17, data, 5, 0x2003)));
    frames.add(
        Packets.ethernet(
            Packets.GATEWAY_MAC,
            0x806,
            ByteBuffer.allocate(28)
                .putLong(0x0001080006040001L)
                .put(Packets.GUEST_MAC)
                .put(GUEST)
                .array()));
    return frames;
  }

  private static byte[] mutated(byte[] frame, Random random) {
    byte[] bytes = frame.clone();
    int changes = random.nextInt(4);
    for (int i = 0; i < changes; i++) {
      int at =
          random.nextInt(3) > 0
              ? 12 + random.nextInt(Math.min(60, bytes.length - 12))
              : random.nextInt(bytes.length);
      bytes[at] =
          switch (random.nextInt(4)) {
            case 0 -> (byte) (bytes[at] ^ 1 << random.nextInt(8));
            case 1 -> 0;
            case 2 -> -1;
            default -> (byte) random.nextInt();
          };
    }
    if (random.nextInt(4) == 0) {
      bytes = java.util.Arrays.copyOf(bytes, random.nextInt(bytes.length + 40));
    }
    return bytes;
  }

  /** Mends the IPv4 header's checksum, so that what lies behind it is looked at. */
  private static void mend(byte[] frame) {
    boolean ipv4 = frame.length >= 34 && frame[12] == 8 && frame[13] == 0;
    int header = ipv4 ? (frame[14] & 15) * 4 : 0;
    if (ipv4 && header >= 20 && frame.length >= 14 + header) {
      frame[24] = 0;
      frame[25] = 0;
      int sum = Packets.checksum(java.util.Arrays.copyOfRange(frame, 14, 14 + header));
      frame[24] = (byte) (sum >> 8);
      frame[25] = (byte) sum;
    }
  }

  @Test
  void areDroppedWhateverTheySay() {
    Random random = new Random(Long.getLong("bothy.fuzz.seed", 20261123));
    Cable cable = new Cable(5, false);
    cable.outside.reachable = true;
    cable.outside.onQuestion = answer -> answer.accept(new byte[20]);
    List<byte[]> valid = valid();
    List<Frame> out = new ArrayList<>();
    for (int i = 0; i < CASES; i++) {
      byte[] bytes = mutated(valid.get(random.nextInt(valid.size())), random);
      mend(bytes);
      int cut = random.nextInt(bytes.length + 1);
      // Transport checksums as the guest's card would leave them, so that few cases end there.
      Offload offload =
          random.nextInt(8) == 0
              ? Offload.NONE
              : Offload.partial(random.nextInt(70000), random.nextInt(70000));
      cable.stack.input(
          new Frame(
              offload,
              MemorySegment.ofArray(java.util.Arrays.copyOf(bytes, cut)),
              MemorySegment.ofArray(java.util.Arrays.copyOfRange(bytes, cut, bytes.length))));
      out.clear();
      cable.stack.output(out, 16);
      cable.now += random.nextInt(10_000_000);
      cable.stack.tick();
      cable.outside.datagrams.clear();
      cable.outside.sockets.clear();
      cable.outside.peers.removeIf(peer -> peer.aborted);
    }
    assertTrue(cable.stack.neighbors().count() <= Neighbors.ENTRIES);
    assertTrue(cable.stack.tcp().count() <= Tcp.CONNECTIONS);
    assertTrue(cable.stack.udp().count() <= Udp.SESSIONS);
    assertTrue(cable.stack.reassembly().count() <= Reassembly.DATAGRAMS);
  }
}
