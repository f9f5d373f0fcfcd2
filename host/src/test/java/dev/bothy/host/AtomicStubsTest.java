package dev.bothy.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class AtomicStubsTest {
  @BeforeEach
  void onlyWhereAvailable() {
    assumeTrue(AtomicStubs.available());
  }

  @Test
  void exchangesAtEveryAlignmentAndTouchesNothingElse() {
    try (HostMemory memory = HostMemory.allocate(4096)) {
      long base = memory.address();
      for (int at = 8; at < 80; at++) {
        memory.segment().fill((byte) 0x11);
        assertEquals(0x11, AtomicStubs.compareAndExchange(base + at, (byte) 0x11, (byte) 0x99));
        assertEquals(0x1111111111111199L, RawMemory.getLong(base + at));
        assertEquals(
            (short) 0x1199, AtomicStubs.compareAndExchange(base + at, (short) 0x1199, (short) 2));
        assertEquals(0x11110002, AtomicStubs.compareAndExchange(base + at, 0x11110002, 0xdeadbeef));
        assertEquals(0x11111111deadbeefL, AtomicStubs.compareAndExchange(base + at, 5L, 6L));
        assertEquals(
            0x11111111deadbeefL,
            AtomicStubs.compareAndExchange(base + at, 0x11111111deadbeefL, -2L));
        assertEquals(-2L, RawMemory.getLong(base + at));
        assertEquals(0x1111111111111111L, RawMemory.getLong(base + at - 8));
        assertEquals(0x1111111111111111L, RawMemory.getLong(base + at + 8));
      }
    }
  }

  @Test
  void exchangesSixteenBytes() {
    try (HostMemory memory = HostMemory.allocate(4096)) {
      long at = memory.address() + 16;
      long result = memory.address() + 64;
      RawMemory.putLong(at, 1);
      RawMemory.putLong(at + 8, 2);
      assertFalse(AtomicStubs.compareAndExchange16(at, 1, 3, 8, 9, result));
      assertEquals(1, RawMemory.getLong(result));
      assertEquals(2, RawMemory.getLong(result + 8));
      assertTrue(AtomicStubs.compareAndExchange16(at, 1, 2, 8, 9, result));
      assertEquals(8, RawMemory.getLong(at));
      assertEquals(9, RawMemory.getLong(at + 8));
      assertThrows(
          IllegalArgumentException.class,
          () -> AtomicStubs.compareAndExchange16(at + 8, 1, 2, 8, 9, result));
    }
  }

  @Test
  void splitIncrementsFromTwoThreadsAreNeverLost() throws InterruptedException {
    try (HostMemory memory = HostMemory.allocate(4096)) {
      long at = memory.address() + 61;
      Runnable count =
          () -> {
            for (int i = 0; i < 2000; i++) {
              int seen;
              do {
                seen = RawMemory.getInt(at);
              } while (AtomicStubs.compareAndExchange(at, seen, seen + 1) != seen);
            }
          };
      Thread other = Thread.ofPlatform().start(count);
      count.run();
      other.join();
      assertEquals(4000, RawMemory.getInt(at));
    }
  }
}
