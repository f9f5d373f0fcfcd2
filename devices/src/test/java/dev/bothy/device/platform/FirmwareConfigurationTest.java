package dev.bothy.device.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class FirmwareConfigurationTest {
  private static final int CPUS = 0x05;
  private static final int READ = 2;
  private static final int SKIP = 4;
  private static final int SELECT = 8;
  private static final int WRITE = 16;
  private static final long REQUEST = 0x1000;
  private static final long TARGET = 0x2000;

  private final GuestMemory memory = new GuestMemory(1 << 20);
  private final AddressSpace ports = new AddressSpace("ports");
  private final FirmwareConfiguration device = new FirmwareConfiguration(memory, 3);

  @BeforeEach
  void attach() {
    ports.map("fw-cfg", FirmwareConfiguration.BASE, FirmwareConfiguration.LENGTH, device);
  }

  @AfterEach
  void close() {
    memory.close();
  }

  private long item(int number, int bytes) {
    ports.write(0x510, 2, number);
    return rest(bytes);
  }

  private long rest(int bytes) {
    long value = 0;
    for (int i = 0; i < bytes; i++) {
      value |= ports.read(0x511, 1) << (8 * i);
    }
    return value;
  }

  private int request(int control, int count, long address) {
    memory.writeInt(REQUEST, Integer.reverseBytes(control));
    memory.writeInt(REQUEST + 4, Integer.reverseBytes(count));
    memory.writeLong(REQUEST + 8, Long.reverseBytes(address));
    ports.write(0x514, 4, 0);
    ports.write(0x518, 4, Integer.reverseBytes((int) REQUEST) & 0xffff_ffffL);
    return Integer.reverseBytes(memory.readInt(REQUEST));
  }

  @Test
  void itemsAreReadByteByByteWithZerosBehindThem() {
    assertEquals(0x554d4551, item(0, 4), "QEMU");
    assertEquals(3, item(1, 4), "both interfaces");
    assertEquals(1 << 20, item(3, 8));
    assertEquals(3, item(CPUS, 2));
    assertEquals(0, rest(8));
    assertEquals(0, item(0x19, 4), "no files");
    assertEquals(0, item(0x4321, 8), "no such item");
  }

  @Test
  void aRequestInMemoryReadsSelectsAndSkips() {
    assertEquals("QEMU CFG", new String(new char[] {(char) ports.read(0x514, 1)}) + text());
    memory.writeLong(TARGET, -1);
    assertEquals(0, request(SELECT | READ, 6, TARGET));
    assertEquals(0xffff_0000_554d_4551L, memory.readLong(TARGET), "and zeros behind the item");
    assertEquals(0, request(3 << 16 | SELECT | SKIP, 2, 0));
    assertEquals(0x10, rest(1), "the third byte of 1 MiB");
    assertEquals(0, request(3 << 16 | SELECT | SKIP, -1, 0));
    assertEquals(0, rest(8));
  }

  private String text() {
    StringBuilder text = new StringBuilder();
    for (int port = 0x515; port < 0x51c; port++) {
      text.append((char) ports.read(port, 1));
    }
    return text.toString();
  }

  @Test
  void requestsThatCannotBeDoneFail() {
    item(CPUS, 1);
    assertEquals(1, request(WRITE, 2, TARGET));
    assertEquals(1, request(READ, 16, (1 << 20) - 8), "beyond RAM");
    assertEquals(1, request(READ, 16, -8));
    assertEquals(1, request(READ, -1, TARGET), "4 GiB");
    assertEquals(1, request(READ, 1 << 20, 4096));
    assertEquals(0, rest(1), "the position has not moved");
  }

  @Test
  void savedWhileAnItemIsReadItGoesOnThere() throws StateException {
    item(0, 2);
    ports.write(0x514, 4, 0x12345678);
    StateWriter out = new StateWriter();
    device.save(out);
    FirmwareConfiguration other = new FirmwareConfiguration(memory, 3);
    other.load(new StateReader("fw-cfg", out.toByteArray()));
    assertEquals('M', other.read(1, 1));
    StateWriter again = new StateWriter();
    other.save(again);
    // A position behind the item's end would be read there.
    byte[] damaged = new StateWriter().putInt(CPUS).putInt(3).putInt(0).toByteArray();
    assertThrows(StateException.class, () -> other.load(new StateReader("fw-cfg", damaged)));
  }

  @Test
  void noAccessOfAnySizeOrRequestEscapes() {
    Random random = new Random(5);
    for (int i = 0; i < 100_000; i++) {
      long port = 0x50e + random.nextInt(16);
      int size = 1 << random.nextInt(3);
      switch (random.nextInt(3)) {
        case 0 -> ports.read(port, size);
        case 1 ->
            ports.write(port, size, random.nextBoolean() ? random.nextInt(32) : random.nextLong());
        default -> {
          long address = random.nextBoolean() ? random.nextInt(1 << 20) : random.nextLong();
          int count = random.nextBoolean() ? random.nextInt(64) : random.nextInt();
          request(random.nextInt(32) << 16 | random.nextInt(32), count, address);
        }
      }
    }
    assertEquals(3, item(CPUS, 2));
  }
}
