package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.device.virtio.VirtioPci;
import dev.bothy.device.virtio.VirtioRng;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.PciCard;
import dev.bothy.machine.boot.KernelBoot;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.List;
import java.util.Optional;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * PCI interrupts as Debian's cloud kernel sets them up, by entropy devices at 00:01.0 and 00:05.0,
 * whose pins share a wire.
 */
@Timeout(900)
class PciInterruptsTest {
  private static final PciCard ENTROPY = host -> new VirtioPci(new VirtioRng(host.memory(), true));

  /** What a test does in the guest. */
  private interface Session {
    void run(GuestShell shell) throws Exception;
  }

  private static void boot(int cpus, String arguments, Session session) throws Exception {
    DefaultGuest guest = GuestShell.guest(DefaultGuest.CLOUD_KERNEL);
    ConsoleOutput output = new ConsoleOutput(null);
    MachineOptions options =
        MachineOptions.of(
                512 << 20,
                Engines.factory(
                    Engines.AUTO, CpuModel.V2, TranslatorEngine.Observation.NONE, Optional.empty()),
                new KernelBoot(
                    guest.kernel(),
                    Optional.of(guest.initrd()),
                    guest.commandLine() + " " + arguments),
                output)
            .withCpus(cpus);
    for (int i = 0; i < 5; i++) {
      options = options.withCard(ENTROPY);
    }
    try (Machine machine = new Machine(options)) {
      machine.start();
      GuestShell shell = new GuestShell(new Console(output, machine.serial()));
      shell.awaitPrompt();
      shell.run("modprobe virtio_pci; modprobe virtio_rng");
      session.run(shell);
      assertEquals(List.of(), KernelWarnings.unknown(shell.run("dmesg -r")));
      assertEquals("0", shell.run("grep -c -E '^(ERR|MIS): *[1-9]' /proc/interrupts"));
      shell.type("exit");
      assertInstanceOf(MachineExit.PoweredOff.class, machine.awaitExit());
    } finally {
      output.close();
    }
  }

  /** The line of {@code /proc/interrupts} that ends in {@code name}: number, counts, kind. */
  private static MatchResult line(GuestShell shell, String name) throws Exception {
    String all = shell.run("cat /proc/interrupts");
    return Pattern.compile("(?m)^ *(\\d+):((?: +\\d+)+) +(\\S+(?: +\\d+-\\w+)?) +.*" + name + "$")
        .matcher(all)
        .results()
        .findFirst()
        .orElseThrow(() -> new AssertionError(name + " in:\n" + all));
  }

  private static long[] counts(MatchResult line) {
    return Pattern.compile("\\d+")
        .matcher(line.group(2))
        .results()
        .mapToLong(count -> Long.parseLong(count.group()))
        .toArray();
  }

  private static String kind(MatchResult line) {
    return line.group(3).replaceAll(" +", " ");
  }

  private static void read(GuestShell shell, String device) throws Exception {
    assertEquals(
        "4096",
        shell.run(
            "echo "
                + device
                + " >/sys/class/misc/hw_random/rng_current; dd if=/dev/hwrng bs=64 count=64"
                + " 2>/dev/null | wc -c"));
  }

  @Test
  void everyQueueHasAMessageOfItsOwnThatFollowsItsAffinity() throws Exception {
    boot(
        2,
        "",
        shell -> {
          assertEquals("5", shell.run("ls /sys/bus/pci/devices | grep -c '00:0[1-5].0$'"));
          assertEquals("", shell.run("dmesg | grep -iE 'pci.*(fail|conflict|can.t|BAR.*no )'"));
          MatchResult before = line(shell, "virtio0-input");
          assertTrue(kind(before).startsWith("PCI-MSI"), kind(before));
          for (int cpu = 0; cpu < 2; cpu++) {
            shell.run("echo " + (1 << cpu) + " >/proc/irq/" + before.group(1) + "/smp_affinity");
            read(shell, "virtio_rng.0");
            long[] first = counts(line(shell, "virtio0-input"));
            read(shell, "virtio_rng.0");
            long[] then = counts(line(shell, "virtio0-input"));
            assertTrue(then[cpu] >= first[cpu] + 32, () -> then[0] + ", " + then[1]);
            assertEquals(first[1 - cpu], then[1 - cpu]);
          }
          line(shell, "virtio4-input");
        });
  }

  @Test
  void withoutMessagesDevicesShareALevelTriggeredPin() throws Exception {
    boot(
        2,
        "pci=nomsi",
        shell -> {
          MatchResult shared = line(shell, "virtio0, virtio4.*");
          assertEquals("IO-APIC 17-fasteoi", kind(shared));
          read(shell, "virtio_rng.0");
          read(shell, "virtio_rng.4");
          long count = 0;
          for (long one : counts(line(shell, "virtio0, virtio4.*"))) {
            count += one;
          }
          assertTrue(count >= 64, "interrupts: " + count);
          assertEquals("IO-APIC 18-fasteoi", kind(line(shell, "virtio1.*")));
        });
  }

  @Test
  void withoutTheIoApicThe8259PairTakesThePins() throws Exception {
    boot(
        1,
        "noapic pci=nomsi",
        shell -> {
          read(shell, "virtio_rng.0");
          read(shell, "virtio_rng.1");
          MatchResult eleven = line(shell, "virtio0, virtio2, virtio4.*");
          assertEquals("11", eleven.group(1));
          assertTrue(kind(eleven).startsWith("XT-PIC"), kind(eleven));
          assertTrue(counts(eleven)[0] >= 32);
          MatchResult ten = line(shell, "virtio1, virtio3.*");
          assertEquals("10", ten.group(1));
          assertTrue(counts(ten)[0] >= 32);
        });
  }
}
