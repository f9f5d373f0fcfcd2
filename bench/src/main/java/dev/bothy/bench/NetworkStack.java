package dev.bothy.bench;

import dev.bothy.net.Frame;
import dev.bothy.net.NetworkCard;
import dev.bothy.net.Offloads;
import dev.bothy.net.UserNetwork;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * The user-mode network without a guest: {@code bench/network}. A card of a few lines stands for
 * the guest, a socket of this process for the other host; all of it, both ends and the kernel's
 * loopback included, counts as processor time. To see one core's worth, run it under {@code taskset
 * -c 0}.
 */
final class NetworkStack {
  private NetworkStack() {}

  /**
   * How data go.
   *
   * @param toGuest the direction
   * @param offloads true with segmentation and checksums left to the card
   */
  private record Way(boolean toGuest, boolean offloads) {
    @Override
    public String toString() {
      return (toGuest ? "host to guest" : "guest to host")
          + (offloads ? ", segmentation and checksums offloaded" : ", frames of 1514 bytes");
    }
  }

  private record Rates(double wall, double processor) {}

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments, "bench/network [--rounds N] [--seconds N]", Set.of("rounds", "seconds"));
    int rounds = options.number("rounds", 3);
    int seconds = options.number("seconds", 3);
    HostReport.print("User-mode network without a guest");
    System.out.println(
        "One TCP connection by IPv4, medians of "
            + rounds
            + " rounds of "
            + seconds
            + " s, in Gbit/s: by the clock, and by processor time, that of both ends and of the"
            + " kernel included.\n");
    System.out.println("| way | by the clock | by processor time |\n|---|---:|---:|");
    for (Way way :
        List.of(
            new Way(false, true),
            new Way(true, true),
            new Way(false, false),
            new Way(true, false))) {
      measure(way, seconds);
      List<Double> wall = new ArrayList<>();
      List<Double> processor = new ArrayList<>();
      for (int i = 0; i < rounds; i++) {
        Rates rates = measure(way, seconds);
        wall.add(rates.wall);
        processor.add(rates.processor);
      }
      System.out.println(
          "| "
              + String.join(
                  " | ",
                  way.toString(),
                  Measured.fixed(1, Measured.of(wall).median()),
                  Measured.fixed(1, Measured.of(processor).median()))
              + " |");
    }
  }

  private static long processorNanos() throws IOException {
    if (ManagementFactory.getOperatingSystemMXBean()
        instanceof com.sun.management.OperatingSystemMXBean system) {
      return system.getProcessCpuTime();
    }
    throw new IOException("this Java does not tell the processor time");
  }

  private static Rates measure(Way way, int seconds) throws Exception {
    InetAddress loopback = InetAddress.ofLiteral("127.0.0.1");
    try (UserNetwork network = new UserNetwork(List.of(), null, false);
        ServerSocketChannel server =
            ServerSocketChannel.open().bind(new InetSocketAddress(loopback, 0))) {
      int port = ((InetSocketAddress) server.getLocalAddress()).getPort();
      BenchCard card = new BenchCard(network, port, way.offloads);
      network.attach(card);
      network.accept(way.offloads ? Offloads.ALL : Offloads.NONE);
      card.connect();
      try (SocketChannel host = server.accept()) {
        Transfer transfer = new Transfer(host, card, way.toGuest);
        transfer.start();
        // The congestion window and the compilers need a moment.
        Thread.sleep(500);
        long bytes = transfer.bytes();
        long wall = System.nanoTime();
        long processor = processorNanos();
        Thread.sleep(1000L * seconds);
        double bits = 8.0 * (transfer.bytes() - bytes);
        double wallTime = System.nanoTime() - wall;
        double processorTime = processorNanos() - processor;
        transfer.stop();
        return new Rates(bits / wallTime, bits / processorTime);
      }
    }
  }

  /** What goes on between the host's socket and the card, on a thread each. */
  private static final class Transfer {
    private final SocketChannel host;
    private final BenchCard card;
    private final boolean toGuest;
    private final List<Thread> threads = new ArrayList<>();
    private volatile boolean stopped;
    private volatile long taken;

    Transfer(SocketChannel host, BenchCard card, boolean toGuest) {
      this.host = host;
      this.card = card;
      this.toGuest = toGuest;
    }

    long bytes() {
      return toGuest ? card.received() : taken;
    }

    void start() {
      threads.add(Thread.ofPlatform().daemon().start(this::copy));
      if (!toGuest) {
        threads.add(Thread.ofPlatform().daemon().start(() -> card.sendUntil(() -> stopped)));
      }
    }

    private void copy() {
      ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 18);
      try {
        while (!stopped) {
          buffer.clear();
          int count = toGuest ? host.write(buffer) : host.read(buffer);
          if (count < 0) {
            return;
          }
          taken += count;
        }
      } catch (IOException e) {
        // Closed.
      }
    }

    void stop() throws IOException, InterruptedException {
      stopped = true;
      host.close();
      for (Thread thread : threads) {
        thread.join();
      }
    }
  }

  /** A guest that has one TCP connection to 10.0.2.2 and an endless window. */
  private static final class BenchCard implements NetworkCard {
    private static final int HEADERS = 54;
    private static final int WINDOW_SHIFT = 7;
    private static final int SEGMENT = 1460;
    private static final int IN_FLIGHT = 1 << 20;
    private static final int INITIAL = 1000;

    private final UserNetwork network;
    private final int port;
    private final int largest;
    private final boolean offloads;
    private final byte[] payload = new byte[65000];
    private final byte[] memory = new byte[1 << 17];
    private volatile long received;
    private volatile long acknowledged;
    private volatile long edge;
    private volatile boolean connected;
    private volatile Thread sender;
    private int hostInitial;
    private int hostShift;
    private long sent;

    /** A segment has come that is acknowledged with the next one. */
    private boolean delayed;

    BenchCard(UserNetwork network, int port, boolean offloads) {
      this.network = network;
      this.port = port;
      this.offloads = offloads;
      this.largest = offloads ? 44 * SEGMENT : SEGMENT;
    }

    long received() {
      return received;
    }

    void connect() throws InterruptedException {
      byte[] options = {2, 4, 5, (byte) 0xb4, 1, 3, 3, WINDOW_SHIFT, 1, 1, 4, 2};
      send(INITIAL, 2, options, 0);
      while (!connected) {
        Thread.sleep(1);
      }
      acknowledge();
    }

    @Override
    public boolean receive(Frame frame) {
      frame.copyTo(0, memory, 0, frame.length());
      ByteBuffer in = ByteBuffer.wrap(memory);
      if (in.getShort(12) != 0x800 || memory[23] != 6) {
        return true;
      }
      int header = (memory[46] >>> 4 & 15) * 4;
      int flags = memory[47];
      if ((flags & 2) != 0) {
        hostInitial = in.getInt(38);
        for (int at = HEADERS; at < 34 + header; at += memory[at] == 1 ? 1 : memory[at + 1]) {
          hostShift = memory[at] == 3 ? memory[at + 2] : hostShift;
        }
        edge = in.getShort(48) & 0xffff;
        connected = true;
        return true;
      }
      int length = (in.getShort(16) & 0xffff) - 20 - header;
      acknowledged += in.getInt(42) - (INITIAL + 1 + (int) acknowledged);
      edge = acknowledged + ((long) (in.getShort(48) & 0xffff) << hostShift);
      Thread waiting = sender;
      if (waiting != null) {
        java.util.concurrent.locks.LockSupport.unpark(waiting);
      }
      if (length > 0) {
        boolean next = in.getInt(38) == hostInitial + 1 + (int) received;
        received += next ? length : 0;
        // Every second segment at least (RFC 9293, 3.8.6.3), and those that end a burst.
        delayed = next && length <= SEGMENT && (flags & 8) == 0 && !delayed;
        if (!delayed) {
          acknowledge();
        }
      }
      return true;
    }

    @Override
    public void linkChanged(boolean up) {}

    private void acknowledge() {
      send(INITIAL + 1 + (int) sent, 16, new byte[0], 0);
    }

    void sendUntil(java.util.function.BooleanSupplier stopped) {
      sender = Thread.currentThread();
      while (!stopped.getAsBoolean()) {
        long room = Math.min(edge, acknowledged + IN_FLIGHT) - sent;
        if (room >= largest) {
          send(INITIAL + 1 + (int) sent, 16, new byte[0], largest);
          sent += largest;
        } else {
          java.util.concurrent.locks.LockSupport.parkNanos(1_000_000);
        }
      }
    }

    /** Sends a segment whose data are zeros, so that they do not change its checksum. */
    private void send(int sequence, int flags, byte[] options, int length) {
      int size = 20 + options.length;
      ByteBuffer out = ByteBuffer.allocate(34 + size);
      out.putShort((short) 0x5255).putInt(0x0a000202).putShort((short) 0x5254).putInt(0x00123456);
      out.putShort((short) 0x800);
      out.putShort((short) 0x4500).putShort((short) (20 + size + length)).putInt(0x4000);
      out.putShort((short) 0x4006).putShort((short) 0).putInt(0x0a00020f).putInt(0x0a000202);
      out.putShort((short) 40000).putShort((short) port).putInt(sequence);
      out.putInt(flags == 2 ? 0 : hostInitial + 1 + (int) received);
      out.putShort((short) (size / 4 << 12 | flags))
          .putShort((short) 0x7fff)
          .putInt(0)
          .put(options);
      out.putShort(24, (short) ~sum(out, 14, 34, 0));
      out.putShort(50, (short) ~sum(out, 26, 34 + size, 6 + size + length));
      network.transmit(
          new Frame(
              offloads ? dev.bothy.net.Offload.partial(34, 16) : dev.bothy.net.Offload.NONE,
              java.lang.foreign.MemorySegment.ofArray(out.array()),
              java.lang.foreign.MemorySegment.ofArray(payload).asSlice(0, length)));
    }

    private static int sum(ByteBuffer bytes, int from, int to, int more) {
      int sum = more;
      for (int i = from; i < to; i += 2) {
        sum += bytes.getShort(i) & 0xffff;
      }
      sum = (sum & 0xffff) + (sum >>> 16);
      return (sum & 0xffff) + (sum >>> 16);
    }
  }
}
