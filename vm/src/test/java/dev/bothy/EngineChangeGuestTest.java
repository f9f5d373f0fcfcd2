package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.guest.DefaultGuest;
import dev.bothy.machine.MachineExit;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Debian's kernel with two processors, a disk and a network, moved between engines at work. */
@Timeout(900)
class EngineChangeGuestTest {
  private static final int DISK = 8 << 20;

  @TempDir Path folder;

  @Test
  void linuxComputesReadsItsDiskAndKeepsTimeThroughTenChanges() throws Exception {
    assumeTrue(Engines.refusal(Engines.TRANSLATOR).isEmpty());
    GuestShell.guest(DefaultGuest.CLOUD_KERNEL);
    byte[] content = new byte[DISK];
    Arrays.fill(content, (byte) 'x');
    Path disk = Files.write(folder.resolve("disk"), content);
    String digest = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    try (Vm vm =
        Vm.builder()
            .engine(Engines.TRANSLATOR)
            .cpus(2)
            .memory("512M")
            .disk(Disk.parse(disk + ",format=raw,readonly"))
            .start()) {
      GuestShell shell = new GuestShell(vm);
      shell.awaitPrompt();
      shell.run("modprobe virtio_pci; modprobe virtio_blk");
      // One loop for each processor, beside which the console, timers and the disk are at work.
      shell.run(
          "for i in 1 2; do (while [ ! -e /tmp/stop ]; do dd if=/dev/vda iflag=direct bs=64k"
              + " 2>/dev/null | sha256sum; done >/tmp/sums$i) & done");
      for (int change = 0; change < 10; change++) {
        String engine = change % 2 == 0 ? Engines.INTERPRETER : Engines.TRANSLATOR;
        assertTrue(vm.changeEngine(engine, false).isEmpty());
        assertEquals(engine, vm.engine());
        assertEquals("well=" + 7 * change, shell.run("sleep 0.1; echo well=$((7*" + change + "))"));
      }
      shell.run("touch /tmp/stop; wait");
      assertEquals(digest + "  -", shell.run("cat /tmp/sums1 /tmp/sums2 | sort | uniq"));
      assertEquals("1", shell.run("grep -c 'cpu1 ' /proc/stat"));
      assertEquals(List.of(), KernelWarnings.unknown(shell.run("dmesg -r")));
      VmException again =
          assertThrows(VmException.class, () -> vm.changeEngine(Engines.TRANSLATOR, false));
      assertEquals("translator runs the machine already", again.getMessage());
      assertThrows(VmException.class, () -> vm.changeEngine(Engines.VERIFY, false));
      shell.type("poweroff");
      assertInstanceOf(MachineExit.PoweredOff.class, vm.awaitExit());
    }
  }
}
