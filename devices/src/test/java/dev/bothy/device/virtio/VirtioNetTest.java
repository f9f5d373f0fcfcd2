package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.net.Frame;
import dev.bothy.net.MacAddress;
import dev.bothy.net.Offload;
import dev.bothy.net.Offloads;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class VirtioNetTest {
  private static final long DATA = VirtioDriver.DATA;
  private static final long RECEIVE = 0x8000;
  private static final int RX = 0;
  private static final int TX = 1;
  private static final long MERGEABLE = 1L << 15;

  private final GuestMemory memory = new GuestMemory(8 << 20);
  private final TestNetwork network = new TestNetwork(Integer.MAX_VALUE);
  private VirtioNet device;
  private VirtioDriver driver;

  private void make(int pairs, long features) {
    device = new VirtioNet(memory, Runnable::run, network, MacAddress.ofCard(0), pairs);
    device.plugIn();
    device.resume();
    driver = new VirtioDriver(memory, device).start(features);
  }

  @AfterEach
  void close() {
    device.close();
    assertTrue(network.closed);
    memory.close();
  }

  private static byte[] bytes(int length) {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    return bytes;
  }

  private void buffers(int queue, int count, int length) {
    for (int i = 0; i < count; i++) {
      driver.rings.get(queue).offer(false, Piece.in(RECEIVE + (long) i * length, length));
    }
    driver.kick(queue);
  }

  private int header(int at, int size) {
    long value = 0;
    for (int i = size - 1; i >= 0; i--) {
      value = value << 8 | memory.readByte(RECEIVE + at + i);
    }
    return (int) value;
  }

  private byte[] received(int at, int length) {
    byte[] bytes = new byte[length];
    memory.read(RECEIVE + at, bytes, 0, length);
    return bytes;
  }

  private int control(int type, int command, byte... data) {
    int queue = driver.rings.size() - 1;
    memory.writeByte(DATA, type);
    memory.writeByte(DATA + 1, command);
    memory.write(DATA + 2, data);
    memory.writeByte(DATA + 64, 0xee);
    driver.request(
        queue, Piece.out(DATA, 2), Piece.out(DATA + 2, data.length), Piece.in(DATA + 64, 1));
    return memory.readByte(DATA + 64);
  }

  @Test
  void networkIsToldOfTheMachinesResetsAndNotOfTheDrivers() {
    make(1, -1);
    int powerOn = network.resets;
    driver.start(-1);
    assertEquals(powerOn, network.resets);
    device.reset();
    assertEquals(powerOn + 1, network.resets);
  }

  @Test
  void framesAreSentWithWhatIsUnfinishedAboutThem() {
    make(1, -1);
    byte[] text = bytes(100);
    memory.write(DATA, new byte[12]);
    memory.write(DATA + 12, text);
    driver.request(TX, Piece.out(DATA, 12), Piece.out(DATA + 12, 60), Piece.out(DATA + 72, 40));
    assertArrayEquals(text, network.sent.getLast().toArray());
    assertEquals(Offload.NONE, network.sent.getLast().offload());
    memory.write(DATA, new byte[] {1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0});
    driver.request(TX, Piece.out(DATA, 112));
    assertEquals(Offload.partial(34, 16), network.sent.getLast().offload());
    memory.write(DATA, new byte[] {1, (byte) 0x84, 54, 0, (byte) 0xb4, 5, 34, 0, 16, 0, 0, 0});
    driver.request(TX, Piece.out(DATA, 112));
    assertEquals(
        new Offload(Offload.Checksum.PARTIAL, 34, 16, Offload.Segmentation.TCP_IPV6, 54, 0x5b4),
        network.sent.getLast().offload());
    assertEquals(3, network.sent.size());
  }

  @Test
  void whatIsNoFrameIsLost() {
    make(1, -1);
    memory.write(DATA, new byte[] {0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    driver.request(TX, Piece.out(DATA, 100));
    memory.write(DATA, new byte[12]);
    driver.request(TX, Piece.out(DATA, 12));
    driver.request(TX, Piece.out(DATA, 12 + Frame.MAX_LENGTH + 1));
    assertEquals(0, network.sent.size());
    driver.request(TX, Piece.out(DATA, 12 + Frame.MAX_LENGTH));
    assertEquals(1, network.sent.size());
    driver.send(TX, Piece.out(DATA, 11));
    assertEquals(64, driver.status() & 64);
  }

  @Test
  void framesAreReceived() {
    make(1, ~MERGEABLE);
    buffers(RX, 4, 1526);
    byte[] text = bytes(1514);
    assertTrue(network.card.receive(Frame.of(text)));
    assertEquals(1526, driver.await(RX).written());
    assertArrayEquals(text, received(12, 1514));
    assertEquals(1, header(10, 2));
    assertEquals(0, header(0, 2));
    assertTrue(driver.takeMessages().contains(RX));
    // No buffer of that size can come: lost.
    assertTrue(network.card.receive(Frame.of(bytes(1515))));
    assertNull(driver.rings.get(RX).poll());
    assertTrue(network.card.receive(Frame.of(bytes(60))));
    assertEquals(72, driver.await(RX).written());
  }

  @Test
  void aLargeFrameTakesSeveralBuffers() {
    for (long features : new long[] {-1, ~VirtioDevice.F_RING_PACKED}) {
      make(1, features);
      buffers(RX, 5, 1024);
      byte[] text = bytes(3000);
      Offload offload =
          new Offload(Offload.Checksum.PARTIAL, 34, 16, Offload.Segmentation.TCP_IPV4, 54, 1460);
      assertTrue(network.card.receive(new Frame(offload, MemorySegment.ofArray(text))));
      assertEquals(1024, driver.await(RX).written());
      assertEquals(1024, driver.await(RX).written());
      assertEquals(3012 - 2048, driver.await(RX).written());
      assertArrayEquals(text, received(12, 3000));
      assertEquals(3, header(10, 2));
      assertEquals(1 | 1 << 8, header(0, 2));
      assertEquals(54 | 1460 << 16, header(2, 4));
      assertEquals(34 | 16 << 16, header(6, 4));
      // Two are left: too few, until there are more.
      assertFalse(network.card.receive(Frame.of(text)));
      assertNull(driver.rings.get(RX).poll());
      int ready = network.ready;
      buffers(RX, 1, 1024);
      assertTrue(network.ready > ready);
      assertTrue(network.card.receive(Frame.of(text)));
      for (int i = 0; i < 3; i++) {
        driver.await(RX);
      }
    }
  }

  @Test
  void aFrameThatFitsInNoQueueIsLost() {
    make(1, -1);
    driver.smallQueues(4).start(-1);
    buffers(RX, 4, 1024);
    assertTrue(network.card.receive(Frame.of(bytes(5000))));
    assertNull(driver.rings.get(RX).poll());
    assertTrue(network.card.receive(Frame.of(bytes(4000))));
  }

  @Test
  void withoutADriverFramesAreDropped() {
    make(1, -1);
    driver.common(0x14, 1, 0);
    assertTrue(network.card.receive(Frame.of(bytes(60))));
    assertEquals(Offloads.NONE, network.offloads);
    driver.start(-1);
    buffers(RX, 1, 100);
    assertNull(driver.rings.get(RX).poll());
    device.suspend();
    assertFalse(network.card.receive(Frame.of(bytes(60))));
    int ready = network.ready;
    device.resume();
    assertTrue(network.ready > ready);
    assertTrue(network.card.receive(Frame.of(bytes(60))));
  }

  @Test
  void buffersThatAreTooSmallNeedAReset() {
    make(1, -1);
    buffers(RX, 1, 11);
    assertTrue(network.card.receive(Frame.of(bytes(60))));
    assertEquals(64, driver.status() & 64);
  }

  @Test
  void theNetworkLearnsWhatTheDriverTakes() {
    make(1, -1);
    assertEquals(Offloads.ALL, network.offloads);
    driver.start(~(1L << 7));
    assertEquals(new Offloads(true, false, true), network.offloads);
    assertEquals(0, control(5, 0, new byte[] {2, 0, 0, 0, 0, 0, 0, 0}));
    assertEquals(new Offloads(true, false, false), network.offloads);
    // Not negotiated; without checksums; unknown; too short.
    assertEquals(1, control(5, 0, new byte[] {(byte) 0x82, 0, 0, 0, 0, 0, 0, 0}));
    assertEquals(1, control(5, 0, new byte[] {0, 1, 0, 0, 0, 0, 0, 0}));
    assertEquals(1, control(5, 0, new byte[] {2, 0, 0, 0, 0, 0, 0, 1}));
    assertEquals(1, control(5, 0, new byte[] {2, 0, 0, 0}));
    assertEquals(new Offloads(true, false, false), network.offloads);
    driver.start(~2L);
    assertEquals(Offloads.NONE, network.offloads);
    buffers(RX, 1, 100);
    assertTrue(network.card.receive(new Frame(Offload.VERIFIED, MemorySegment.ofArray(bytes(60)))));
    assertEquals(0, header(0, 1));
  }

  @Test
  void theAddressIsToldAndChanged() {
    make(1, -1);
    assertEquals(0x5634_1200_5452L, driver.config(0, 4) | driver.config(4, 2) << 32);
    assertEquals(0, control(1, 1, new byte[] {2, 3, 4, 5, 6, 7}));
    assertEquals(0x0504_0302L, driver.config(0, 4));
    assertEquals(1, control(1, 1, new byte[] {2, 3, 4, 5, 6}));
    assertEquals(1, control(9, 9));
    driver.start(-1);
    assertEquals(0x1200_5452L, driver.config(0, 4));
  }

  @Test
  void aPulledCableIsNoticed() {
    make(1, -1);
    assertEquals(1, driver.config(6, 2));
    driver.takeMessages();
    network.up = false;
    network.card.linkChanged(false);
    assertEquals(0, driver.config(6, 2));
    assertEquals(List.of(99), driver.takeMessages());
  }

  private static byte[] udp(int from, int to) {
    byte[] frame = new byte[60];
    frame[12] = 8;
    frame[14] = 0x45;
    frame[23] = 17;
    frame[29] = (byte) from;
    frame[33] = (byte) to;
    frame[35] = (byte) from;
    frame[37] = (byte) to;
    return frame;
  }

  @Test
  void flowsAreReceivedOnThePairTheyWereSentOn() {
    make(4, -1);
    assertEquals(4, driver.config(8, 2));
    assertEquals(1, control(4, 0, (byte) 5, (byte) 0));
    assertEquals(1, control(4, 0, (byte) 0, (byte) 0));
    assertEquals(0, control(4, 0, (byte) 4, (byte) 0));
    for (int pair = 0; pair < 4; pair++) {
      buffers(2 * pair, 2, 100);
      memory.write(DATA, new byte[12]);
      memory.write(DATA + 12, udp(1, 10 + pair));
      driver.request(2 * pair + 1, Piece.out(DATA, 72));
    }
    for (int pair = 0; pair < 4; pair++) {
      assertTrue(network.card.receive(Frame.of(udp(10 + pair, 1))));
      driver.await(2 * pair);
    }
    byte[] odd = Arrays.copyOf(udp(1, 2), 3);
    assertTrue(network.card.receive(Frame.of(odd)));
    driver.await(0);
  }

  @Test
  void aSavedCardGoesOnAlike() throws Exception {
    make(2, -1);
    control(1, 1, new byte[] {2, 3, 4, 5, 6, 7});
    control(4, 0, (byte) 2, (byte) 0);
    buffers(RX, 3, 100);
    network.card.receive(Frame.of(bytes(60)));
    driver.await(RX);
    device.suspend();
    StateWriter out = new StateWriter();
    device.save(out);
    VirtioNet other = new VirtioNet(memory, Runnable::run, network, MacAddress.ofCard(0), 2);
    StateReader in = new StateReader("net", out.toByteArray());
    other.load(in);
    in.end();
    network.offloads = Offloads.NONE;
    other.plugIn();
    other.resume();
    assertEquals(Offloads.ALL, network.offloads);
    assertTrue(network.card.receive(Frame.of(bytes(50))));
    assertEquals(62, driver.await(RX).written());
    assertEquals(2, other.readConfig(0));
    other.close();
  }
}
