package dev.bothy.device.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PciTestDeviceTest {
  private static final long MEMORY = 0xe000_0000L;
  private static final long PORTS = 0xd000;

  private final AddressSpace ports = new AddressSpace("ports");
  private final AddressSpace mmio = new AddressSpace("mmio");
  private final PciTestDevice device = new PciTestDevice();

  @BeforeEach
  void plug() {
    PciHost host = new PciHost(ports, mmio, (address, data) -> {});
    host.add(1, 0, device);
    device.writeConfig(0x10, 4, MEMORY);
    device.writeConfig(0x14, 4, PORTS);
    device.writeConfig(0x04, 2, 3);
  }

  private String name(AddressSpace space, long base) {
    StringBuilder name = new StringBuilder();
    for (long at = base + 0x10; space.read(at, 1) != 0; at++) {
      name.append((char) space.read(at, 1));
    }
    return name.toString();
  }

  @Test
  void guestsFindItAsTheyExpect() {
    assertEquals(0x0005_1b36L, device.readConfig(0, 4));
    assertEquals(0, device.readConfig(0x10, 4) & 1, "memory");
    assertEquals(1, device.readConfig(0x14, 4) & 1, "ports");
  }

  @Test
  void aTestTellsWhatToWriteWhereAndCountsIt() {
    assertEquals(0, mmio.read(MEMORY + 1, 1), "none begun");
    mmio.write(MEMORY, 1, 1);
    assertEquals(1, mmio.read(MEMORY + 1, 1));
    assertEquals("mmio-wildcard-eventfd", name(mmio, MEMORY));
    long at = MEMORY + mmio.read(MEMORY + 4, 4);
    for (int i = 0; i < 3; i++) {
      mmio.write(at, 1, mmio.read(MEMORY + 8, 4));
    }
    mmio.write(at + 1, 1, 0);
    assertEquals(3, mmio.read(MEMORY + 12, 4));
    mmio.write(MEMORY, 1, 0);
    assertEquals(0, mmio.read(MEMORY + 12, 4), "begins anew");
    mmio.write(MEMORY, 1, 3);
    assertEquals(0, mmio.read(MEMORY + 1, 1), "there are three");
  }

  @Test
  void theThirdTestCountsOnlyWritesThatMatch() {
    ports.write(PORTS, 1, 2);
    assertEquals("portio-datamatch-eventfd", name(ports, PORTS));
    long at = PORTS + ports.read(PORTS + 4, 4);
    long value = ports.read(PORTS + 8, 4);
    ports.write(at, 1, value + 1);
    ports.write(at, 2, value);
    assertEquals(0, ports.read(PORTS + 12, 4));
    ports.write(at, 1, value);
    assertEquals(1, ports.read(PORTS + 12, 4));
    assertEquals(0, mmio.read(MEMORY + 12, 4), "the other range has a test of its own");
  }

  @Test
  void stateGoesOverAndADamagedOneIsRefused() throws StateException {
    mmio.write(MEMORY, 1, 0);
    mmio.write(MEMORY + mmio.read(MEMORY + 4, 4), 1, 0);
    StateWriter out = new StateWriter();
    device.saveDevice(out);
    device.resetDevice();
    assertEquals(0, mmio.read(MEMORY + 12, 4));
    device.loadDevice(new StateReader("pci-test", out.toByteArray()));
    assertEquals(1, mmio.read(MEMORY + 12, 4));
    byte[] damaged = out.toByteArray();
    damaged[0] = 3;
    assertThrows(
        StateException.class, () -> device.loadDevice(new StateReader("pci-test", damaged)));
  }

  @Test
  void noAccessEscapes() {
    Random random = new Random(3);
    for (int i = 0; i < 100_000; i++) {
      boolean memory = random.nextBoolean();
      AddressSpace space = memory ? mmio : ports;
      long at = (memory ? MEMORY : PORTS) + random.nextInt(random.nextBoolean() ? 0x30 : 0x100);
      int size = 1 << random.nextInt(memory ? 4 : 3);
      if (random.nextBoolean()) {
        space.write(at, size, random.nextInt(8));
      } else {
        space.read(at, size);
      }
    }
    mmio.write(MEMORY, 1, 0);
    assertEquals("mmio-no-eventfd", name(mmio, MEMORY));
  }
}
