package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.guest.DefaultGuest;
import dev.bothy.machine.MachineExit;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Streams between programs of a Linux guest and of the host. */
@Timeout(900)
class VsockGuestTest {
  /**
   * A program for the guest. Without arguments: listens at port 1234 and sends back what comes, one
   * connection after the other. With one: connects to port 52 of the host, sends its standard
   * input, and prints what then comes; its status is 0, or the number of the error.
   */
  private static final String PROGRAM =
      "f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAABAAAAAAAAAAEAAAAHAAAA"
          + "AAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAAhQEAAAAAAACFAQAAAAAAAAAQAAAAAAAAuCkAAAC/KAAAAL4BAAAAMdIPBYnDic"
          + "dIjTXfAAAAuhAAAABIgzwkAXVPx0YI/////8dGBNIEAAC4MQAAAA8FhcB1bInfvggAAAC4MgAAAA8Fid8x9jHSuCsAAAAP"
          + "BYXAeE1BicRBicXoTQAAAESJ57gDAAAADwXr2LgqAAAADwWFwHUrRTHkQYnd6CsAAACJ374BAAAAuDAAAAAPBUGJ3EG9AQ"
          + "AAAOgPAAAAMf/rBInH99+4PAAAAA8FSIHsAEAAAESJ50iJ5roAQAAAMcAPBYXAfiFIieZBicZEie9EifK4AQAAAA8FhcB+"
          + "CkgBxkEpxnXn68xIgcQAQAAAwygAAAA0AAAAAgAAAAAAAAA=";

  private static final int LENGTH = 1_000_000;

  @TempDir private Path folder;

  private static byte[] readAll(SocketChannel socket) throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    ByteBuffer chunk = ByteBuffer.allocate(1 << 16);
    while (socket.read(chunk.clear()) >= 0) {
      all.write(chunk.array(), 0, chunk.position());
    }
    return all.toByteArray();
  }

  private static void writeAll(SocketChannel socket, byte[] bytes) {
    try {
      ByteBuffer left = ByteBuffer.wrap(bytes);
      while (left.hasRemaining()) {
        socket.write(left);
      }
      socket.shutdownOutput();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A connection to port 1234 of the guest. */
  private SocketChannel connect() throws IOException {
    SocketChannel socket = SocketChannel.open(UnixDomainSocketAddress.of(folder.resolve("guest")));
    socket.write(ByteBuffer.wrap("CONNECT 1234\n".getBytes(StandardCharsets.US_ASCII)));
    return socket;
  }

  private static byte[] takeAndReturn(ServerSocketChannel server) {
    try (SocketChannel socket = server.accept()) {
      byte[] all = readAll(socket);
      writeAll(socket, all);
      return all;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void programsOfBothSidesReachEachOther() throws Exception {
    DefaultGuest guest = GuestShell.guest(DefaultGuest.CLOUD_KERNEL);
    try (Vm vm =
            Vm.builder()
                .name("vsock")
                .kernel(guest.kernel())
                .initrd(guest.initrd())
                .append(guest.commandLine())
                .memory("512M")
                .cpus(2)
                .vsock(Vsock.parse("77,uds=" + folder.resolve("guest")))
                .start();
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      GuestShell shell = new GuestShell(vm);
      shell.awaitPrompt();
      shell.run("modprobe virtio_pci; modprobe vmw_vsock_virtio_transport");
      shell.run("stty -echo");
      for (String part : PROGRAM.split("(?<=\\G.{100})")) {
        shell.run("echo " + part + " >>/tmp/program.64");
      }
      shell.run("base64 -d /tmp/program.64 >/tmp/program; chmod +x /tmp/program");
      // ECONNRESET: nobody listens there yet.
      assertEquals("104", shell.run("/tmp/program x </dev/null; echo $?"));
      toTheHost(shell, server);
      toTheGuest(shell);
      assertEquals(List.of(), KernelWarnings.unknown(shell.run("dmesg -r")));
      shell.type("exit");
      assertInstanceOf(MachineExit.PoweredOff.class, vm.awaitExit());
    }
  }

  private void toTheHost(GuestShell shell, ServerSocketChannel server) throws Exception {
    server.bind(UnixDomainSocketAddress.of(folder.resolve("guest_52")));
    CompletableFuture<byte[]> arrived = CompletableFuture.supplyAsync(() -> takeAndReturn(server));
    shell.run("head -c " + LENGTH + " /dev/urandom >/tmp/sent");
    assertEquals(
        "same",
        shell.run("/tmp/program x </tmp/sent >/tmp/back; cmp /tmp/sent /tmp/back && echo same"));
    assertEquals(LENGTH, arrived.get().length);
  }

  private void toTheGuest(GuestShell shell) throws Exception {
    // Nobody listens yet.
    try (SocketChannel socket = connect()) {
      assertEquals(0, readAll(socket).length);
    }
    shell.run("/tmp/program & true");
    awaitListener();
    byte[] data = new byte[LENGTH];
    new Random(8).nextBytes(data);
    for (int i = 0; i < 2; i++) {
      try (SocketChannel socket = connect()) {
        Thread.ofVirtual().start(() -> writeAll(socket, data));
        byte[] back = readAll(socket);
        int end = back.length - data.length;
        assertTrue(end > 0, "got " + back.length + " bytes");
        String greeting = new String(back, 0, end, StandardCharsets.US_ASCII);
        assertTrue(greeting.matches("OK 107374\\d{4}\n"), greeting);
        assertArrayEquals(data, Arrays.copyOfRange(back, end, back.length));
      }
    }
  }

  /** Connects and says nothing, until the program in the guest takes that. */
  private void awaitListener() throws Exception {
    byte[] said;
    do {
      Thread.sleep(50);
      try (SocketChannel socket = connect()) {
        socket.shutdownOutput();
        said = readAll(socket);
      }
    } while (said.length == 0);
  }

  @Test
  void aSocketDeviceIsReadFromText() {
    assertEquals(new Vsock(3, Path.of("/tmp/a,b")), Vsock.parse("3,uds=/tmp/a,,b"));
    for (String wrong : List.of("", "3", "3,uds=", "x,uds=a", "2,uds=a", "4294967295,uds=a")) {
      assertThrows(IllegalArgumentException.class, () -> Vsock.parse(wrong), wrong);
    }
  }
}
