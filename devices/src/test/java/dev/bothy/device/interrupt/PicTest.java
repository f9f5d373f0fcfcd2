package dev.bothy.device.interrupt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.device.TestClock;
import org.junit.jupiter.api.Test;

class PicTest {
  private final ApicBus bus = new ApicBus(new TestClock(), 2);
  private final Pic pic = new Pic(bus);
  private final AddressSpace ports = new IoApicTest.Pc8259(pic).program();

  private int isr(int port) {
    ports.write(port, 1, 0x0b);
    return (int) ports.read(port, 1);
  }

  private int irr(int port) {
    ports.write(port, 1, 0x0a);
    return (int) ports.read(port, 1);
  }

  @Test
  void priorityAndNonSpecificEoi() {
    pic.input(4).set(true);
    pic.input(1).set(true);
    assertTrue(pic.output());
    assertEquals(0x21, pic.acknowledge());
    assertFalse(pic.output());
    assertEquals(0x02, isr(0x20));
    assertEquals(0x10, irr(0x20));
    ports.write(0x20, 1, 0x20);
    assertEquals(0x24, pic.acknowledge());
    pic.input(0).set(true);
    assertTrue(pic.output()); // a higher one interrupts the service
  }

  @Test
  void slaveComesThroughInputTwo() {
    pic.input(12).set(true);
    assertEquals(0x04, irr(0x20));
    assertEquals(0x2c, pic.acknowledge());
    assertEquals(0x04, isr(0x20));
    assertEquals(0x10, isr(0xa0));
    ports.write(0xa0, 1, 0x20);
    ports.write(0x20, 1, 0x62);
    assertEquals(0, isr(0x20) | isr(0xa0));
  }

  @Test
  void requestThatGoesAwayIsSpurious() {
    assertEquals(0x27, pic.acknowledge());
    assertEquals(0, isr(0x20));
    ports.write(0x4d1, 1, 1 << 2);
    pic.input(10).set(true);
    assertTrue(pic.output());
    pic.input(10).set(false);
    assertFalse(pic.output());
  }

  @Test
  void levelInputAsksUntilItFalls() {
    ports.write(0x4d0, 2, 0xffff);
    assertEquals(0xdef8, ports.read(0x4d0, 2)); // 0, 1, 2, 8 and 13 are always edges
    pic.input(5).set(true);
    assertEquals(0x25, pic.acknowledge());
    ports.write(0x20, 1, 0x20);
    assertTrue(pic.output());
    pic.input(5).set(false);
    assertFalse(pic.output());
  }

  @Test
  void autoEoiAndRotation() {
    ports.write(0x20, 1, 0x11);
    ports.write(0x21, 1, 0x20);
    ports.write(0x21, 1, 4);
    ports.write(0x21, 1, 3);
    ports.write(0x20, 1, 0x80);
    pic.input(3).set(true);
    assertEquals(0x23, pic.acknowledge());
    assertEquals(0, isr(0x20));
    pic.input(4).set(true);
    pic.input(3).pulse();
    assertEquals(0x24, pic.acknowledge()); // 3 has the lowest priority now
    ports.write(0x20, 1, 0xc6); // 6 lowest: 7 is first
    pic.input(7).set(true);
    assertEquals(0x27, pic.acknowledge());
  }

  @Test
  void specialMaskLetsLowerOnesThrough() {
    pic.input(3).set(true);
    assertEquals(0x23, pic.acknowledge());
    pic.input(6).set(true);
    assertFalse(pic.output());
    ports.write(0x21, 1, 0x08);
    ports.write(0x20, 1, 0x68);
    assertTrue(pic.output());
    assertEquals(0x26, pic.acknowledge());
  }

  @Test
  void pollAcknowledges() {
    pic.input(6).set(true);
    ports.write(0x20, 1, 0x0c);
    assertEquals(0x86, ports.read(0x20, 1));
    assertEquals(0x40, isr(0x20));
    ports.write(0x20, 1, 0x0c);
    assertEquals(0, ports.read(0x20, 1) & 0x80);
  }

  @Test
  void virtualWireModeInterruptsTheBootProcessorOnly() {
    bus.localApic(0).enterVirtualWireMode();
    pic.input(1).set(true);
    assertTrue(bus.localApic(0).interruptPending());
    assertFalse(bus.localApic(1).interruptPending());
    assertEquals(0x21, bus.localApic(0).acknowledge());
    assertFalse(bus.localApic(0).interruptPending());
    bus.localApic(0).write(0x350, 4, 0x10700);
    ports.write(0x20, 1, 0x20);
    pic.input(0).set(true);
    assertFalse(bus.localApic(0).interruptPending());
  }

  @Test
  void disabledApicLeavesTheProcessorItsInterruptPin() {
    bus.localApic(0).setApicBase(0xfee0_0100L);
    pic.input(1).set(true);
    assertEquals(0x21, bus.localApic(0).acknowledge());
  }
}
