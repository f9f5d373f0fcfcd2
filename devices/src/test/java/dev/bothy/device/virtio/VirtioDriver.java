package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.GuestMemory;
import dev.bothy.device.pci.PciHost;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.device.virtio.DriverRing.Used;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;

/** A driver that finds its device on the PCI bus and does everything as the specification says. */
final class VirtioDriver {
  private static final long REGISTERS = 0xe000_0000L;
  private static final long TABLE = 0xe001_0000L;
  private static final long RINGS = 0x10_0000;
  private static final long RING_SPACE = 0x8_0000;
  static final long DATA = 0x4000;
  private static final int SLOT = 3;

  /** For any answer, in nanoseconds: the host may have other work. */
  private static final long PATIENCE = 240_000_000_000L;

  final GuestMemory memory;
  final AddressSpace mmio = new AddressSpace("mmio");
  final VirtioPci function;
  final Map<Integer, DriverRing> rings = new HashMap<>();

  /** Data of the messages so far: a queue's number, or 99 for a change of the configuration. */
  final ConcurrentLinkedQueue<Integer> messages = new ConcurrentLinkedQueue<>();

  private final PciHost pci;
  private final Map<Integer, Long> ranges = new HashMap<>();
  private int multiplier;
  private int lowest = 256;

  VirtioDriver(GuestMemory memory, VirtioDevice device) {
    this.memory = memory;
    pci = new PciHost(new AddressSpace("ports"), mmio, (_, data) -> messages.add(data));
    function = new VirtioPci(device);
    pci.add(SLOT, 0, function);
    pci.reset();
    writeConfig(0x10, 4, REGISTERS);
    writeConfig(0x14, 4, TABLE);
    writeConfig(4, 2, 6);
    assertEquals(0x1af4, readConfig(0, 2));
    for (int at = (int) readConfig(0x34, 1); at != 0; at = (int) readConfig(at + 1, 1)) {
      if (readConfig(at, 1) == 9) {
        int type = (int) readConfig(at + 3, 1);
        ranges.put(type, REGISTERS + readConfig(at + 8, 4));
        if (type == 2) {
          multiplier = (int) readConfig(at + 16, 4);
        }
      } else if (readConfig(at, 1) == 0x11) {
        writeConfig(at + 2, 2, 0x8000);
      }
    }
  }

  long readConfig(int at, int size) {
    pci.write(0, 4, 0x8000_0000L | SLOT << 11 | at & 0xfc);
    return pci.read(4 + (at & 3), size) & (1L << 8 * size) - 1;
  }

  void writeConfig(int at, int size, long value) {
    pci.write(0, 4, 0x8000_0000L | SLOT << 11 | at & 0xfc);
    pci.write(4 + (at & 3), size, value);
  }

  /** Place in configuration space of the capability of a type. */
  int capability(int type) {
    int at = (int) readConfig(0x34, 1);
    while (readConfig(at, 1) != 9 || readConfig(at + 3, 1) != type) {
      at = (int) readConfig(at + 1, 1);
    }
    return at;
  }

  long common(int at, int size) {
    return mmio.read(ranges.get(1) + at, size);
  }

  void common(int at, int size, long value) {
    mmio.write(ranges.get(1) + at, size, value);
  }

  long config(int at, int size) {
    return mmio.read(ranges.get(4) + at, size);
  }

  void config(int at, int size, long value) {
    mmio.write(ranges.get(4) + at, size, value);
  }

  long isr() {
    return mmio.read(ranges.get(3), 1);
  }

  int status() {
    return (int) common(0x14, 1);
  }

  long offered() {
    common(0, 4, 1);
    long high = common(4, 4);
    common(0, 4, 0);
    return high << 32 | common(4, 4);
  }

  /** Queues get no more places than that. */
  VirtioDriver smallQueues(int size) {
    lowest = size;
    return this;
  }

  /** Resets the device and starts it with those of {@code features} that it offers. */
  VirtioDriver start(long features) {
    common(0x14, 1, 0);
    while (status() != 0) {
      Thread.onSpinWait();
    }
    messages.clear();
    rings.clear();
    common(0x14, 1, 1);
    common(0x14, 1, 3);
    long accepted = features & offered();
    common(8, 4, 0);
    common(12, 4, accepted);
    common(8, 4, 1);
    common(12, 4, accepted >>> 32);
    common(0x14, 1, 11);
    assertEquals(11, status());
    int queues = (int) common(0x12, 2);
    common(0x10, 2, queues);
    vector(queues, 99);
    for (int i = 0; i < queues; i++) {
      common(0x16, 2, i);
      int size = (int) Math.min(common(0x18, 2), lowest);
      long base = RINGS + i * RING_SPACE;
      memory.write(base, new byte[0x4000]);
      DriverRing ring =
          DriverRing.make((accepted & VirtioDevice.F_RING_PACKED) != 0, memory, size, base);
      common(0x18, 2, size);
      common(0x1a, 2, i);
      assertEquals(i, common(0x1a, 2));
      vector(i, i);
      common(0x20, 8, ring.descriptors);
      common(0x28, 4, ring.driverArea);
      common(0x2c, 4, ring.driverArea >>> 32);
      common(0x30, 8, ring.deviceArea);
      common(0x1c, 2, 1);
      assertEquals(1, common(0x1c, 2));
      rings.put(i, ring);
    }
    common(0x14, 1, 15);
    assertTrue((status() & 4) != 0);
    return this;
  }

  private void vector(int index, int data) {
    mmio.write(TABLE + 16 * index, 8, 0xfee0_0000L);
    mmio.write(TABLE + 16 * index + 8, 8, data);
  }

  void kick(int queue) {
    mmio.write(ranges.get(2) + (long) multiplier * queue, 2, queue);
  }

  /** Offers a request and notifies. */
  void send(int queue, Piece... pieces) {
    rings.get(queue).offer(false, pieces);
    kick(queue);
  }

  /** The next answer, waited for. */
  Used await(int queue) {
    long deadline = System.nanoTime() + PATIENCE;
    while (System.nanoTime() < deadline) {
      Used used = rings.get(queue).poll();
      if (used != null) {
        return used;
      }
      Thread.onSpinWait();
    }
    throw new AssertionError("no answer");
  }

  /** Offers a request, notifies and waits for its answer. */
  Used request(int queue, Piece... pieces) {
    send(queue, pieces);
    return await(queue);
  }

  String text(long address, int length) {
    byte[] bytes = new byte[length];
    memory.read(address, bytes, 0, length);
    return new String(bytes, StandardCharsets.ISO_8859_1);
  }

  /**
   * The next message, waited for: it follows the answer it is about, which a driver that polls may
   * see first.
   */
  int awaitMessage() {
    long deadline = System.nanoTime() + PATIENCE;
    while (System.nanoTime() < deadline) {
      Integer message = messages.poll();
      if (message != null) {
        return message;
      }
      Thread.onSpinWait();
    }
    throw new AssertionError("no message");
  }

  /** Messages since the last call; those of a device with threads of its own may still come. */
  List<Integer> takeMessages() {
    List<Integer> all = new ArrayList<>();
    for (Integer message = messages.poll(); message != null; message = messages.poll()) {
      all.add(message);
    }
    return all;
  }
}
