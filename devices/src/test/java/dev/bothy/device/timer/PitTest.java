package dev.bothy.device.timer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.device.TestClock;
import dev.bothy.device.TestWire;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PitTest {
  private static final long MILLISECOND = 1_000_000;

  private final TestClock clock = new TestClock();
  private final TestWire irq = new TestWire();
  private final Pit pit = new Pit(clock, irq);
  private final AddressSpace ports = new AddressSpace("ports");

  @BeforeEach
  void map() {
    pit.attach(ports);
  }

  private void program(int channel, int mode, int count) {
    ports.write(0x43, 1, channel << 6 | 0x30 | mode << 1);
    ports.write(0x40 + channel, 1, count & 0xff);
    ports.write(0x40 + channel, 1, count >> 8);
  }

  private int latched(int channel) {
    ports.write(0x43, 1, channel << 6);
    return (int) (ports.read(0x40 + channel, 1) | ports.read(0x40 + channel, 1) << 8);
  }

  @Test
  void rateGeneratorTicksHundredTimesASecond() {
    program(0, 2, 11932);
    irq.rises = 0;
    clock.advance(1000 * MILLISECOND);
    assertEquals(99, irq.rises); // 11932 ticks are a little more than 10 ms
    assertTrue(clock.oversleep(500 * MILLISECOND) <= 2);
    assertTrue(irq.rises <= 102);
  }

  @Test
  void terminalCountInterruptsOnce() {
    program(0, 0, 1193);
    assertFalse(irq.high);
    clock.advance(MILLISECOND / 2);
    assertEquals(597, latched(0), 1);
    assertFalse(irq.high);
    clock.advance(MILLISECOND);
    assertTrue(irq.high);
    clock.advance(1000 * MILLISECOND);
    assertEquals(1, irq.rises);
  }

  @Test
  void softwareStrobeInterruptsOncePerCount() {
    program(0, 4, 1193);
    irq.rises = 0;
    clock.advance(100 * MILLISECOND);
    assertEquals(1, irq.rises);
    ports.write(0x40, 1, 0xa9);
    ports.write(0x40, 1, 4);
    clock.advance(100 * MILLISECOND);
    assertEquals(2, irq.rises);
  }

  @Test
  void latchHoldsWhileTheCounterGoesOn() {
    program(0, 2, 0);
    ports.write(0x43, 1, 0);
    clock.advance(MILLISECOND);
    assertEquals(0, ports.read(0x40, 1));
    assertEquals(0, ports.read(0x40, 1));
    assertEquals(65536 - 1193, latched(0));
  }

  @Test
  void readBackGivesStatusThenCount() {
    program(2, 3, 1000);
    ports.write(0x61, 1, 1);
    ports.write(0x43, 1, 0xc8);
    assertEquals(0xb6, ports.read(0x42, 1));
    assertEquals(1000, ports.read(0x42, 1) | ports.read(0x42, 1) << 8);
    ports.write(0x43, 1, 0xb0);
    ports.write(0x43, 1, 0xe8);
    assertEquals(0x40, ports.read(0x42, 1) & 0x40); // no count since
  }

  @Test
  void gateOfChannelTwoAsUsedToCalibrate() {
    // What Linux does: gate on, mode 0, wait for OUT.
    ports.write(0x61, 1, 1);
    program(2, 0, 11931);
    assertEquals(0, ports.read(0x61, 1) & 0x20);
    clock.advance(9 * MILLISECOND);
    assertEquals(0, ports.read(0x61, 1) & 0x20);
    clock.advance(MILLISECOND);
    assertEquals(0x20, ports.read(0x61, 1) & 0x20);
  }

  @Test
  void lowGateStopsTheCounter() {
    ports.write(0x61, 1, 1);
    program(2, 0, 50000);
    clock.advance(10 * MILLISECOND);
    ports.write(0x61, 1, 0);
    int at = latched(2);
    assertEquals(50000 - 11931, at);
    clock.advance(10 * MILLISECOND);
    assertEquals(at, latched(2));
    ports.write(0x61, 1, 1);
    clock.advance(10 * MILLISECOND);
    assertEquals(at - 11931, latched(2));
  }

  @Test
  void gateTriggersTheOneShot() {
    program(2, 1, 1193);
    assertEquals(0x20, ports.read(0x61, 1) & 0x20);
    ports.write(0x61, 1, 1);
    assertEquals(0, ports.read(0x61, 1) & 0x20);
    clock.advance(MILLISECOND);
    assertEquals(0x20, ports.read(0x61, 1) & 0x20);
  }

  @Test
  void countsInDecimalWhenAsked() {
    ports.write(0x43, 1, 0x31 | 4);
    ports.write(0x40, 1, 0x34);
    ports.write(0x40, 1, 0x12);
    assertEquals(0x1234, latched(0));
    clock.advance(MILLISECOND);
    assertEquals(0x0041, latched(0));
  }

  @Test
  void refreshBitToggles() {
    long first = ports.read(0x61, 1) & 0x10;
    clock.advance(15_085);
    assertEquals(first ^ 0x10, ports.read(0x61, 1) & 0x10);
  }
}
