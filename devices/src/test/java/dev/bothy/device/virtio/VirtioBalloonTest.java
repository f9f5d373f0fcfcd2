package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.GuestMemory;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.device.virtio.VirtioBalloon.Statistic;
import dev.bothy.host.NativeAccess;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class VirtioBalloonTest {
  private static final long DATA = VirtioDriver.DATA;
  private static final long PAGES = 0x40_0000;

  private final GuestMemory memory = new GuestMemory(8 << 20);
  private final VirtioBalloon device = new VirtioBalloon(memory);
  private VirtioDriver driver;

  @BeforeEach
  void start() {
    device.resume();
    driver = new VirtioDriver(memory, device).start(-1);
    for (int i = 0; i < 16; i++) {
      memory.writeByte(PAGES + 4096 * i, 0x55);
      memory.writeByte(PAGES + 4096 * i + 4095, 0x66);
    }
  }

  @AfterEach
  void close() {
    device.close();
    memory.close();
  }

  private boolean gone(int page) {
    long at = PAGES + 4096L * page;
    boolean gone = memory.readByte(at) == 0;
    assertEquals(gone ? 0 : 0x66, memory.readByte(at + 4095));
    return gone;
  }

  @Test
  void pagesOfTheBalloonGoBackToTheHost() {
    assumeTrue(NativeAccess.allowed());
    int[] frames = {0x400, 0x401, 0x402, 0x407, 0x406, 0x40a, 0xffff_ffff, 0x10_0000};
    for (int i = 0; i < frames.length; i++) {
      memory.writeInt(DATA + 4 * i, frames[i]);
    }
    driver.request(0, Piece.out(DATA, 4 * frames.length));
    for (int i = 0; i < 16; i++) {
      assertEquals(List.of(0, 1, 2, 6, 7, 10).contains(i), gone(i), "page " + i);
    }
    driver.request(1, Piece.out(DATA, 4));
    assertEquals(15, driver.status());
  }

  @Test
  void pagesThatAreReportedGoBackToTheHost() {
    assumeTrue(NativeAccess.allowed());
    for (int queue : new int[] {3, 4}) {
      driver.request(queue, Piece.in(PAGES + 4096 * queue, 4096), Piece.in(PAGES + 0x8800, 4096));
      assertTrue(gone(queue));
      assertFalse(gone(8));
      assertFalse(gone(9));
    }
  }

  @Test
  void theGuestLearnsTheTarget() {
    driver.takeMessages();
    device.setTarget(3 << 20);
    assertEquals(768, driver.config(0, 4));
    assertEquals(List.of(99), driver.takeMessages());
    driver.config(4, 4, 700);
    assertEquals(700 * 4096, device.actual());
    assertThrows(IllegalArgumentException.class, () -> device.setTarget(9 << 20));
    assertThrows(IllegalArgumentException.class, () -> device.setTarget(-1));
  }

  @Test
  void statisticsAreAskedForAndAnswered() {
    assertFalse(device.askForStatistics());
    memory.writeShort(DATA, 4);
    memory.writeLong(DATA + 2, 1234567);
    memory.writeShort(DATA + 10, 0x7777);
    memory.writeShort(DATA + 20, 3);
    memory.writeLong(DATA + 22, 9);
    for (int round = 0; round < 3; round++) {
      driver.send(2, Piece.out(DATA, 30));
      assertEquals(
          Map.of(Statistic.FREE_MEMORY, 1234567L, Statistic.MINOR_FAULTS, 9L), device.statistics());
      assertTrue(device.askForStatistics());
      assertFalse(device.askForStatistics());
      driver.await(2);
    }
  }

  @Test
  void oneRequestKeepsNoProcessorForLong() {
    driver.send(0, Piece.out(PAGES, 4 << 16));
    driver.await(0);
    assertEquals(15, driver.status());
    driver.send(0, Piece.out(PAGES, 4 << 16), Piece.out(PAGES, 4));
    assertEquals(15 | VirtioDevice.NEEDS_RESET, driver.status());
  }
}
