package dev.bothy.device.timer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.device.TestClock;
import dev.bothy.device.TestWire;
import org.junit.jupiter.api.Test;

class RtcTest {
  private static final long SECOND = 1_000_000_000L;

  private final TestClock clock = new TestClock();
  private final TestWire irq = new TestWire();
  private final Rtc rtc = new Rtc(clock, irq);

  private int read(int register) {
    rtc.writeByte(0, register);
    return rtc.readByte(1);
  }

  private void write(int register, int value) {
    rtc.writeByte(0, register);
    rtc.writeByte(1, value);
  }

  private String time() {
    return String.format(
        "%02x%02x-%02x-%02x %02x:%02x:%02x day %x",
        read(0x32), read(9), read(8), read(7), read(4), read(2), read(0), read(6));
  }

  @Test
  void showsTheMachinesTimeInDecimal() {
    assertEquals("2026-03-14 15:09:26 day 7", time());
    clock.advance(51 * 60 * SECOND);
    assertEquals("2026-03-14 16:00:26 day 7", time());
  }

  @Test
  void binaryAndTwelveHours() {
    write(0x0b, 4);
    assertEquals(0x83, read(4));
    assertEquals(26, read(0));
    assertEquals(26, read(9));
    write(0x0b, 0);
    clock.advance(9 * 3600 * SECOND);
    assertEquals(0x12, read(4)); // nine past midnight
  }

  @Test
  void setTimeGoesOnFromThere() {
    write(0x0b, 0x82);
    write(9, 0x31);
    write(8, 0x02);
    write(7, 0x28);
    write(4, 0x23);
    write(2, 0x59);
    write(0, 0x59);
    clock.advance(5 * SECOND);
    assertEquals(0x59, read(0));
    write(0x0b, 0x02);
    assertEquals("2031-02-28 23:59:59 day 6", time());
    clock.advance(SECOND);
    assertEquals("2031-03-01 00:00:00 day 7", time());
  }

  @Test
  void impossibleTimesAreMadePossible() {
    write(0x0b, 0x82);
    for (int i = 0; i < 10; i++) {
      write(i, 0xff);
    }
    write(0x32, 0xff);
    write(0x0b, 0x02);
    time();
    write(8, 0x02);
    assertEquals(2, read(8));
  }

  @Test
  void updateInProgressShowsBeforeTheSecondTurns() {
    assertEquals(0x26, read(0x0a));
    clock.advance(SECOND - 100_000);
    assertEquals(0xa6, read(0x0a));
    clock.advance(100_000);
    assertEquals(0x26, read(0x0a));
  }

  @Test
  void updateEndedInterruptsEverySecond() {
    write(0x0b, 0x12);
    clock.advance(SECOND);
    assertTrue(irq.high);
    assertEquals(0xd0, read(0x0c)); // periods pass as well
    assertFalse(irq.high);
    assertEquals(0, read(0x0c));
    clock.advance(3 * SECOND);
    assertEquals(2, irq.rises);
  }

  @Test
  void alarmInterruptsAtItsTime() {
    write(1, 0x00);
    write(3, 0x10);
    write(5, 0xff);
    write(0x0b, 0x22);
    clock.advance(33 * SECOND);
    assertFalse(irq.high);
    clock.advance(SECOND);
    assertTrue(irq.high);
    assertEquals(0xf0, read(0x0c));
    clock.advance(3600 * SECOND);
    assertEquals(2, irq.rises);
  }

  @Test
  void periodicRate() {
    write(0x0a, 0x26); // 1024 Hz
    write(0x0b, 0x42);
    int seen = 0;
    for (int i = 0; i < 1000; i++) {
      clock.advance(SECOND / 1000);
      seen += (read(0x0c) & 0x40) != 0 ? 1 : 0;
    }
    assertEquals(1000, seen);
    assertTrue(irq.rises >= 999);
  }

  @Test
  void flagsAreSetWithoutInterruptsToo() {
    read(0x0c);
    clock.advance(2 * SECOND);
    assertEquals(0x50, read(0x0c));
    assertEquals(0, irq.rises);
  }

  @Test
  void memorySizesAndRam() {
    rtc.setMemorySize(0xc000_0000L, 0x4000_0000L);
    assertEquals(640, read(0x15) | read(0x16) << 8);
    assertEquals(0xffff, read(0x17) | read(0x18) << 8);
    assertEquals(0xbf00, read(0x34) | read(0x35) << 8);
    assertEquals(0x4000, read(0x5b) | read(0x5c) << 8);
    write(0x40, 0x5a);
    assertEquals(0x5a, read(0x40));
    rtc.writeByte(0, 0x8d);
    assertTrue(rtc.nmiMasked());
    assertEquals(0x80, rtc.readByte(1));
  }
}
