package dev.bothy.device.interrupt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.IrqLine;
import dev.bothy.device.TestClock;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class IoApicTest {
  private final ApicBus bus = new ApicBus(new TestClock(), 2);
  private final IoApic ioApic = new IoApic(bus, 0);
  private final Pic pic = new Pic(bus);
  private final InterruptRouter router = new InterruptRouter(pic, ioApic);

  @BeforeEach
  void enableApics() {
    bus.localApic(0).write(0xf0, 4, 0x1ff);
    bus.localApic(1).write(0xf0, 4, 0x1ff);
  }

  private void write(int register, int value) {
    ioApic.write(0, 4, register);
    ioApic.write(0x10, 4, value);
  }

  private int read(int register) {
    ioApic.write(0, 4, register);
    return (int) ioApic.read(0x10, 4);
  }

  private void endOfInterrupt(int cpu) {
    bus.localApic(cpu).write(0xb0, 4, 0);
  }

  @Test
  void saysItsVersionAndSize() {
    assertEquals(0x0017_0020, read(1));
    write(0, 0x0500_0000);
    assertEquals(0x0500_0000, read(0));
    assertEquals(0x1_0000, read(0x10));
    assertEquals(0, read(0x40));
  }

  @Test
  void edgeGoesToItsDestinationOnce() {
    write(0x11 + 2 * 4, 1 << 24);
    write(0x10 + 2 * 4, 0x34);
    IrqLine pin = ioApic.pin(4);
    pin.set(true);
    pin.set(true);
    assertFalse(bus.localApic(0).interruptPending());
    assertEquals(0x34, bus.localApic(1).acknowledge());
    endOfInterrupt(1);
    assertFalse(bus.localApic(1).interruptPending());
  }

  @Test
  void edgeOnAMaskedPinIsLost() {
    IrqLine pin = ioApic.pin(4);
    pin.set(true);
    write(0x10 + 2 * 4, 0x34);
    assertFalse(bus.localApic(0).interruptPending());
    pin.pulse();
    pin.pulse();
    assertTrue(bus.localApic(0).interruptPending());
  }

  @Test
  void levelIsSentAgainAfterEoiWhileItLasts() {
    write(0x10 + 2 * 9, 0x8035);
    IrqLine pin = ioApic.pin(9);
    pin.set(true);
    assertEquals(0xc035, read(0x10 + 2 * 9));
    assertEquals(0x35, bus.localApic(0).acknowledge());
    endOfInterrupt(0);
    assertEquals(0x35, bus.localApic(0).acknowledge());
    pin.set(false);
    endOfInterrupt(0);
    assertEquals(-1, bus.localApic(0).acknowledge());
    assertEquals(0x8035, read(0x10 + 2 * 9));
  }

  @Test
  void levelOnAMaskedPinComesWhenUnmasked() {
    write(0x10 + 2 * 9, 0x1_8035);
    ioApic.pin(9).set(true);
    assertFalse(bus.localApic(0).interruptPending());
    write(0x10 + 2 * 9, 0x8035);
    assertTrue(bus.localApic(0).interruptPending());
  }

  @Test
  void eoiRegisterAndSwitchToEdgeClearRemoteIrr() {
    write(0x10 + 2 * 9, 0x8035);
    ioApic.pin(9).set(true);
    write(0x10 + 2 * 9, 0x1_8035);
    assertEquals(0x1_c035, read(0x10 + 2 * 9));
    ioApic.write(0x40, 4, 0x35);
    assertEquals(0x1_8035, read(0x10 + 2 * 9));
    write(0x10 + 2 * 9, 0x8035);
    assertEquals(0xc035, read(0x10 + 2 * 9));
    write(0x10 + 2 * 9, 0x1_0035);
    assertEquals(0x1_0035, read(0x10 + 2 * 9));
  }

  @Test
  void externalInterruptAsksThe8259Pair() {
    new Pc8259(pic).program();
    write(0x10, 0x700);
    router.isa(1).set(true);
    ioApic.pin(0).set(true);
    assertTrue(bus.localApic(0).interruptPending());
    assertEquals(0x21, bus.localApic(0).acknowledge());
    assertFalse(bus.localApic(0).interruptPending());
  }

  @Test
  void isaInterruptZeroIsPinTwo() {
    write(0x10 + 2 * 2, 0x30);
    router.isa(0).pulse();
    assertEquals(0x30, bus.localApic(0).acknowledge());
  }

  @Test
  void pciLinksAreSharedAndLevel() {
    // Devices 1 and 5 have their pin A on the same link.
    write(0x10 + 2 * 17, 0x8041);
    IrqLine first = router.pci(1, 0);
    IrqLine second = router.pci(5, 0);
    first.set(true);
    second.set(true);
    first.set(false);
    assertEquals(0x41, bus.localApic(0).acknowledge());
    endOfInterrupt(0);
    assertEquals(0x41, bus.localApic(0).acknowledge());
    second.set(false);
    endOfInterrupt(0);
    assertFalse(bus.localApic(0).interruptPending());
    assertEquals(11, InterruptRouter.pciInterruptLine(1, 0));
  }

  @Test
  void pciLinksAreIsaInterruptsBesides() {
    write(0x10 + 2 * 11, 0x42);
    router.pci(1, 0).set(true);
    router.isa(11).set(true);
    assertEquals(0x42, bus.localApic(0).acknowledge());
    endOfInterrupt(0);
    assertFalse(bus.localApic(0).interruptPending(), "one wire");
  }

  /** Programs the pair as a PC's firmware does: vectors 0x20 and 0x28, all inputs open. */
  record Pc8259(Pic pic) {
    dev.bothy.core.AddressSpace program() {
      dev.bothy.core.AddressSpace ports = new dev.bothy.core.AddressSpace("ports");
      pic.attach(ports);
      for (int chip = 0; chip < 2; chip++) {
        int port = chip == 0 ? 0x20 : 0xa0;
        ports.write(port, 1, 0x11);
        ports.write(port + 1, 1, 0x20 + 8 * chip);
        ports.write(port + 1, 1, chip == 0 ? 4 : 2);
        ports.write(port + 1, 1, 1);
        ports.write(port + 1, 1, 0);
      }
      return ports;
    }
  }
}
