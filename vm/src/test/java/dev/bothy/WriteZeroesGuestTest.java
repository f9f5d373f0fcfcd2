package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.device.virtio.VirtioBlock;
import dev.bothy.device.virtio.VirtioPci;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.image.MemoryDevice;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.boot.KernelBoot;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Zeros that Linux has the disk make, in place of writing them. */
@Timeout(900)
class WriteZeroesGuestTest {
  private static final int SIZE = 64 << 20;
  private static final int ZEROED = 1 << 20;
  private static final int ZEROED_LENGTH = 40 << 20;
  private static final int PUNCHED = 50 << 20;
  private static final int PUNCHED_LENGTH = 3 << 20;

  /** The driver's requests are at most this long, as the device says. */
  private static final int LIMIT = 32 << 20;

  /** A disk in memory that notes every change. */
  private static final class NotedDisk extends MemoryDevice {
    final byte[] content;
    final List<String> changes = Collections.synchronizedList(new ArrayList<>());

    NotedDisk() {
      this(new byte[SIZE]);
    }

    private NotedDisk(byte[] content) {
      super(content, false);
      this.content = content;
    }

    @Override
    public void write(long offset, List<MemorySegment> sources) throws IOException {
      changes.add("write " + offset);
      super.write(offset, sources);
    }

    @Override
    public void discard(long offset, long length) throws IOException {
      changes.add("discard " + offset + "+" + length);
      super.discard(offset, length);
    }

    @Override
    public void writeZeroes(long offset, long length, boolean release) throws IOException {
      changes.add("zero " + offset + "+" + length + (release ? ", release" : ""));
      super.writeZeroes(offset, length, release);
    }
  }

  /**
   * A static program of three system calls: it opens the first disk, has a range zeroed (the ioctl
   * BLKZEROOUT, which is what {@code blkdiscard -z} does), and punches a hole into another. Its
   * status is the first error, or 0.
   */
  private static byte[] program() {
    int base = 0x400000;
    int data = 0x200;
    int path = base + data + 16;
    ByteBuffer file = ByteBuffer.allocate(data + 32).order(ByteOrder.LITTLE_ENDIAN);
    // ELF, 64 bits, little-endian; an executable for x86-64 with one program header.
    file.put(new byte[] {0x7f, 'E', 'L', 'F', 2, 1, 1}).position(16);
    file.putShort((short) 2).putShort((short) 62).putInt(1).putLong(base + 0x78).putLong(64);
    file.putLong(0).putInt(0).putShort((short) 64).putShort((short) 56).putShort((short) 1);
    // All of it is loaded, to be read and executed.
    file.position(64);
    file.putInt(1).putInt(5).putLong(0).putLong(base).putLong(base);
    file.putLong(file.capacity()).putLong(file.capacity()).putLong(4096);
    // open(path, O_RDWR), kept in EBX
    loadEax(file, 2).put((byte) 0xbf).putInt(path).put((byte) 0xbe).putInt(2);
    systemCall(file).put(new byte[] {(byte) 0x89, (byte) 0xc3});
    int[] exits = new int[2];
    exits[0] = exitIfNegative(file);
    // ioctl(fd, BLKZEROOUT, range)
    loadEax(file, 16).put(new byte[] {(byte) 0x89, (byte) 0xdf});
    file.put((byte) 0xbe).putInt(0x127f).put((byte) 0xba).putInt(base + data);
    systemCall(file);
    exits[1] = exitIfNegative(file);
    // fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, length)
    loadEax(file, 285).put(new byte[] {(byte) 0x89, (byte) 0xdf}).put((byte) 0xbe).putInt(3);
    file.put((byte) 0xba).putInt(PUNCHED).put((byte) 0x41).put((byte) 0xba).putInt(PUNCHED_LENGTH);
    systemCall(file);
    for (int exit : exits) {
      file.put(exit, (byte) (file.position() - exit - 1));
    }
    // exit(-EAX)
    file.put(new byte[] {(byte) 0xf7, (byte) 0xd8, (byte) 0x89, (byte) 0xc7});
    systemCall(loadEax(file, 60));
    file.position(data).putLong(ZEROED).putLong(ZEROED_LENGTH);
    file.put("/dev/vda".getBytes(StandardCharsets.US_ASCII));
    return file.array();
  }

  private static ByteBuffer loadEax(ByteBuffer file, int value) {
    return file.put((byte) 0xb8).putInt(value);
  }

  private static ByteBuffer systemCall(ByteBuffer file) {
    return file.put((byte) 0x0f).put((byte) 0x05);
  }

  /** Tests EAX and jumps to the end; the place of the distance. */
  private static int exitIfNegative(ByteBuffer file) {
    file.put(new byte[] {(byte) 0x85, (byte) 0xc0, 0x78, 0});
    return file.position() - 1;
  }

  private static String quoted(byte[] bytes) {
    StringBuilder text = new StringBuilder();
    for (byte each : bytes) {
      text.append("\\%03o".formatted(each & 0xff));
    }
    return text.toString();
  }

  @Test
  void linuxHasTheDiskMakeZeros() throws Exception {
    DefaultGuest guest = GuestShell.guest(DefaultGuest.CLOUD_KERNEL);
    NotedDisk disk = new NotedDisk();
    new Random(7).nextBytes(disk.content);
    byte[] expected = disk.content.clone();
    Arrays.fill(expected, ZEROED, ZEROED + ZEROED_LENGTH, (byte) 0);
    Arrays.fill(expected, PUNCHED, PUNCHED + PUNCHED_LENGTH, (byte) 0);
    ConsoleOutput output = new ConsoleOutput(null);
    MachineOptions options =
        MachineOptions.of(
                256 << 20,
                Engines.factory(
                    Engines.AUTO, CpuModel.V2, TranslatorEngine.Observation.NONE, Optional.empty()),
                new KernelBoot(guest.kernel(), Optional.of(guest.initrd()), guest.commandLine()),
                output)
            .withCard(
                host ->
                    new VirtioPci(
                        new VirtioBlock(
                            host.memory(),
                            host.io(),
                            disk,
                            "zeros",
                            VirtioBlock.Cache.WRITEBACK,
                            VirtioBlock.WriteErrors.REPORT,
                            1,
                            8,
                            _ -> {})));
    try (Machine machine = new Machine(options)) {
      machine.start();
      GuestShell shell = new GuestShell(new Console(output, machine.serial()));
      shell.awaitPrompt();
      // What the shell takes in one line is less than the program in this form.
      shell.run(": > /tmp/zero");
      byte[] program = program();
      for (int at = 0; at < program.length; at += 64) {
        byte[] part = Arrays.copyOfRange(program, at, Math.min(at + 64, program.length));
        shell.run("printf '" + quoted(part) + "' >> /tmp/zero");
      }
      assertEquals("0", shell.run("chmod +x /tmp/zero; /tmp/zero; echo $?"));
      // Read by the guest: not what its caches had, which the zeros have replaced.
      String isZero = "dd if=/dev/vda bs=1M skip=%d count=%d 2>&- | tr -d '\\0' | wc -c";
      assertEquals("0", shell.run(isZero.formatted(ZEROED >> 20, ZEROED_LENGTH >> 20)));
      assertEquals("0", shell.run(isZero.formatted(PUNCHED >> 20, PUNCHED_LENGTH >> 20)));
      assertEquals(List.of(), KernelWarnings.unknown(shell.run("dmesg -r")));
      shell.type("exit");
      assertInstanceOf(MachineExit.PoweredOff.class, machine.awaitExit());
    } finally {
      output.close();
    }
    assertTrue(
        List.of(
                "zero " + ZEROED + "+" + LIMIT,
                "zero " + (ZEROED + LIMIT) + "+" + (ZEROED_LENGTH - LIMIT),
                "zero " + PUNCHED + "+" + PUNCHED_LENGTH + ", release")
            .containsAll(disk.changes),
        disk.changes::toString);
    assertEquals(3, disk.changes.size());
    assertEquals(-1, Arrays.mismatch(expected, disk.content));
  }
}
