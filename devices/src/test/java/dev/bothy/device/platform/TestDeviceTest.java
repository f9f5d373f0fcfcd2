package dev.bothy.device.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.TestWire;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class TestDeviceTest {
  private final AddressSpace ports = new AddressSpace("ports");
  private final AddressSpace mmio = new AddressSpace("mmio");
  private final List<TestWire> wires = Stream.generate(TestWire::new).limit(24).toList();
  private final TestDevice device = new TestDevice(List.copyOf(wires));

  TestDeviceTest() {
    device.attach(ports, mmio);
  }

  @Test
  void theRegisterKeepsBytesWordsAndDoubleWords() {
    ports.write(0xe0, 4, 0x89abcdefL);
    assertEquals(0x89abcdefL, ports.read(0xe0, 4));
    ports.write(0xe1, 1, 0x12);
    ports.write(0xe2, 2, 0x3456);
    assertEquals(0x345612efL, ports.read(0xe0, 4));
    assertEquals(0x5612, ports.read(0xe9, 2), "the same register again");
    ports.write(0xe4, 4, 0x1000);
    assertEquals(0x345612efL, ports.read(0xe8, 4));
    assertEquals(0x0034, ports.read(0xe3, 2), "what lies behind the register is read by itself");
  }

  @Test
  void eachPortDrivesItsLine() {
    ports.write(0x2000 + 14, 1, 1);
    ports.write(0x2000 + 14, 1, 1);
    assertEquals(1, wires.get(14).rises);
    ports.write(0x2000 + 14, 1, 0);
    assertEquals(false, wires.get(14).high);
    ports.write(0x2000 + 23, 1, 0x80);
    assertEquals(true, wires.get(23).high);
    assertEquals(1, wires.stream().filter(wire -> wire.high).count());
    ports.write(0x2000 + 23, 4, 0);
    assertEquals(false, wires.get(23).high);
  }

  @Test
  void itsMemoryKeepsWhatIsWrittenToItsVeryEnd() {
    mmio.write(0xff00_fff8L, 8, 0x0123_4567_89ab_cdefL);
    assertEquals(0x0123_4567_89ab_cdefL, mmio.read(0xff00_fff8L, 8));
    assertEquals(0xffff_ffff_0123_4567L, mmio.read(0xff00_fffcL, 8), "nothing behind it");
  }

  @Test
  void stateGoesOverAndAShortOneIsRefused() throws StateException {
    ports.write(0xe0, 4, 42);
    mmio.write(0xff00_8000L, 4, 43);
    StateWriter out = new StateWriter();
    device.save(out);
    device.reset();
    assertEquals(0, ports.read(0xe0, 4));
    assertEquals(0, mmio.read(0xff00_8000L, 4));
    StateReader in = new StateReader("test-device", out.toByteArray());
    device.load(in);
    in.end();
    assertEquals(42, ports.read(0xe0, 4));
    assertEquals(43, mmio.read(0xff00_8000L, 4));
    byte[] tooShort = new StateWriter().putBytes(new byte[3]).putBytes(new byte[3]).toByteArray();
    assertThrows(StateException.class, () -> device.load(new StateReader("test-device", tooShort)));
  }
}
