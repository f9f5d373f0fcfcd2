package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.random.RandomGenerator;

/** The host's side of a socket device that a hostile driver has: a program that gives all back. */
final class VsockOutside {
  private static final long CID = 7;
  private static final int PORT = 52;
  private static final int MOST_CLIENTS = 8;

  private final Path path;
  private final ArrayDeque<SocketChannel> clients = new ArrayDeque<>();

  VsockOutside() throws IOException {
    Path folder = Files.createTempDirectory("bothy-vsock");
    folder.toFile().deleteOnExit();
    path = folder.resolve("guest");
    Path answering = folder.resolve("guest_" + PORT);
    answering.toFile().deleteOnExit();
    ServerSocketChannel server =
        ServerSocketChannel.open(StandardProtocolFamily.UNIX)
            .bind(UnixDomainSocketAddress.of(answering));
    Thread.ofVirtual().start(() -> serve(server));
  }

  VirtioVsock device(GuestMemory memory) throws IOException {
    while (!clients.isEmpty()) {
      clients.removeFirst().close();
    }
    return new VirtioVsock(
        memory, task -> Thread.ofVirtual().start(task), CID, new VsockListener(path));
  }

  private static void serve(ServerSocketChannel server) {
    try {
      while (true) {
        SocketChannel socket = server.accept();
        Thread.ofVirtual().start(() -> echo(socket));
      }
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  static void echo(SocketChannel socket) {
    try (socket) {
      ByteBuffer bytes = ByteBuffer.allocate(1000);
      while (socket.read(bytes.clear()) >= 0) {
        socket.write(bytes.flip());
      }
    } catch (IOException e) {
      // The other end is gone.
    }
  }

  /** A program of the host that comes in and says something, and goes some time. */
  void connect(RandomGenerator random) {
    try {
      SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(path));
      clients.add(client);
      client.configureBlocking(false);
      byte[] line =
          random.nextInt(8) == 0
              ? new byte[random.nextInt(300)]
              : ("CONNECT " + random.nextInt(1 << random.nextInt(1, 31)) + "\n")
                  .getBytes(StandardCharsets.US_ASCII);
      client.write(ByteBuffer.wrap(line));
      client.write(ByteBuffer.wrap(new byte[random.nextInt(2000)]));
      if (clients.size() > MOST_CLIENTS) {
        clients.removeFirst().close();
      }
    } catch (IOException e) {
      // It hears no, or the line is too long.
    }
  }

  /** Writes a packet's header that makes sense in most of its fields. */
  void header(RandomGenerator random, GuestMemory memory, long at) {
    VsockHeader header =
        new VsockHeader(
            random.nextInt(20) == 0 ? random.nextLong() : CID,
            random.nextInt(20) == 0 ? random.nextLong() : 2,
            random.nextInt(4),
            PORT + random.nextInt(2),
            random.nextInt(4) == 0 ? random.nextInt() : random.nextInt(700),
            random.nextInt(20) == 0 ? random.nextInt(4) : 1,
            random.nextInt(9),
            random.nextInt(8),
            random.nextInt(3) == 0 ? random.nextInt() : 100_000,
            random.nextInt(5) == 0 ? random.nextInt() : 0);
    byte[] bytes = new byte[VsockHeader.SIZE];
    header.write(new Buffers(new MemorySegment[] {MemorySegment.ofArray(bytes)}, 1));
    memory.write(at, bytes);
  }
}
