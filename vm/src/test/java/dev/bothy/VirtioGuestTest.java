package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.device.virtio.VirtioBalloon;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.machine.MachineExit;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Virtio devices driven by Linux, all in one boot. */
@Timeout(1800)
class VirtioGuestTest {
  private static final int SECTORS = 32768;
  private static final int STREAM = 2_000_000;
  private static final byte[] GUEST = {10, 0, 2, 15};

  @TempDir Path folder;

  @Test
  void everyDeviceIsDrivenByLinux() throws Exception {
    GuestShell.guest(DefaultGuest.CLOUD_KERNEL);
    byte[] content = new byte[SECTORS * 512];
    new Random(5).nextBytes(content);
    Path first = Files.write(folder.resolve("first"), content);
    Path second = Files.write(folder.resolve("second"), content);
    Path socket = folder.resolve("port");
    Path captured = folder.resolve("captured");
    try (Vm vm =
        Vm.builder()
            .name("virtio")
            .memory("512M")
            .cpus(2)
            .disk(Disk.parse(first + ",format=raw,serial=first-disk"))
            .disk(Disk.parse(second + ",readonly"))
            .network(NetworkOption.parse("user,hostname=guest,capture=" + captured))
            .consoleSocket(ConsoleSocket.Place.parse("socket=" + folder.resolve("terminal")))
            .consoleSocket(ConsoleSocket.Place.parse("socket=" + socket + ",name=org.test"))
            .start()) {
      GuestShell shell = new GuestShell(vm);
      shell.awaitPrompt();
      checkEntropy(shell);
      checkDisks(shell);
      checkNetwork(shell);
      checkStream(shell, content);
      checkPorts(shell, socket);
      checkShell(folder.resolve("terminal"));
      checkTerminal(shell, folder.resolve("terminal"));
      checkBalloon(shell, vm.balloon().orElseThrow());
      assertEquals(List.of(), KernelWarnings.unknown(shell.run("dmesg -r")));
      shell.type("exit");
      assertEquals(new MachineExit.PoweredOff(), vm.awaitExit());
    }
    checkSegmentation(Files.readAllBytes(captured));
    byte[] left = Files.readAllBytes(first);
    byte[] text = "written by the guest".getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(text, 0, content, 4096, text.length);
    assertEquals(-1, Arrays.mismatch(content, 0, 1 << 20, left, 0, 1 << 20));
    assertEquals(-1, Arrays.mismatch(content, 2 << 20, left.length, left, 2 << 20, left.length));
    // A disk may take a discard or not, block by block.
    for (int at = 1 << 20; at < 2 << 20; at += 512) {
      boolean same = Arrays.equals(content, at, at + 512, left, at, at + 512);
      assertTrue(same || Arrays.equals(new byte[512], 0, 512, left, at, at + 512));
    }
  }

  private static void checkEntropy(GuestShell shell) throws Exception {
    String current = "/sys/class/misc/hw_random/rng_current";
    shell.run("until grep -q virtio_rng.0 " + current + "; do sleep 0.1; done");
    assertEquals("64", shell.run("head -c 64 /dev/hwrng | wc -c"));
  }

  private static void checkDisks(GuestShell shell) throws Exception {
    assertEquals(SECTORS + " 0", shell.run("echo $(cat /sys/block/vda/size /sys/block/vda/ro)"));
    assertEquals(SECTORS + " 1", shell.run("echo $(cat /sys/block/vdb/size /sys/block/vdb/ro)"));
    assertEquals("first-disk", shell.run("cat /sys/block/vda/serial"));
    assertEquals("2", shell.run("ls /sys/block/vda/mq | wc -l"));
    assertEquals("same", shell.run("cmp /dev/vda /dev/vdb && echo same"));
    shell.run("printf 'written by the guest' | dd of=/dev/vda bs=1 seek=4096 conv=notrunc,fsync");
    assertEquals("", shell.run("blkdiscard -o 1048576 -l 1048576 /dev/vda"));
    shell.run("sync; echo 3 > /proc/sys/vm/drop_caches");
    assertEquals(
        "written by the guest",
        shell.run("dd if=/dev/vda bs=4096 skip=1 count=1 2>&- | head -c 20"));
  }

  private static void checkNetwork(GuestShell shell) throws Exception {
    shell.run("until grep -q 10.0.2.3 /etc/resolv.conf; do sleep 0.2; done");
    assertEquals("10.0.2.15/24", shell.run("ip -4 -o addr show eth0 | awk '{ print $4 }'"));
    assertEquals("0", shell.run("ping -c 2 10.0.2.2 > /dev/null; echo $?"));
    assertEquals("2", shell.run("ls /sys/class/net/eth0/queues | grep -c rx"));
  }

  /** What the guest sends to the host's loopback, and gets back, is what it was. */
  private static void checkStream(GuestShell shell, byte[] content) throws Exception {
    byte[] sent = Arrays.copyOf(content, STREAM);
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"))) {
      FutureTask<byte[]> host =
          new FutureTask<>(
              () -> {
                try (Socket socket = server.accept()) {
                  byte[] bytes = socket.getInputStream().readNBytes(STREAM);
                  socket.getOutputStream().write(bytes);
                  return bytes;
                }
              });
      Thread.ofVirtual().start(host);
      String sum = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(sent));
      String stream = "head -c %d /dev/vdb | nc 10.0.2.2 %d | sha256sum";
      assertEquals(sum + "  -", shell.run(stream.formatted(STREAM, server.getLocalPort())));
      assertArrayEquals(sent, host.get());
    }
  }

  /**
   * The driver leaves cutting into segments to the card and takes what was not cut: of both
   * directions, frames longer than the link's are in the capture file.
   */
  private static void checkSegmentation(byte[] file) {
    ByteBuffer capture = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    // Nanoseconds, version 2.4, Ethernet.
    assertEquals(0xa1b23c4d, capture.getInt(0));
    assertEquals(0x0004_0002, capture.getInt(4));
    assertEquals(1, capture.getInt(20));
    int[] longest = new int[2];
    int[] bytes = new int[2];
    int at = 24;
    while (at < file.length) {
      int length = capture.getInt(at + 8);
      assertEquals(length, capture.getInt(at + 12));
      int frame = at + 16;
      boolean tcp = file[frame + 12] == 8 && file[frame + 13] == 0 && file[frame + 23] == 6;
      if (tcp) {
        int way = Arrays.equals(file, frame + 26, frame + 30, GUEST, 0, 4) ? 0 : 1;
        longest[way] = Math.max(longest[way], length);
        bytes[way] += length;
      }
      at = frame + length;
    }
    assertEquals(file.length, at);
    for (int way = 0; way < 2; way++) {
      assertTrue(longest[way] > 1514, "the longest frame has " + longest[way] + " bytes");
      assertTrue(bytes[way] > STREAM, bytes[way] + " bytes are captured");
    }
  }

  private static void checkPorts(GuestShell shell, Path socket) throws Exception {
    shell.run("until [ -c /dev/hvc0 ] && [ -c /dev/vport*p1 ]; do sleep 0.1; done");
    assertEquals("org.test", shell.run("cat /sys/class/virtio-ports/vport*p1/name"));
    try (SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      client.write(bytes("to the guest\n"));
      assertEquals("to the guest", shell.run("head -n 1 /dev/vport*p1"));
      shell.run("echo from the guest > $(echo /dev/vport*p1)");
      ByteBuffer answer = ByteBuffer.allocate(15);
      while (answer.hasRemaining() && client.read(answer) >= 0) {
        // All of it.
      }
      assertEquals("from the guest\n", new String(answer.array(), StandardCharsets.US_ASCII));
    }
    // What one client has left behind comes before what the next one says.
    try (SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      client.write(bytes("left behind\n"));
    }
    try (SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      client.write(bytes("and again\n"));
      assertEquals(
          "left behind\nand again",
          shell.run("exec 3< $(echo /dev/vport*p1); head -c 22 <&3; exec 3<&-"));
    }
  }

  /** A terminal of the default guest, which has a shell on it; what is typed is echoed there. */
  private static void checkShell(Path socket) throws Exception {
    try (SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      client.write(bytes("tty; sleep 1000\n"));
      awaitText(client, "/dev/hvc0");
      typeUntil(client, "\003echo answer=$((6*7))\n", "answer=42");
      client.write(bytes("exit\n"));
      typeUntil(client, "echo another=$((6*8))\n", "another=48");
    }
  }

  /**
   * Types again and again: what interrupts may come between two programs, and the end of a session
   * throws away what was typed meanwhile.
   */
  private static void typeUntil(SocketChannel client, String typed, String text) throws Exception {
    AtomicBoolean heard = new AtomicBoolean();
    FutureTask<Void> typist =
        new FutureTask<>(
            () -> {
              while (!heard.get()) {
                client.write(bytes(typed));
                Thread.sleep(1000);
              }
              return null;
            });
    Thread.ofVirtual().start(typist);
    awaitText(client, text);
    heard.set(true);
    typist.get();
  }

  private static ByteBuffer bytes(String text) {
    return ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII));
  }

  private static void awaitText(SocketChannel client, String text) throws Exception {
    StringBuilder heard = new StringBuilder();
    ByteBuffer some = ByteBuffer.allocate(1);
    while (!heard.toString().endsWith(text)) {
      assertTrue(client.read(some.clear()) > 0, heard::toString);
      heard.append((char) some.get(0));
    }
  }

  /** A terminal whose client does not read: the kernel spins until its output is taken. */
  private static void checkTerminal(GuestShell shell, Path socket) throws Exception {
    try (SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      assertEquals(
          "1048576", shell.run("head -c 1048576 /dev/zero | tee /dev/hvc0 | wc -c; sleep 0.1"));
      ByteBuffer heard = ByteBuffer.allocate(1 << 16);
      while (heard.hasRemaining()) {
        assertTrue(client.read(heard) > 0);
      }
    }
  }

  private static void checkBalloon(GuestShell shell, VirtioBalloon balloon) throws Exception {
    String pages = "cat /sys/bus/virtio/drivers/virtio_balloon/virtio*/status";
    shell.run("until " + pages + " 2>&-; do sleep 0.1; done");
    balloon.setTarget(64 << 20);
    while (balloon.actual() < 64 << 20) {
      shell.run("sleep 0.1");
    }
    assertTrue(balloon.askForStatistics());
    while (!balloon.statistics().containsKey(VirtioBalloon.Statistic.AVAILABLE_MEMORY)) {
      shell.run("sleep 0.1");
    }
    balloon.setTarget(0);
    while (balloon.actual() > 0) {
      shell.run("sleep 0.1");
    }
    // Free page reporting: what was in use goes back without anybody asking for it.
    shell.run("head -c 134217728 /dev/zero > /tmp/much");
    long before = balloon.released();
    shell.run("rm /tmp/much");
    while (balloon.released() - before < 64 << 20) {
      shell.run("sleep 0.1");
    }
  }
}
