package dev.bothy.device.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.device.TestWire;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PciHostTest {
  private final AddressSpace ports = new AddressSpace("ports");
  private final AddressSpace mmio = new AddressSpace("mmio");
  private final PciHost host = new PciHost(ports, mmio, (address, data) -> {});
  private final Card card = new Card();
  private final TestWire wire = new TestWire();

  private static final class Card extends PciFunction implements BusDevice {
    Card() {
      super("card", 0x1234, 0x5678, 9, 0x020000);
      addPortBar(0, 32, this);
      addMemoryBar(1, 4096, false, false, this);
      addMemoryBar(4, 1 << 20, true, true, this);
      setInterruptPin(1);
      addCapability(0x09, 16);
      addCapability(0x11, 12);
    }

    void raise(boolean high) {
      interrupt(high);
    }

    @Override
    public long read(long offset, int size) {
      return 0x40 + offset;
    }

    @Override
    public void write(long offset, int size, long value) {}
  }

  @BeforeEach
  void plug() {
    ports.map("pci", PciHost.PORT, PciHost.LENGTH, host);
    card.connectInterrupt(wire, 11);
    host.add(3, 0, card);
  }

  private void select(int device, int function, int register) {
    ports.write(0xcf8, 4, 0x8000_0000L | device << 11 | function << 8 | register);
  }

  private long config(int register, int size) {
    select(3, 0, register & ~3);
    return ports.read(0xcfc + (register & 3), size);
  }

  private void setConfig(int register, int size, long value) {
    select(3, 0, register & ~3);
    ports.write(0xcfc + (register & 3), size, value);
  }

  @Test
  void linuxFindsMechanismOne() {
    ports.write(0xcfb, 1, 1);
    ports.write(0xcf8, 4, 0x8000_0000L);
    assertEquals(0x8000_0000L, ports.read(0xcf8, 4));
    assertEquals(0x8086, ports.read(0xcfc, 2));
    select(0, 0, 8);
    assertEquals(0x0600, ports.read(0xcfe, 2));
  }

  @Test
  void theWholeNumberOfARegisterMayBeInTheAddress() {
    select(3, 0, 2);
    assertEquals(0x5678, ports.read(0xcfc, 2));
    assertEquals(0x56, ports.read(0xcfd, 1), "register 3");
    assertEquals(0x8000_1800L, ports.read(0xcf8, 4));
    select(3, 0, 0xff);
    assertEquals(0xffff_ffffL, ports.read(0xcfc, 4));
    ports.write(0xcfc, 4, 0);
  }

  @Test
  void emptySlotsAndOtherBusesReadAllOnes() {
    select(2, 0, 0);
    assertEquals(0xffff_ffffL, ports.read(0xcfc, 4));
    select(3, 1, 0);
    assertEquals(0xffff, ports.read(0xcfc, 2));
    ports.write(0xcf8, 4, 0x8001_0000L);
    assertEquals(0xff, ports.read(0xcfc, 1));
    ports.write(0xcf8, 4, 0);
    assertEquals(0xffff_ffffL, ports.read(0xcfc, 4));
  }

  @Test
  void headerInEverySize() {
    assertEquals(0x5678_1234L, config(0, 4));
    assertEquals(0x5678, config(2, 2));
    assertEquals(0x56, config(3, 1));
    assertEquals(0x0200_0009L, config(8, 4));
    assertEquals(0x020b, config(0x3c, 2));
    setConfig(0, 4, 0);
    assertEquals(0x5678_1234L, config(0, 4));
    int first = (int) config(0x34, 1);
    assertEquals(9, config(first, 1));
    int second = (int) config(first + 1, 1);
    assertEquals(0x11, config(second, 1));
    assertEquals(0, config(second + 1, 1));
    assertEquals(0x10, config(6, 2));
  }

  @Test
  void barsTellTheirSizeAndMove() {
    setConfig(0x10, 4, 0xffff_ffffL);
    assertEquals(0xffff_ffe1L, config(0x10, 4));
    setConfig(0x14, 4, 0xffff_ffffL);
    assertEquals(0xffff_f000L, config(0x14, 4));
    setConfig(0x20, 4, 0xffff_ffffL);
    setConfig(0x24, 4, 0xffff_ffffL);
    assertEquals(0xfff0_000cL, config(0x20, 4));
    assertEquals(0xffff_ffffL, config(0x24, 4));
    setConfig(0x10, 4, 0xc000);
    setConfig(0x14, 4, 0xd000_0000L);
    setConfig(0x20, 4, 0);
    setConfig(0x24, 4, 0x10);
    assertNull(ports.find(0xc000));
    setConfig(4, 2, 3);
    assertEquals(0x41, ports.read(0xc001, 1));
    assertEquals(0x40, mmio.read(0xd000_0000L, 1));
    assertEquals(0x42, mmio.read(0x10_0000_0002L, 1));
    setConfig(0x14, 4, 0xd100_0000L);
    assertNull(mmio.find(0xd000_0000L));
    assertEquals(0x40, mmio.read(0xd100_0000L, 1));
    setConfig(4, 2, 1);
    assertNull(mmio.find(0xd100_0000L));
    assertEquals(0x40, ports.read(0xc000, 1));
    host.reset();
    assertNull(ports.find(0xc000));
    assertEquals(1, config(0x10, 4));
    assertEquals(11, config(0x3c, 1));
  }

  @Test
  void interruptPinObeysTheCommandRegister() {
    card.raise(true);
    assertTrue(wire.high);
    assertEquals(8, config(6, 2) & 8);
    setConfig(4, 2, 0x400);
    assertFalse(wire.high);
    setConfig(4, 2, 0);
    assertTrue(wire.high);
    card.raise(false);
    assertFalse(wire.high);
    assertEquals(0, config(6, 2) & 8);
  }

  private long ecam(int device, int function, int register, int size) {
    return mmio.read(0xfeb0_0000L + (device << 15 | function << 12) + register, size);
  }

  @Test
  void theEnhancedMechanismReachesTheSameRegistersInEverySize() {
    mmio.map("ecam", 0xfeb0_0000L, PciHost.ECAM_LENGTH, host.ecam());
    assertEquals(0x5678_1234L, ecam(3, 0, 0, 4));
    assertEquals(0x0010_0000_5678_1234L, ecam(3, 0, 0, 8));
    assertEquals(0x0056, ecam(3, 0, 3, 2) & 0xff);
    mmio.write(0xfeb0_0000L + (3 << 15) + 0x14, 4, 0xd000_0000L);
    mmio.write(0xfeb0_0000L + (3 << 15) + 4, 2, 2);
    assertEquals(0xd000_0000L, config(0x14, 4));
    assertEquals(0x40, mmio.read(0xd000_0000L, 1));
  }

  @Test
  void theEnhancedMechanismIsEmptyBehindTheFirst256BytesAndWhereNoFunctionIs() {
    mmio.map("ecam", 0xfeb0_0000L, PciHost.ECAM_LENGTH, host.ecam());
    assertEquals(0xffff_ffffL, ecam(3, 0, 0x100, 4));
    assertEquals(-1, ecam(3, 0, 0xffc, 8));
    assertEquals(-1, ecam(2, 0, 0, 8));
    assertEquals(-1, ecam(31, 7, 0xffc, 8));
    assertEquals(0xffff_ffff_0000_0000L, ecam(3, 0, 0xfc, 8));
    assertEquals(0x5678_1234_ffff_ffffL, ecam(2, 7, 0xffc, 8));
    mmio.write(0xfeb0_0000L + (2 << 15 | 7 << 12) + 0xffc, 8, -1);
    mmio.write(0xfeb0_0000L + (3 << 15) + 0xfe, 4, -1);
    assertEquals(0x5678_1234L, ecam(3, 0, 0, 4));
  }

  @Test
  void furtherFunctionsOfADeviceAreAnnouncedInTheFirst() {
    assertEquals(0, config(0x0e, 1));
    host.add(3, 5, new Card());
    assertEquals(0x80, config(0x0e, 1));
    select(3, 5, 0);
    assertEquals(0x1234, ports.read(0xcfc, 2));
    assertEquals(List.of("pci-host-bridge@0.0", "card@3.0", "card@3.5"), names());
    assertThrows(IllegalArgumentException.class, () -> host.add(4, 1, new Card()));
    assertThrows(IllegalArgumentException.class, () -> host.add(3, 5, new Card()));
  }

  private List<String> names() {
    return host.functions().stream().map(PciFunction::stateName).toList();
  }

  /** The board's devices come first, then functions by where they are. */
  @Test
  void rangesThatOverlapHideNoDeviceOfTheBoard() {
    Card other = new Card();
    host.add(4, 0, other);
    mmio.map("ioapic", 0xfec0_0000L, 0x1000, card);
    other.writeConfig(0x14, 4, 0xfec0_0000L);
    other.writeConfig(4, 2, 2);
    setConfig(0x20, 4, 0xfec0_0000L);
    setConfig(4, 2, 2);
    assertEquals("ioapic", mmio.find(0xfec0_0000L).device());
    assertEquals("card@3.0", mmio.find(0xfec0_1000L).device());
    other.writeConfig(0x14, 4, 0xfec0_1000L);
    assertEquals("card@3.0", mmio.find(0xfec0_1000L).device(), "also when the other moved last");
    setConfig(0x20, 4, 0xfed0_0000L);
    assertEquals("card@4.0", mmio.find(0xfec0_1000L).device());
  }
}
