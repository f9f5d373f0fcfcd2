package dev.bothy.net.user;

import dev.bothy.net.Frame;
import dev.bothy.net.Offload;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.LongConsumer;
import java.util.random.RandomGenerator;

/**
 * One case a number: a network and a guest that sends it some hundred frames of every kind with
 * bytes changed, cut off and added, or as they should be. None may throw, and tables keep their
 * limits. {@code bench/fuzz} runs many of them. One thread an instance.
 */
public final class FrameFuzz implements LongConsumer {
  static final int FRAMES = 500;
  private static final int PORTS = 4;

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

  private static byte[] mutated(byte[] frame, RandomGenerator random) {
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

  @Override
  public void accept(long number) {
    RandomGenerator random = new SplittableRandom(number);
    Cable cable = new Cable(number, random.nextInt(8) == 0);
    cable.outside.reachable = random.nextBoolean();
    cable.outside.onQuestion = answer -> answer.accept(new byte[random.nextInt(600)]);
    List<byte[]> valid = valid();
    List<Frame> out = new ArrayList<>();
    int[] next = new int[2 * PORTS];
    for (int i = 0; i < FRAMES; i++) {
      byte[] frame = valid.get(random.nextInt(valid.size())).clone();
      if (isTcp(frame) && random.nextInt(8) > 0) {
        continued(frame, next, random);
      }
      send(cable, frame, random);
      out.clear();
      cable.stack.output(out, 16);
      out.forEach(answer -> remember(answer.toArray(), next));
      cable.now += random.nextInt(8) == 0 ? random.nextLong(1L << 36) : random.nextInt(10_000_000);
      cable.stack.tick();
      outside(cable, random);
    }
    check("neighbors", cable.stack.neighbors().count(), Neighbors.ENTRIES);
    check("connections", cable.stack.tcp().count(), Tcp.CONNECTIONS);
    check("UDP sessions", cable.stack.udp().count(), Udp.SESSIONS);
    check("datagrams in parts", cable.stack.reassembly().count(), Reassembly.DATAGRAMS);
  }

  private static int header(byte[] frame) {
    return frame[12] == 8 ? 34 : 54;
  }

  private static boolean isTcp(byte[] frame) {
    boolean ipv4 = frame.length >= 54 && frame[12] == 8 && frame[13] == 0 && frame[23] == 6;
    boolean ipv6 = frame.length >= 74 && (frame[12] & 0xff) == 0x86 && frame[20] == 6;
    return ipv4 || ipv6;
  }

  private static int connection(byte[] frame, int port) {
    return (header(frame) == 34 ? 0 : PORTS) + (port & PORTS - 1);
  }

  /** What the network has sent of a connection so far. */
  private static void remember(byte[] frame, int[] next) {
    if (isTcp(frame)) {
      ByteBuffer segment = ByteBuffer.wrap(frame);
      int at = header(frame);
      int flags = frame[at + 13];
      int length =
          frame.length - at - (frame[at + 12] >>> 4 & 15) * 4 + (flags & 1) + (flags >> 1 & 1);
      next[connection(frame, segment.getShort(at + 2))] = segment.getInt(at + 4) + length;
    }
  }

  /** Makes a segment one of several connections, most of them with numbers that fit. */
  private static void continued(byte[] frame, int[] next, RandomGenerator random) {
    ByteBuffer segment = ByteBuffer.wrap(frame);
    int at = header(frame);
    int port = 40000 + random.nextInt(PORTS);
    segment.putShort(at, (short) port);
    if ((frame[at + 13] & 2) == 0 || random.nextInt(8) == 0) {
      int sequence = random.nextInt(3) > 0 ? 0 : random.nextInt(-200, 3000);
      segment.putInt(at + 4, segment.getInt(at + 4) + sequence);
      int late = random.nextInt(3) > 0 ? 0 : random.nextInt(-3000, 200);
      segment.putInt(at + 8, next[connection(frame, port)] + late);
      frame[at + 13] = (byte) (random.nextInt(8) == 0 ? random.nextInt() : frame[at + 13] | 16);
    }
  }

  private static void send(Cable cable, byte[] frame, RandomGenerator random) {
    byte[] bytes = mutated(frame, random);
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
  }

  /** What happens at the host's side meanwhile. */
  private static void outside(Cable cable, RandomGenerator random) {
    cable.outside.datagrams.clear();
    for (FakeOutside.Peer peer : List.copyOf(cable.outside.peers)) {
      if (!peer.aborted && !peer.connection.closed() && random.nextInt(4) == 0) {
        peer.toSend += random.nextInt(5000);
        peer.endAfter = random.nextInt(8) == 0;
        talk(peer);
      }
    }
    cable.outside.peers.removeIf(peer -> peer.aborted || peer.connection.closed());
    cable.outside.sockets.clear();
  }

  /** As {@link FakeOutside.Peer#step}, whatever it is that the guest has sent. */
  private static void talk(FakeOutside.Peer peer) {
    int taken = 0;
    for (ByteBuffer view : peer.connection.beginDrain(10_000)) {
      taken += view.remaining();
    }
    peer.connection.endDrain(taken);
    peer.reading = false;
    peer.step();
    peer.reading = true;
  }

  private static void check(String what, int count, int most) {
    if (count > most) {
      throw new AssertionError(count + " " + what + ", more than " + most);
    }
  }
}
