package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.device.virtio.VirtioBlock.Cache;
import dev.bothy.device.virtio.VirtioBlock.WriteErrors;
import dev.bothy.image.MemoryDevice;
import dev.bothy.net.Frame;
import dev.bothy.net.MacAddress;
import dev.bothy.net.Network;
import dev.bothy.net.NetworkCard;
import dev.bothy.net.Offloads;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/**
 * A driver that starts properly, now and then, and in between writes what comes to its mind into
 * registers, rings and requests. Whatever it does, nothing escapes, and a reset makes it good.
 */
class HostileDriverTest {
  private static final int STEPS = 40_000;
  private static final long RINGS = 0x10_0000;
  private static final long RING_SPACE = 0x8_0000;

  /** Takes all frames, and reads every byte of them. */
  private static final class Sink implements Network {
    NetworkCard card;

    @Override
    public void attach(NetworkCard value) {
      card = value;
    }

    @Override
    public void transmit(Frame frame) {
      assertEquals(frame.length(), frame.toArray().length);
    }

    @Override
    public void receiveReady() {}

    @Override
    public void accept(Offloads offloads) {}

    @Override
    public boolean linkUp() {
      return true;
    }

    @Override
    public void close() {}
  }

  private static void attack(
      long seed, Function<GuestMemory, VirtioDevice> maker, Runnable fromOutside) throws Exception {
    Random random = new Random(seed);
    try (GuestMemory memory = new GuestMemory(8 << 20);
        VirtioDevice device = maker.apply(memory)) {
      device.resume();
      VirtioDriver driver = new VirtioDriver(memory, device).smallQueues(16).start(-1);
      int broken = 0;
      for (int i = 0; i < STEPS; i++) {
        switch (random.nextInt(16)) {
          case 0, 1, 2, 3, 4 -> request(random, memory, driver);
          case 5, 6 -> scribble(random, memory, driver);
          case 7, 8 -> register(random, driver);
          case 9 -> memory.writeLong(VirtioDriver.DATA + random.nextInt(256), value(random));
          case 10 -> fromOutside.run();
          case 11 -> driver.kick(random.nextInt(driver.rings.size()));
          case 12 -> {
            if (random.nextInt(50) == 0) {
              reload(device, random);
            }
          }
          default -> {
            if (random.nextInt(8) == 0 || device.status() != 15) {
              broken += (device.status() & VirtioDevice.NEEDS_RESET) != 0 ? 1 : 0;
              driver.start(random.nextInt(4) == 0 ? random.nextLong() | 1L << 32 : -1);
            }
          }
        }
      }
      assertTrue(broken > 50, "needed a reset " + broken + " times");
      driver.start(-1);
      assertEquals(15, device.status());
    }
  }

  private static long value(Random random) {
    return switch (random.nextInt(5)) {
      case 0 -> random.nextLong();
      case 1 -> 1L << random.nextInt(64);
      case 2 -> random.nextInt(256);
      case 3 -> VirtioDriver.DATA + random.nextInt(0x1000);
      default -> random.nextBoolean() ? -1 : 0;
    };
  }

  private static void request(Random random, GuestMemory memory, VirtioDriver driver) {
    int queue = random.nextInt(driver.rings.size());
    memory.writeInt(VirtioDriver.DATA, random.nextInt(16));
    memory.writeLong(VirtioDriver.DATA + 8, random.nextInt(16));
    Piece[] pieces = new Piece[1 + random.nextInt(3)];
    int readers = random.nextInt(pieces.length + 1);
    for (int i = 0; i < pieces.length; i++) {
      int length = random.nextInt(8) == 0 ? random.nextInt(5000) : new int[] {1, 8, 12, 16, 512}[i];
      pieces[i] = new Piece(VirtioDriver.DATA + 1024 * i, length, i >= readers);
    }
    try {
      driver.rings.get(queue).offer(random.nextInt(8) == 0, pieces);
    } catch (java.util.NoSuchElementException e) {
      return; // The ring is full.
    }
    driver.kick(queue);
    try {
      while (driver.rings.get(queue).poll() != null) {
        // Frees places.
      }
    } catch (NullPointerException e) {
      // An answer to what it has scribbled itself.
    }
  }

  private static void scribble(Random random, GuestMemory memory, VirtioDriver driver) {
    long ring = RINGS + RING_SPACE * random.nextInt(driver.rings.size());
    long at = ring + random.nextInt(16 * 16 + 200);
    if (random.nextBoolean()) {
      memory.writeByte(at, random.nextInt(256));
    } else {
      memory.writeLong(at & -8, value(random));
    }
  }

  private static void register(Random random, VirtioDriver driver) {
    List<AddressSpace.Mapping> all = driver.mmio.mappings();
    if (all.isEmpty()) {
      return;
    }
    AddressSpace.Mapping range = all.get(random.nextInt(all.size()));
    int page = random.nextInt((int) (range.length() >> 12)) << 12;
    long at = range.base() + page + random.nextInt(64);
    int size = 1 << random.nextInt(4);
    if (random.nextInt(3) == 0) {
      driver.mmio.write(at, size, value(random));
    } else {
      driver.mmio.read(at, size);
    }
  }

  /** Saves and loads, what has been damaged as well. */
  private static void reload(VirtioDevice device, Random random) {
    device.suspend();
    StateWriter out = new StateWriter();
    device.save(out);
    byte[] saved = out.toByteArray();
    if (random.nextBoolean()) {
      saved[random.nextInt(saved.length)] ^= (byte) (1 << random.nextInt(8));
    }
    try {
      device.load(new StateReader("device", saved));
    } catch (dev.bothy.core.state.StateException e) {
      device.reset();
    }
    device.resume();
  }

  @Test
  void nothingEscapesFromTheEntropyDevice() throws Exception {
    attack(1, memory -> new VirtioRng(memory, true), () -> {});
  }

  @Test
  void nothingEscapesFromTheBlockDevice() throws Exception {
    attack(
        2,
        memory ->
            new VirtioBlock(
                memory,
                Runnable::run,
                new MemoryDevice(1 << 20),
                "",
                Cache.WRITEBACK,
                WriteErrors.REPORT,
                2,
                1,
                reason -> {}),
        () -> {});
  }

  @Test
  void nothingEscapesFromTheBlockDeviceThatDoesSeveralRequestsAtOnce() throws Exception {
    attack(
        22,
        memory ->
            new VirtioBlock(
                memory,
                task -> Thread.ofVirtual().start(task),
                new MemoryDevice(1 << 20),
                "",
                Cache.WRITEBACK,
                WriteErrors.REPORT,
                2,
                4,
                reason -> {}),
        () -> {});
  }

  @Test
  void nothingEscapesFromTheNetworkCard() throws Exception {
    Sink sink = new Sink();
    Random random = new Random(7);
    attack(
        3,
        memory -> {
          VirtioNet net = new VirtioNet(memory, Runnable::run, sink, MacAddress.ofCard(0), 2);
          net.plugIn();
          return net;
        },
        () -> sink.card.receive(Frame.of(new byte[random.nextInt(3000)])));
  }

  @Test
  void nothingEscapesFromTheConsole() throws Exception {
    ConsolePort port = new ConsolePort("port", true, (bytes, length) -> length / 2);
    ConsolePort other = new ConsolePort("other", false, (bytes, length) -> length);
    attack(
        4,
        memory -> {
          VirtioConsole console = new VirtioConsole(memory, List.of(port, other));
          console.plugIn();
          return console;
        },
        () -> {
          other.offer(new byte[100], 0, 100);
          port.resize(80, 25);
          port.sinkReady();
        });
  }

  @Test
  void nothingEscapesFromTheBalloon() throws Exception {
    VirtioBalloon[] balloon = new VirtioBalloon[1];
    attack(
        5,
        memory -> balloon[0] = new VirtioBalloon(memory),
        () -> {
          balloon[0].askForStatistics();
          balloon[0].setTarget(1 << 20);
        });
  }

  /** Reads every byte of a request and writes every byte of its reply. */
  private static final class Echo implements VirtioFs.Folder {
    @Override
    public int serve(List<MemorySegment> request, List<MemorySegment> reply) {
      byte last = 0;
      for (MemorySegment piece : request) {
        byte[] bytes = piece.toArray(ValueLayout.JAVA_BYTE);
        last = bytes[bytes.length - 1];
      }
      long length = 0;
      for (MemorySegment piece : reply) {
        piece.fill(last);
        length += piece.byteSize();
      }
      return (int) length;
    }

    @Override
    public void reset() {}

    @Override
    public void save(StateWriter out) {}

    @Override
    public void load(StateReader in) {}
  }

  @Test
  void nothingEscapesFromTheFileSystem() throws Exception {
    attack(6, memory -> new VirtioFs(memory, Runnable::run, new Echo(), "share", 2, 1), () -> {});
  }

  @Test
  void nothingEscapesFromAFileSystemThatServesSeveralRequestsAtOnce() throws Exception {
    attack(7, memory -> new VirtioFs(memory, Runnable::run, new Echo(), "share", 2, 4), () -> {});
    attack(
        8,
        memory ->
            new VirtioFs(memory, task -> Thread.ofVirtual().start(task), new Echo(), "share", 2, 4),
        () -> {});
  }
}
