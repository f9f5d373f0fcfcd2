package dev.bothy.device.virtio;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.device.virtio.VirtioBlock.Cache;
import dev.bothy.device.virtio.VirtioBlock.WriteErrors;
import dev.bothy.image.MemoryDevice;
import dev.bothy.net.Frame;
import dev.bothy.net.MacAddress;
import dev.bothy.share.FuseFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.SplittableRandom;
import java.util.function.LongConsumer;
import java.util.random.RandomGenerator;

/**
 * One case a number: a device behind its PCI transport and a driver that starts it properly, now
 * and then, and in between writes what comes to its mind into registers, rings and requests, a
 * thousand times. Whatever it does, nothing escapes, and a reset makes it good. {@code bench/fuzz}
 * runs many of them. One thread an instance.
 */
public final class DriverFuzz implements LongConsumer {
  static final int STEPS = 1_000;
  private static final long RINGS = 0x10_0000;
  private static final long RING_SPACE = 0x8_0000;
  private static final int MEMORY = 8 << 20;
  private static final byte[] ZEROS = new byte[1 << 16];

  /** Devices to choose from; the socket device has threads of its own and so comes seldom. */
  enum Kind {
    ENTROPY,
    BLOCK,
    PARALLEL_BLOCK,
    NETWORK,
    CONSOLE,
    BALLOON,
    FOLDER,
    SOCKETS
  }

  private final GuestMemory memory = new GuestMemory(MEMORY);
  private final Kind only;
  private RandomGenerator random;
  private VirtioDriver driver;
  private Runnable fromOutside = () -> {};
  private VsockOutside outside;

  /** How often a device asked to be reset. */
  int broken;

  public DriverFuzz() {
    this(null);
  }

  /**
   * @param only this device; null: any
   */
  DriverFuzz(Kind only) {
    this.only = only;
  }

  @Override
  public void accept(long number) {
    random = new SplittableRandom(number);
    for (int at = 0; at < MEMORY; at += ZEROS.length) {
      memory.write(at, ZEROS);
    }
    Kind kind = only != null ? only : Kind.values()[random.nextInt(Kind.values().length)];
    if (only == null && kind == Kind.SOCKETS && random.nextInt(8) > 0) {
      kind = Kind.NETWORK;
    }
    try (VirtioDevice device = make(kind)) {
      device.resume();
      driver = new VirtioDriver(memory, device).smallQueues(16).start(features());
      for (int i = 0; i < STEPS; i++) {
        step(kind, device);
      }
      driver.start(-1);
      if (device.status() != 15) {
        throw new AssertionError("status " + device.status() + " after a reset");
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Split rings and packed ones alike, and any features, but always version 1. */
  private long features() {
    return switch (random.nextInt(4)) {
      case 0 -> random.nextLong() | 1L << 32;
      case 1 -> ~VirtioDevice.F_RING_PACKED;
      default -> -1;
    };
  }

  private void step(Kind kind, VirtioDevice device) {
    switch (random.nextInt(16)) {
      case 0, 1, 2, 3, 4 -> request(kind);
      case 5, 6 -> scribble();
      case 7, 8 -> register();
      case 9 -> memory.writeLong(VirtioDriver.DATA + random.nextInt(256), value());
      case 10 -> fromOutside.run();
      case 11 -> driver.kick(random.nextInt(driver.rings.size()));
      case 12 -> {
        if (random.nextInt(50) == 0) {
          reload(device);
        }
      }
      default -> {
        if (random.nextInt(8) == 0 || device.status() != 15) {
          broken += (device.status() & VirtioDevice.NEEDS_RESET) != 0 ? 1 : 0;
          driver.start(features());
        }
      }
    }
  }

  // --- Devices ---

  private VirtioDevice make(Kind kind) throws IOException {
    fromOutside = () -> {};
    return switch (kind) {
      case ENTROPY -> new VirtioRng(memory, true);
      case BLOCK -> block(1);
      case PARALLEL_BLOCK -> block(4);
      case NETWORK -> network();
      case CONSOLE -> console();
      case BALLOON -> {
        VirtioBalloon balloon = new VirtioBalloon(memory);
        fromOutside =
            () -> {
              balloon.askForStatistics();
              balloon.setTarget(1 << 20);
            };
        yield balloon;
      }
      case FOLDER -> new VirtioFs(memory, Runnable::run, new EchoFolder(), "tag", 2, 1);
      case SOCKETS -> {
        if (outside == null) {
          outside = new VsockOutside();
        }
        fromOutside = () -> outside.connect(random);
        yield outside.device(memory);
      }
    };
  }

  private VirtioDevice block(int atOnce) {
    return new VirtioBlock(
        memory,
        atOnce == 1 ? Runnable::run : task -> Thread.ofVirtual().start(task),
        new MemoryDevice(1 << 20),
        "",
        Cache.values()[random.nextInt(3)],
        WriteErrors.REPORT,
        2,
        atOnce,
        reason -> {});
  }

  private VirtioDevice network() {
    TestNetwork network = new TestNetwork(0);
    VirtioNet net = new VirtioNet(memory, Runnable::run, network, MacAddress.ofCard(0), 2);
    net.plugIn();
    fromOutside = () -> network.card.receive(Frame.of(new byte[random.nextInt(3000)]));
    return net;
  }

  private VirtioDevice console() {
    ConsolePort port = new ConsolePort("port", true, (bytes, length) -> length / 2);
    ConsolePort other = new ConsolePort("other", false, (bytes, length) -> length);
    VirtioConsole console = new VirtioConsole(memory, List.of(port, other));
    console.plugIn();
    fromOutside =
        () -> {
          other.offer(new byte[100], 0, 100);
          port.resize(80, 25);
          port.sinkReady();
        };
    return console;
  }

  /** Gives requests back. */
  private static final class EchoFolder implements FuseFolder {
    @Override
    public int serve(List<MemorySegment> request, List<MemorySegment> reply) {
      int length = 0;
      for (int i = 0; i < Math.min(request.size(), reply.size()); i++) {
        long bytes = Math.min(request.get(i).byteSize(), reply.get(i).byteSize());
        MemorySegment.copy(request.get(i), 0, reply.get(i), 0, bytes);
        length += (int) bytes;
      }
      return length;
    }

    @Override
    public void reset() {}

    @Override
    public void save(StateWriter out) {}

    @Override
    public void load(StateReader in) {}
  }

  // --- What the driver does ---

  private long value() {
    return switch (random.nextInt(5)) {
      case 0 -> random.nextLong();
      case 1 -> 1L << random.nextInt(64);
      case 2 -> random.nextInt(256);
      case 3 -> VirtioDriver.DATA + random.nextInt(0x1000);
      default -> random.nextBoolean() ? -1 : 0;
    };
  }

  /** The start of a request, such that most are looked at further. */
  private void header(Kind kind) {
    long at = VirtioDriver.DATA;
    switch (kind) {
      case SOCKETS -> outside.header(random, memory, at);
      case NETWORK -> {
        memory.writeByte(at, random.nextInt(4));
        memory.writeByte(at + 1, new int[] {0, 1, 3, 4, 5, 0x81, 255}[random.nextInt(7)]);
        for (int i = 2; i < 12; i += 2) {
          memory.writeShort(at + i, random.nextInt(1 << random.nextInt(1, 17)));
        }
        int type = random.nextInt(4) == 0 ? random.nextInt() : random.nextInt(2) * 0x5d8 + 0x800;
        memory.writeShort(at + 24, Short.reverseBytes((short) type));
        memory.writeByte(at + 26, 0x45);
      }
      case FOLDER -> {
        memory.writeInt(at, random.nextInt(200));
        memory.writeInt(at + 4, random.nextInt(50));
      }
      default -> {
        memory.writeInt(at, random.nextInt(16));
        memory.writeLong(at + 8, random.nextInt(16));
      }
    }
  }

  private void request(Kind kind) {
    int queue = random.nextInt(driver.rings.size());
    header(kind);
    Piece[] pieces = new Piece[1 + random.nextInt(3)];
    int readers = random.nextInt(pieces.length + 1);
    int first = new int[] {1, 8, 12, 16, 40, 44, 200}[random.nextInt(7)];
    for (int i = 0; i < pieces.length; i++) {
      int length = random.nextInt(8) == 0 ? random.nextInt(5000) : new int[] {first, 8, 512}[i];
      pieces[i] = new Piece(VirtioDriver.DATA + 1024 * i, length, i >= readers);
    }
    try {
      driver.rings.get(queue).offer(random.nextInt(8) == 0, pieces);
    } catch (NoSuchElementException e) {
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

  private void scribble() {
    long ring = RINGS + RING_SPACE * random.nextInt(driver.rings.size());
    long at = ring + random.nextInt(16 * 16 + 200);
    if (random.nextBoolean()) {
      memory.writeByte(at, random.nextInt(256));
    } else {
      memory.writeLong(at & -8, value());
    }
  }

  private void register() {
    List<AddressSpace.Mapping> all = driver.mmio.mappings();
    if (all.isEmpty()) {
      return;
    }
    AddressSpace.Mapping range = all.get(random.nextInt(all.size()));
    int page = random.nextInt((int) (range.length() >> 12)) << 12;
    long at = range.base() + page + random.nextInt(64);
    int size = 1 << random.nextInt(4);
    if (random.nextInt(3) == 0) {
      driver.mmio.write(at, size, value());
    } else {
      driver.mmio.read(at, size);
    }
  }

  /** Saves and loads, what has been damaged as well. */
  private void reload(VirtioDevice device) {
    device.suspend();
    StateWriter out = new StateWriter();
    device.save(out);
    byte[] saved = out.toByteArray();
    if (random.nextBoolean()) {
      saved[random.nextInt(saved.length)] ^= (byte) (1 << random.nextInt(8));
    }
    try {
      device.load(new StateReader("device", saved));
    } catch (StateException e) {
      device.reset();
    }
    device.resume();
  }
}
