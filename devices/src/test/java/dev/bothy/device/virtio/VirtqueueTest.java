package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.device.virtio.DriverRing.Used;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class VirtqueueTest {
  private static final long BASE = 0x10_0000;
  private static final long DATA = 0x20_0000;
  private static final int SIZE = 16;
  private static final long ALL = VirtioDevice.PACKED_RINGS;
  private static final long SPLIT = VirtioDevice.SPLIT_RINGS;

  private final GuestMemory memory = new GuestMemory(4 << 20);
  private final Virtqueue queue = new Virtqueue(0, 256);
  private DriverRing driver;

  @AfterEach
  void close() {
    memory.close();
  }

  private void enable(boolean packed, long without) throws VirtqueueException {
    driver = DriverRing.make(packed, memory, SIZE, BASE);
    place(queue);
    queue.enable(memory, (packed ? ALL : SPLIT) & ~without);
  }

  private void place(Virtqueue target) {
    target.setSize(SIZE);
    target.setArea(0, driver.descriptors);
    target.setArea(1, driver.driverArea);
    target.setArea(2, driver.deviceArea);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void requestsArriveWholeAndAnswersGoBackInAnyOrder(boolean packed) throws Exception {
    enable(packed, VirtioDevice.F_EVENT_IDX);
    Random random = new Random(1);
    Deque<Integer> expected = new ArrayDeque<>();
    List<DescriptorChain> taken = new ArrayList<>();
    for (int round = 0; round < 20_000; round++) {
      if (expected.size() + taken.size() < 5) {
        byte[] text = new byte[1 + random.nextInt(40)];
        random.nextBytes(text);
        memory.write(DATA + 256 * (round % 8), text);
        int cut = random.nextInt(text.length + 1);
        boolean indirect = random.nextInt(500) == 0;
        long at = DATA + 256 * (round % 8);
        int id =
            driver.offer(
                indirect,
                Piece.out(at, cut),
                Piece.out(at + cut, text.length - cut),
                Piece.in(DATA + 0x1000, 8));
        expected.add(id);
        DescriptorChain chain = queue.poll();
        assertEquals(expected.remove(), chain.id);
        assertArrayEquals(text, chain.readable().read(0, (int) chain.readable().length()));
        assertEquals(8, chain.writable().length());
        taken.add(chain);
      }
      if (taken.size() > random.nextInt(5)) {
        DescriptorChain chain = taken.remove(random.nextInt(taken.size()));
        chain.writable().putByte(0, round);
        queue.complete(chain, 8);
        assertNull(driver.poll(), "not before it is published");
        assertTrue(queue.publish());
        assertEquals(new Used(chain.id, 8), driver.poll());
        assertEquals(round & 0xff, memory.readByte(DATA + 0x1000));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void severalAnswersArePublishedAsOne(boolean packed) throws Exception {
    enable(packed, VirtioDevice.F_EVENT_IDX);
    for (int round = 0; round < 50; round++) {
      for (int i = 0; i < 5; i++) {
        driver.offer(false, Piece.in(DATA, 4), Piece.in(DATA + 8, 4));
      }
      for (int i = 0; i < 5; i++) {
        queue.complete(queue.poll(), i + 1);
      }
      assertNull(driver.poll());
      assertTrue(queue.publish());
      assertFalse(queue.publish());
      for (int i = 0; i < 5; i++) {
        assertEquals(i + 1, driver.poll().written());
      }
      assertNull(driver.poll());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void whatIsPutBackComesAgain(boolean packed) throws Exception {
    enable(packed, 0);
    for (int round = 0; round < 50; round++) {
      int first = driver.offer(false, Piece.in(DATA, 4), Piece.in(DATA, 4), Piece.in(DATA, 4));
      int second = driver.offer(false, Piece.in(DATA, 8));
      DescriptorChain one = queue.poll();
      DescriptorChain two = queue.poll();
      queue.undo(two);
      queue.undo(one);
      assertTrue(queue.hasRequest());
      assertEquals(first, queue.poll().id);
      assertEquals(second, queue.poll().id);
      assertNull(queue.poll());
      queue.complete(one, 0);
      queue.complete(two, 0);
      queue.publish();
      assertEquals(first, driver.poll().id());
      assertEquals(second, driver.poll().id());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void driversThatWantNoInterruptsGetNone(boolean packed) throws Exception {
    enable(packed, VirtioDevice.F_EVENT_IDX);
    driver.wantInterrupts(false);
    driver.offer(false, Piece.in(DATA, 4));
    queue.complete(queue.poll(), 4);
    assertFalse(queue.publish());
    driver.wantInterrupts(true);
    driver.offer(false, Piece.in(DATA, 4));
    queue.complete(queue.poll(), 4);
    assertTrue(queue.publish());
  }

  @Test
  void aSplitDriverIsInterruptedWhenItsEventPasses() throws Exception {
    enable(false, 0);
    long event = driver.driverArea + 4 + 2 * SIZE;
    for (int done = 0; done < 70_000; done++) {
      // Every third answer, over the wrap of the index as well.
      memory.writeShort(event, done / 3 * 3 + 1);
      driver.offer(false, Piece.in(DATA, 4));
      queue.complete(queue.poll(), 4);
      assertEquals(done % 3 == 1, queue.publish(), "answer " + done);
      driver.poll();
    }
  }

  @Test
  void aPackedDriverIsInterruptedWhenItsEventPasses() throws Exception {
    enable(true, 0);
    memory.writeShort(driver.driverArea + 2, 2);
    for (int done = 0; done < 1000; done++) {
      int wanted = done / 3 * 3 + 1;
      boolean wrap = wanted / SIZE % 2 == 0;
      memory.writeShort(driver.driverArea, wanted % SIZE | (wrap ? 1 << 15 : 0));
      driver.offer(false, Piece.in(DATA, 4));
      queue.complete(queue.poll(), 4);
      assertEquals(done % 3 == 1, queue.publish(), "answer " + done);
      driver.poll();
    }
  }

  @Test
  void theDriverLearnsWhenToNotify() throws Exception {
    enable(false, 0);
    driver.offer(false, Piece.in(DATA, 4));
    queue.poll();
    queue.wantNotifications(true);
    assertEquals(1, memory.readShort(driver.deviceArea + 4 + 8 * SIZE));
    queue.reset();
    enable(false, VirtioDevice.F_EVENT_IDX);
    queue.wantNotifications(false);
    assertEquals(1, memory.readShort(driver.deviceArea));
    queue.wantNotifications(true);
    assertEquals(0, memory.readShort(driver.deviceArea));
    queue.reset();
    memory.write(BASE, new byte[0x1000]);
    enable(true, 0);
    queue.wantNotifications(false);
    assertEquals(1, memory.readShort(driver.deviceArea + 2));
    driver.offer(false, Piece.in(DATA, 4));
    queue.poll();
    queue.wantNotifications(true);
    assertEquals(2, memory.readShort(driver.deviceArea + 2));
    assertEquals(1 | 1 << 15, memory.readShort(driver.deviceArea));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aSavedQueueGoesOnAlike(boolean packed) throws Exception {
    enable(packed, 0);
    for (int i = 0; i < 21; i++) {
      driver.offer(false, Piece.in(DATA, 4));
      queue.complete(queue.poll(), 4);
      queue.publish();
      driver.poll();
    }
    driver.offer(false, Piece.in(DATA, 4));
    StateWriter out = new StateWriter();
    queue.save(out);
    Virtqueue other = new Virtqueue(0, 256);
    StateReader in = new StateReader("queue", out.toByteArray());
    other.load(in, memory, packed ? ALL : SPLIT);
    in.end();
    DescriptorChain chain = other.poll();
    assertNotNull(chain);
    other.complete(chain, 3);
    other.publish();
    assertEquals(new Used(chain.id, 3), driver.poll());
    assertNull(other.poll());
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void observersHearOfWhatDevicesWrite(boolean packed) throws Exception {
    enable(packed, 0);
    driver.offer(false, Piece.in(DATA, 4), Piece.in(DATA + 0x100, 4));
    List<String> heard = new ArrayList<>();
    memory.observeWrites(
        (address, length) -> {
          if (address >= DATA) {
            heard.add(Long.toHexString(address - DATA) + "+" + length);
          }
        });
    DescriptorChain chain = queue.poll();
    chain.writable().fill(0, 6, 1);
    queue.complete(chain, 6);
    assertEquals(List.of("0+4", "100+2"), heard);
  }

  private void assertRefused() {
    assertThrows(VirtqueueException.class, queue::poll);
  }

  @Test
  void aLoopOfDescriptorsIsRefused() throws Exception {
    enable(false, 0);
    driver.offer(false, Piece.out(DATA, 4), Piece.out(DATA, 4), Piece.out(DATA, 4));
    memory.writeShort(BASE + 16 * 2 + 12, Ring.NEXT);
    memory.writeShort(BASE + 16 * 2 + 14, 0);
    assertRefused();
  }

  @Test
  void aLoopInAnIndirectTableIsRefused() throws Exception {
    enable(false, 0);
    driver.offer(true, Piece.out(DATA, 4), Piece.out(DATA, 4));
    memory.writeShort(BASE + 0x4_0000 + 16 + 12, Ring.NEXT);
    memory.writeShort(BASE + 0x4_0000 + 16 + 14, 1);
    assertRefused();
  }

  @Test
  void aPackedChainWithoutEndIsRefused() throws Exception {
    enable(true, 0);
    for (int i = 0; i < SIZE; i++) {
      driver.descriptor(BASE + 16 * i, Piece.out(DATA, 4), Ring.NEXT | 1 << 7, 0);
    }
    assertRefused();
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void buffersOutsideRamAreRefused(boolean packed) throws Exception {
    for (Piece bad :
        List.of(
            Piece.out(memory.size(), 1),
            Piece.out(memory.size() - 1, 2),
            Piece.out(-1, 1),
            Piece.out(-4, 8),
            Piece.out(Long.MAX_VALUE, 4),
            Piece.in(0, -1),
            Piece.in(GuestMemory.HIGH_START, 1))) {
      for (boolean indirect : new boolean[] {false, true}) {
        memory.write(BASE, new byte[0x1000]);
        queue.reset();
        enable(packed, 0);
        driver.offer(indirect, bad);
        assertRefused();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void lengthsThatAddUpToFourGibibytesAreRefused(boolean packed) throws Exception {
    try (GuestMemory large = new GuestMemory(1L << 30)) {
      driver = DriverRing.make(packed, large, SIZE, BASE);
      place(queue);
      queue.enable(large, packed ? ALL : SPLIT);
      Piece quarter = Piece.in(0, 1 << 30);
      driver.offer(false, quarter, quarter, quarter, Piece.in(0, (1 << 30) - 1));
      assertEquals((4L << 30) - 1, queue.poll().writable().length());
      driver.offer(false, quarter, quarter, quarter, quarter);
      assertRefused();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void buffersToReadBehindOnesToWriteAreRefused(boolean packed) throws Exception {
    enable(packed, 0);
    driver.offer(false, Piece.in(DATA, 4), Piece.out(DATA, 4));
    assertRefused();
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void badIndirectTablesAreRefused(boolean packed) throws Exception {
    record Table(long address, int length, int flags) {}
    for (Table bad :
        List.of(
            new Table(DATA, 0, 0),
            new Table(DATA, 17, 0),
            new Table(DATA, 16 * 1025, 0),
            new Table(DATA, -16, 0),
            new Table(memory.size() - 16, 32, 0),
            new Table(DATA, 32, Ring.NEXT))) {
      memory.write(BASE, new byte[0x1000]);
      queue.reset();
      enable(packed, 0);
      driver.offer(false, Piece.out(bad.address, bad.length));
      long at = BASE + driver.flagsAt();
      int flags = memory.readShort(at);
      memory.writeShort(at, flags | Ring.INDIRECT | bad.flags);
      assertRefused();
    }
    // A table in a table.
    memory.write(BASE, new byte[0x1000]);
    queue.reset();
    enable(packed, 0);
    driver.offer(true, Piece.out(DATA, 16));
    memory.writeShort(BASE + 0x4_0000 + driver.flagsAt(), Ring.INDIRECT);
    assertRefused();
    // Not negotiated.
    memory.write(BASE, new byte[0x1000]);
    queue.reset();
    enable(packed, VirtioDevice.F_INDIRECT_DESC);
    driver.offer(true, Piece.out(DATA, 4));
    assertRefused();
  }

  @Test
  void anIndexFarAheadIsRefused() throws Exception {
    enable(false, 0);
    memory.writeShort(driver.driverArea + 2, SIZE + 1);
    assertRefused();
  }

  @Test
  void aHeadBeyondTheQueueIsRefused() throws Exception {
    enable(false, 0);
    memory.writeShort(driver.driverArea + 4, SIZE);
    memory.writeShort(driver.driverArea + 2, 1);
    assertRefused();
  }

  @Test
  void requestsBeyondTheQueuesSizeAreRefused() throws Exception {
    enable(false, 0);
    driver.offer(false, Piece.out(DATA, 4));
    for (int i = 0; i < SIZE; i++) {
      memory.writeShort(driver.driverArea + 2, i + 1);
      assertNotNull(queue.poll());
    }
    memory.writeShort(driver.driverArea + 2, SIZE + 1);
    assertRefused();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 3, 12, 257, 512, 0xffff})
  void impossibleSizesAreRefused(int size) {
    driver = DriverRing.make(false, memory, SIZE, BASE);
    place(queue);
    queue.setSize(size);
    assertThrows(VirtqueueException.class, () -> queue.enable(memory, SPLIT));
    assertFalse(queue.enabled());
  }

  @ParameterizedTest
  @ValueSource(longs = {8, 0x40_0000 - 16, -16, 1L << 40, Long.MIN_VALUE})
  void misplacedAreasAreRefused(long address) {
    for (boolean packed : new boolean[] {false, true}) {
      queue.reset();
      driver = DriverRing.make(packed, memory, SIZE, BASE);
      place(queue);
      queue.setArea(0, address);
      assertThrows(VirtqueueException.class, () -> queue.enable(memory, packed ? ALL : SPLIT));
      for (int area = 1; area < 3; area++) {
        place(queue);
        queue.setArea(area, (address | 2) + 1);
        assertThrows(VirtqueueException.class, () -> queue.enable(memory, packed ? ALL : SPLIT));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aGuestThatScribblesOverItsRingsIsRefusedOrServed(boolean packed) throws Exception {
    Random random = new Random(7);
    int refused = 0;
    int served = 0;
    for (int round = 0; round < 3_000; round++) {
      queue.reset();
      memory.write(BASE, new byte[0x1000]);
      enable(packed, random.nextBoolean() ? VirtioDevice.F_EVENT_IDX : 0);
      for (int i = 0; i < 4; i++) {
        driver.offer(false, Piece.out(DATA, 16), Piece.in(DATA + 64, 32));
      }
      for (int i = random.nextInt(4); i >= 0; i--) {
        long at = BASE + random.nextInt(16 * SIZE + 200);
        memory.writeByte(at, random.nextInt(256));
      }
      try {
        DescriptorChain chain;
        while ((chain = queue.poll()) != null) {
          chain.readable().read(0, (int) Math.min(1000, chain.readable().length()));
          queue.complete(chain, Math.min(100, chain.writable().length()));
          queue.publish();
          queue.wantNotifications(random.nextBoolean());
          served++;
        }
      } catch (VirtqueueException e) {
        refused++;
      }
    }
    assertTrue(refused > 300 && served > 3_000, refused + " refused, " + served + " served");
  }
}
