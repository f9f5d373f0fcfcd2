package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.virtio.DriverRing.Piece;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.SocketException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Streams between a driver that the test plays and Unix sockets. */
@Timeout(600)
class VirtioVsockTest {
  private static final long CID = 7;
  private static final int RX = 0;
  private static final int TX = 1;
  private static final int EVENTS = 2;
  private static final int BUFFERS = 16;
  private static final int BUFFER = 4096;
  private static final long RECEIVE = 0x40_0000;
  private static final long SEND = 0x50_0000;
  private static final int GUEST_SPACE = 1 << 16;
  private static final int GUEST_PORT = 1234;
  private static final int HOST_PORT = 52;

  @TempDir private Path folder;

  private final GuestMemory memory = new GuestMemory(8 << 20);
  private VirtioVsock device;
  private VirtioDriver driver;

  /** What the guest has taken out of its buffers; part of every packet. */
  private int forwarded;

  /** Addresses of offered buffers by the number of their request. */
  private final Map<Integer, Long> offered = new HashMap<>();

  private record Packet(VsockHeader header, byte[] payload) {
    int operation() {
      return header.operation();
    }
  }

  @BeforeEach
  void make() throws IOException {
    device = device(folder.resolve("guest"));
    driver = new VirtioDriver(memory, device);
    start();
  }

  private VirtioVsock device(Path path) throws IOException {
    VirtioVsock made =
        new VirtioVsock(
            memory, task -> Thread.ofVirtual().start(task), CID, new VsockListener(path));
    made.resume();
    return made;
  }

  private void start() {
    driver.start(-1L);
    offered.clear();
    forwarded = 0;
    for (int i = 0; i < BUFFERS; i++) {
      offer(RECEIVE + i * BUFFER);
    }
    driver.kick(RX);
  }

  @AfterEach
  void close() {
    device.close();
    assertFalse(Files.exists(folder.resolve("guest")));
    memory.close();
  }

  private void offer(long address) {
    offered.put(driver.rings.get(RX).offer(false, Piece.in(address, BUFFER)), address);
  }

  /** The next packet from the device, waited for; its buffer is offered again. */
  private Packet receive() {
    return taken(driver.await(RX));
  }

  /** The next packet, or null if there is none yet. */
  private Packet poll() {
    DriverRing.Used used = driver.rings.get(RX).poll();
    return used == null ? null : taken(used);
  }

  private Packet taken(DriverRing.Used used) {
    byte[] bytes = new byte[used.written()];
    long address = offered.remove(used.id());
    memory.read(address, bytes, 0, bytes.length);
    offer(address);
    driver.kick(RX);
    Buffers packet = new Buffers(new MemorySegment[] {MemorySegment.ofArray(bytes)}, 1);
    return new Packet(
        VsockHeader.read(packet), Arrays.copyOfRange(bytes, VsockHeader.SIZE, bytes.length));
  }

  /** The next packet of that operation; what comes before it is only about credit. */
  private Packet await(int operation) {
    Packet packet = receive();
    while (packet.operation() == VsockHeader.CREDIT_UPDATE
        && operation != VsockHeader.CREDIT_UPDATE) {
      packet = receive();
    }
    assertEquals(operation, packet.operation());
    return packet;
  }

  private VsockHeader header(int hostPort, int operation, int flags, int length) {
    return new VsockHeader(
        CID, 2, GUEST_PORT, hostPort, length, 1, operation, flags, GUEST_SPACE, forwarded);
  }

  private void send(VsockHeader header, byte[] payload) {
    byte[] bytes = Arrays.copyOf(new byte[VsockHeader.SIZE], VsockHeader.SIZE + payload.length);
    header.write(new Buffers(new MemorySegment[] {MemorySegment.ofArray(bytes)}, 1));
    System.arraycopy(payload, 0, bytes, VsockHeader.SIZE, payload.length);
    memory.write(SEND, bytes);
    driver.request(TX, Piece.out(SEND, bytes.length));
  }

  private void send(int hostPort, int operation) {
    send(header(hostPort, operation, 0, 0), new byte[0]);
  }

  private void sendData(int hostPort, byte[] payload) {
    send(header(hostPort, VsockHeader.DATA, 0, payload.length), payload);
  }

  private ServerSocketChannel listen(int port) throws IOException {
    ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(folder.resolve("guest_" + port)));
    return server;
  }

  /** A stream that the guest has opened; the host's end of it. */
  private SocketChannel connected() throws IOException {
    try (ServerSocketChannel server = listen(HOST_PORT)) {
      send(HOST_PORT, VsockHeader.REQUEST);
      SocketChannel socket = server.accept();
      Packet response = await(VsockHeader.RESPONSE);
      assertEquals(HOST_PORT, response.header.sourcePort());
      assertEquals(GUEST_PORT, response.header.targetPort());
      assertEquals(VsockStream.SPACE, response.header.space());
      return socket;
    } finally {
      Files.deleteIfExists(folder.resolve("guest_" + HOST_PORT));
    }
  }

  private SocketChannel program() throws IOException {
    return SocketChannel.open(UnixDomainSocketAddress.of(folder.resolve("guest")));
  }

  private static void write(SocketChannel socket, String text) throws IOException {
    socket.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII)));
  }

  /** Reads until {@code length} bytes or the end. */
  private static byte[] read(SocketChannel socket, int length) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(length);
    while (bytes.hasRemaining() && socket.read(bytes) >= 0) {
      // Goes on.
    }
    return Arrays.copyOf(bytes.array(), bytes.position());
  }

  private static String line(SocketChannel socket) throws IOException {
    StringBuilder line = new StringBuilder();
    byte[] one = read(socket, 1);
    while (one.length == 1 && one[0] != '\n') {
      line.append((char) one[0]);
      one = read(socket, 1);
    }
    return line.toString();
  }

  /** True if the device closes a connection without a word. */
  private static boolean ends(SocketChannel socket) throws IOException {
    try {
      return read(socket, 1).length == 0;
    } catch (SocketException e) {
      // It did so before it had read everything.
      return true;
    }
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    return bytes;
  }

  @Test
  void theGuestLearnsItsAddress() {
    assertEquals(CID, driver.config(0, 8));
  }

  @Test
  void whatTheGuestSendsArrivesHoweverMuchItIs() throws Exception {
    byte[] data = random(1 << 20);
    try (SocketChannel socket = connected()) {
      CompletableFuture<byte[]> arrived =
          CompletableFuture.supplyAsync(() -> readAll(socket, data.length));
      int told = 0;
      int sent = 0;
      while (sent < data.length) {
        int length = Math.min(10_000, data.length - sent);
        while (VsockStream.SPACE - (sent - told) < length) {
          told = await(VsockHeader.CREDIT_UPDATE).header.forwarded();
        }
        sendData(HOST_PORT, Arrays.copyOfRange(data, sent, sent + length));
        sent += length;
      }
      assertArrayEquals(data, arrived.get());
    }
  }

  private static byte[] readAll(SocketChannel socket, int length) {
    try {
      return read(socket, length);
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  @Test
  void theHostSendsNoMoreThanTheGuestHasRoomFor() throws Exception {
    byte[] data = random(300_000);
    try (SocketChannel socket = connected()) {
      Thread.ofVirtual()
          .start(
              () -> {
                try {
                  ByteBuffer all = ByteBuffer.wrap(data);
                  while (all.hasRemaining()) {
                    socket.write(all);
                  }
                } catch (IOException e) {
                  throw new java.io.UncheckedIOException(e);
                }
              });
      ByteArrayOutputStream arrived = new ByteArrayOutputStream();
      while (arrived.size() < data.length) {
        if (arrived.size() - forwarded == GUEST_SPACE) {
          // The device has nothing to send until it hears of room.
          send(HOST_PORT, VsockHeader.CREDIT_REQUEST);
          await(VsockHeader.CREDIT_UPDATE);
          forwarded = arrived.size();
          send(HOST_PORT, VsockHeader.CREDIT_UPDATE);
        }
        arrived.writeBytes(await(VsockHeader.DATA).payload);
        assertTrue(arrived.size() - forwarded <= GUEST_SPACE);
      }
      assertArrayEquals(data, arrived.toByteArray());
    }
  }

  @Test
  void programsOfTheHostReachPortsOfTheGuest() throws Exception {
    try (SocketChannel socket = program()) {
      write(socket, "CONNECT 1234\nearly");
      VsockHeader request = await(VsockHeader.REQUEST).header;
      assertEquals(GUEST_PORT, request.targetPort());
      assertEquals(CID, request.targetCid());
      int port = request.sourcePort();
      send(port, VsockHeader.RESPONSE);
      assertEquals("OK " + port, line(socket));
      assertEquals("early", new String(await(VsockHeader.DATA).payload, StandardCharsets.US_ASCII));
      sendData(port, "hello\n".getBytes(StandardCharsets.US_ASCII));
      assertEquals("hello", line(socket));
    }
  }

  @Test
  void aPortWhereNobodyListensIsRefused() throws Exception {
    send(HOST_PORT, VsockHeader.REQUEST);
    assertEquals(HOST_PORT, await(VsockHeader.RESET).header.sourcePort());
    try (SocketChannel socket = program()) {
      write(socket, "CONNECT 99\n");
      VsockHeader request = await(VsockHeader.REQUEST).header;
      send(
          new VsockHeader(CID, 2, 99, request.sourcePort(), 0, 1, VsockHeader.RESET, 0, 0, 0),
          new byte[0]);
      assertEquals("", line(socket));
    }
  }

  @Test
  void wordsThatAreNoRequestCloseTheConnection() throws Exception {
    for (String words :
        new String[] {"GET / HTTP/1.1\n", "CONNECT\n", "CONNECT 4294967295\n", "x".repeat(40)}) {
      try (SocketChannel socket = program()) {
        write(socket, words);
        assertTrue(ends(socket), words);
      }
    }
  }

  @Test
  void eachSideMayEndItsHalf() throws Exception {
    try (SocketChannel socket = connected()) {
      write(socket, "last");
      socket.shutdownOutput();
      assertEquals(4, await(VsockHeader.DATA).payload.length);
      assertEquals(VsockHeader.SENDS_NO_MORE, await(VsockHeader.SHUTDOWN).header.flags());
      sendData(HOST_PORT, new byte[1000]);
      send(header(HOST_PORT, VsockHeader.SHUTDOWN, 3, 0), new byte[0]);
      assertEquals(1000, read(socket, 2000).length);
      await(VsockHeader.RESET);
    }
    sendData(HOST_PORT, new byte[1]);
    await(VsockHeader.RESET);
  }

  @Test
  void theGuestHearsOfAProgramThatIsGone() throws Exception {
    connected().close();
    assertEquals(VsockHeader.SENDS_NO_MORE, await(VsockHeader.SHUTDOWN).header.flags());
    sendData(HOST_PORT, new byte[1]);
    assertEquals(3, await(VsockHeader.SHUTDOWN).header.flags());
    send(HOST_PORT, VsockHeader.RESET);
    send(HOST_PORT, VsockHeader.CREDIT_REQUEST);
    await(VsockHeader.RESET);
  }

  @Test
  void aGuestThatTakesMoreThanItsCreditIsCutOff() throws Exception {
    try (SocketChannel socket = connected()) {
      // The socket takes some, the buffer the rest.
      Packet packet = null;
      int sent = 0;
      while (packet == null || packet.operation() == VsockHeader.CREDIT_UPDATE) {
        sendData(HOST_PORT, new byte[1 << 14]);
        sent += 1 << 14;
        packet = poll();
      }
      assertEquals(VsockHeader.RESET, packet.operation());
      assertTrue(read(socket, sent).length < sent);
    }
  }

  @Test
  void packetsThatMakeNoSenseAreRefusedOrDropped() {
    send(HOST_PORT, VsockHeader.DATA);
    await(VsockHeader.RESET);
    send(new VsockHeader(CID, 2, 1, 2, 0, 2, VsockHeader.REQUEST, 0, 0, 0), new byte[0]);
    assertEquals(2, await(VsockHeader.RESET).header.type());
    send(new VsockHeader(CID, 9, 1, 2, 0, 1, VsockHeader.REQUEST, 0, 0, 0), new byte[0]);
    assertEquals(9, await(VsockHeader.RESET).header.sourceCid());
    send(new VsockHeader(CID + 1, 2, 1, 2, 0, 1, VsockHeader.REQUEST, 0, 0, 0), new byte[0]);
    send(header(3, VsockHeader.RESET, 0, 0), new byte[0]);
    send(header(4, VsockHeader.DATA, 0, 100), new byte[10]);
    assertEquals(4, await(VsockHeader.RESET).header.sourcePort());
    assertNull(driver.rings.get(RX).poll());
    assertEquals(15, driver.status());
    memory.write(SEND, new byte[43]);
    driver.send(TX, Piece.out(SEND, 43));
    while ((driver.status() & VirtioDevice.NEEDS_RESET) == 0) {
      Thread.onSpinWait();
    }
  }

  @Test
  void aGuestThatTakesNoRefusalsWaitsForThem() {
    driver.start(-1L);
    for (int i = 0; i < 100; i++) {
      memory.write(SEND, new byte[VsockHeader.SIZE]);
      Buffers packet = new Buffers(new MemorySegment[] {memory.slice(SEND, VsockHeader.SIZE)}, 1);
      header(1000, VsockHeader.DATA, 0, 0).write(packet);
      driver.request(TX, Piece.out(SEND, VsockHeader.SIZE));
    }
    for (int i = 0; i < 100; i++) {
      driver.send(TX, Piece.out(SEND, VsockHeader.SIZE));
    }
    offered.clear();
    for (int i = 0; i < BUFFERS; i++) {
      offer(RECEIVE + i * BUFFER);
    }
    driver.kick(RX);
    for (int i = 0; i < 200; i++) {
      await(VsockHeader.RESET);
    }
  }

  @Test
  void garbageNeverEscapes() throws Exception {
    Random random = new Random(3);
    try (ServerSocketChannel server = listen(HOST_PORT)) {
      Thread.ofVirtual()
          .start(
              () -> {
                try {
                  while (true) {
                    SocketChannel socket = server.accept();
                    Thread.ofVirtual().start(() -> echo(socket));
                  }
                } catch (IOException e) {
                  // Over.
                }
              });
      for (int i = 0; i < 4_000; i++) {
        int length = random.nextInt(3) == 0 ? random.nextInt(2000) : 0;
        VsockHeader header =
            new VsockHeader(
                random.nextInt(20) == 0 ? random.nextLong() : CID,
                random.nextInt(20) == 0 ? random.nextLong() : 2,
                random.nextInt(4),
                HOST_PORT + random.nextInt(2),
                random.nextInt(10) == 0 ? random.nextInt() : length,
                random.nextInt(20) == 0 ? random.nextInt(4) : 1,
                random.nextInt(9),
                random.nextInt(8),
                random.nextInt(3) == 0 ? random.nextInt() : 100_000,
                random.nextInt(5) == 0 ? random.nextInt() : 0);
        send(header, new byte[length]);
        DriverRing.Used used = driver.rings.get(RX).poll();
        while (used != null) {
          offer(offered.remove(used.id()));
          used = driver.rings.get(RX).poll();
        }
        driver.kick(RX);
        if (random.nextInt(500) == 0) {
          start();
        }
      }
      assertEquals(15, driver.status());
    }
    Files.delete(folder.resolve("guest_" + HOST_PORT));
    start();
    connected().close();
  }

  private static void echo(SocketChannel socket) {
    try (socket) {
      ByteBuffer bytes = ByteBuffer.allocate(1000);
      while (socket.read(bytes.clear()) >= 0) {
        socket.write(bytes.flip());
      }
    } catch (IOException e) {
      // Over.
    }
  }

  @Test
  void streamsEndWithAResetOfTheDevice() throws Exception {
    try (SocketChannel socket = connected()) {
      start();
      assertEquals(0, read(socket, 1).length);
      sendData(HOST_PORT, new byte[1]);
      await(VsockHeader.RESET);
    }
  }

  @Test
  void aLoadedGuestIsToldThatItsStreamsAreGone() throws Exception {
    byte[] saved;
    try (SocketChannel socket = connected()) {
      driver.function.pause();
      StateWriter out = new StateWriter();
      driver.function.save(out);
      saved = out.toByteArray();
      assertTrue(socket.isOpen());
    }
    device.close();
    device = device(folder.resolve("guest"));
    driver = new VirtioDriver(memory, device);
    driver.start(-1L);
    driver.function.pause();
    driver.function.load(new StateReader("", saved));
    memory.writeLong(RECEIVE, -1);
    driver.rings.get(EVENTS).offer(false, Piece.in(RECEIVE, 4));
    driver.function.resume();
    assertEquals(4, driver.await(EVENTS).written());
    assertEquals(0, memory.readInt(RECEIVE));
    assertEquals(-1, memory.readInt(RECEIVE + 4));
  }

  @Test
  void anAbandonedSocketIsReplacedAndNothingElse() throws Exception {
    Path path = folder.resolve("other");
    ServerSocketChannel.open(StandardProtocolFamily.UNIX)
        .bind(UnixDomainSocketAddress.of(path))
        .close();
    assertTrue(Files.exists(path));
    VirtioVsock first = device(path);
    IOException refusal = assertThrows(IOException.class, () -> device(path));
    assertTrue(refusal.getMessage().startsWith("cannot listen at " + path), refusal::getMessage);
    first.close();
    Files.writeString(path, "precious");
    assertThrows(IOException.class, () -> device(path));
    assertEquals("precious", Files.readString(path));
  }
}
