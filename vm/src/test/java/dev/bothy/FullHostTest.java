package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.guest.DefaultGuest;
import dev.bothy.image.DiskImage;
import dev.bothy.image.ImageFormat;
import dev.bothy.image.Images;
import dev.bothy.image.Progress;
import dev.bothy.image.qcow2.Qcow2Layout;
import dev.bothy.machine.MachineExit;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A machine whose disk's file system on the host gets full. Wants a user that may mount. */
@Timeout(1800)
class FullHostTest {
  private static final int MEBIBYTES = 16;

  @TempDir Path folder;

  private static int run(String... command) throws Exception {
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    return process.waitFor();
  }

  private static Vm start(Path disk, String errors, BlockingQueue<String> troubles)
      throws Exception {
    DefaultGuest guest = GuestShell.guest(DefaultGuest.CLOUD_KERNEL);
    return Vm.builder()
        .name("full")
        .kernel(guest.kernel())
        .initrd(guest.initrd())
        .append(guest.commandLine())
        .memory("256M")
        .disk(Disk.parse(disk + ",werror=" + errors))
        .troubles(troubles::add)
        .start();
  }

  private static String sha256OfDisk(DiskImage disk) throws Exception {
    byte[] content = new byte[MEBIBYTES << 20];
    disk.read(0, MemorySegment.ofArray(content));
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
  }

  @Test
  void machineReportsOrPausesAndGoesOnWhenThereIsRoom() throws Exception {
    String mount = Files.createDirectory(folder.resolve("small")).toString();
    assumeTrue(
        Files.isExecutable(Path.of("/bin/mount"))
            && run("/bin/mount", "-t", "tmpfs", "-o", "size=6m", "none", mount) == 0,
        "this user may not mount");
    try {
      report(Path.of(mount, "disk.qcow2"));
      pause(mount, Path.of(mount, "disk.qcow2"));
    } finally {
      run("/bin/umount", mount);
    }
  }

  private static void report(Path disk) throws Exception {
    Images.create(disk, ImageFormat.QCOW2, 64 << 20, Qcow2Layout.DEFAULT).close();
    BlockingQueue<String> troubles = new LinkedBlockingQueue<>();
    try (Vm vm = start(disk, "report", troubles)) {
      GuestShell shell = new GuestShell(vm);
      shell.awaitPrompt();
      shell.run("yes flushed | dd of=/dev/vda bs=1M count=1 iflag=fullblock conv=fsync");
      String said =
          shell.run(
              "dd if=/dev/urandom of=/dev/vda bs=1M seek=8 count=16 conv=fsync 2>&1 || echo"
                  + " failed");
      assertTrue(said.contains("failed"), said);
      said = shell.run("dmesg | tail -n 20");
      assertTrue(said.contains("I/O error, dev vda"), said);
      shell.run("echo 3 > /proc/sys/vm/drop_caches");
      assertEquals("131072", shell.run("head -c 1048576 /dev/vda | grep -c '^flushed$'"));
      shell.type("exit");
      assertEquals(new MachineExit.PoweredOff(), vm.awaitExit());
    } catch (java.io.UncheckedIOException e) {
      // There is no room for what a close would like to write either.
      assertTrue(e.getMessage().contains("No space left"), e.getMessage());
    }
    assertEquals(List.of(), List.copyOf(troubles));
    try (DiskImage image = Images.open(disk, Images.How.READING)) {
      assertEquals(0, image.check(false, Progress.NONE).corruptions());
      byte[] start = new byte[1 << 20];
      image.read(0, MemorySegment.ofArray(start));
      assertArrayEquals("flushed\n".repeat(131072).getBytes(), start);
    }
    Files.delete(disk);
  }

  private static void pause(String mount, Path disk) throws Exception {
    Images.create(disk, ImageFormat.QCOW2, 64 << 20, Qcow2Layout.DEFAULT).close();
    BlockingQueue<String> troubles = new LinkedBlockingQueue<>();
    String sum;
    try (Vm vm = start(disk, "pause", troubles)) {
      GuestShell shell = new GuestShell(vm);
      shell.awaitPrompt();
      Thread host =
          Thread.ofVirtual()
              .start(
                  () -> {
                    try {
                      String trouble = troubles.poll(20, TimeUnit.MINUTES);
                      assertNotNull(trouble);
                      // It stands when this returns, whoever paused it.
                      vm.pause();
                      assertEquals(1, trouble.lines().count(), trouble);
                      assertEquals(1, trouble.split(disk.toString(), -1).length - 1, trouble);
                      assertTrue(trouble.contains("No space left"), trouble);
                      assertEquals(0, run("/bin/mount", "-o", "remount,size=64m", mount));
                    } catch (Exception e) {
                      throw new AssertionError(e);
                    } finally {
                      vm.resume();
                    }
                  });
      String random = "dd if=/dev/urandom of=/tmp/r bs=1M count=" + MEBIBYTES + " 2>&-; ";
      shell.run(random + "dd if=/tmp/r of=/dev/vda bs=1M conv=fsync 2>&- && echo written");
      host.join();
      sum = shell.run("sha256sum < /tmp/r").substring(0, 64);
      assertEquals(List.of(), List.copyOf(troubles));
      shell.type("exit");
      assertEquals(new MachineExit.PoweredOff(), vm.awaitExit());
    }
    try (DiskImage image = Images.open(disk, Images.How.READING)) {
      assertEquals(sum, sha256OfDisk(image));
      assertEquals(0, image.check(false, Progress.NONE).corruptions());
    }
  }
}
