package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.guest.DefaultGuest;
import dev.bothy.machine.MachineExit;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Debian's kernels, unmodified, on one and on two processors, up to a busybox shell. Each is booted
 * once on each engine; every boot checks all that can be seen from inside, and each ends in another
 * way.
 */
@Timeout(1800)
@Execution(ExecutionMode.CONCURRENT)
class DebianGuestTest {
  private static final String GENERIC_KERNEL = "linux-image-amd64";

  /** Of one host processor, for an idle or halted machine: spinning would be 1 or more. */
  private static final double IDLE_LIMIT = 0.25;

  @ParameterizedTest
  @ValueSource(strings = {Engines.INTERPRETER, Engines.TRANSLATOR})
  void cloudKernelOnOneProcessorRebootsAndEndsWithItsShell(String engine) throws Exception {
    try (Vm vm = boot(engine, DefaultGuest.CLOUD_KERNEL, 1).start()) {
      GuestShell shell = checked(vm, 1);
      shell.type("reboot");
      vm.console().expect("reboot: Restarting system", GuestShell.LONG);
      shell.awaitPrompt();
      assertEquals("1", shell.run("nproc"));
      shell.type("exit");
      assertInstanceOf(MachineExit.PoweredOff.class, vm.awaitExit());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.INTERPRETER, Engines.TRANSLATOR})
  void cloudKernelOnTwoProcessorsPowersOff(String engine) throws Exception {
    try (Vm vm = boot(engine, DefaultGuest.CLOUD_KERNEL, 2).start()) {
      checked(vm, 2).type("poweroff");
      assertInstanceOf(MachineExit.PoweredOff.class, vm.awaitExit());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.INTERPRETER, Engines.TRANSLATOR})
  void genericKernelOnOneProcessorHaltsAndStays(String engine) throws Exception {
    try (Vm vm = boot(engine, GENERIC_KERNEL, 1).start()) {
      checked(vm, 1).type("halt");
      vm.console().expect("reboot: System halted", GuestShell.LONG);
      assertIdle(vm);
      assertTrue(vm.running());
      vm.stop();
      assertInstanceOf(MachineExit.Stopped.class, vm.awaitExit());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.INTERPRETER, Engines.TRANSLATOR})
  void genericKernelOnTwoProcessorsEndsWithItsReset(String engine) throws Exception {
    try (Vm vm = boot(engine, GENERIC_KERNEL, 2).reboot(false).start()) {
      checked(vm, 2).type("reboot");
      assertInstanceOf(MachineExit.Reset.class, vm.awaitExit());
    }
  }

  private static Vm.Builder boot(String engine, String kernelPackage, int cpus) throws Exception {
    assumeTrue(Engines.refusal(engine).isEmpty(), () -> Engines.refusal(engine).orElseThrow());
    DefaultGuest guest = GuestShell.guest(kernelPackage);
    return Vm.builder()
        .name(kernelPackage + "-" + cpus + "-" + engine)
        .engine(engine)
        .kernel(guest.kernel())
        .initrd(guest.initrd())
        .append(guest.commandLine())
        .memory("512M")
        .cpus(cpus);
  }

  private static GuestShell checked(Vm vm, int cpus) throws Exception {
    GuestShell shell = new GuestShell(vm);
    shell.awaitPrompt();
    checkShellWork(shell);
    checkProcessors(shell, cpus);
    checkClocks(shell);
    checkDevices(shell);
    checkWarnings(shell);
    assertIdle(vm);
    return shell;
  }

  private static void checkShellWork(GuestShell shell) throws Exception {
    assertEquals("500500", shell.run("seq 1 1000 | awk '{ s += $1 } END { print s }'"));
    byte[] numbers =
        IntStream.rangeClosed(1, 2000)
            .mapToObj(i -> i + "\n")
            .collect(Collectors.joining())
            .getBytes(StandardCharsets.US_ASCII);
    String sum = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(numbers));
    // Twice at once, so that two processors have something to do.
    assertEquals(
        sum + "  -\n" + sum + "  -",
        shell.run("sh -c 'for i in 1 2; do seq 1 2000 | sha256sum & done; wait'"));
    assertEquals(
        "same",
        shell.run(
            "head -c 500000 /dev/urandom >/tmp/a; gzip -c /tmp/a | gunzip | cmp - /tmp/a && echo"
                + " same"));
    assertEquals("40", shell.run("for i in $(seq 40); do /bin/busybox echo $i; done | wc -l"));
  }

  private static void checkProcessors(GuestShell shell, int cpus) throws Exception {
    assertEquals(String.valueOf(cpus), shell.run("nproc"));
    assertEquals(
        cpus == 1 ? "0" : "0-" + (cpus - 1), shell.run("cat /sys/devices/system/cpu/online"));
    assertContains(shell.run("dmesg | grep 'Brought up'"), cpus == 1 ? "1 CPU" : cpus + " CPUs");
    for (int cpu = 0; cpu < cpus; cpu++) {
      assertEquals(
          String.valueOf(cpu),
          shell.run("taskset %x cut -d ' ' -f 39 /proc/self/stat".formatted(1 << cpu)));
    }
    String info = shell.run("cat /proc/cpuinfo");
    assertContains(info, "AuthenticAMD");
    Set<String> flags =
        Set.of(
            info.lines()
                .filter(line -> line.startsWith("flags"))
                .findFirst()
                .orElseThrow()
                .replaceFirst(".*: ", "")
                .split(" "));
    for (String flag :
        List.of(
            "lm",
            "nx",
            "sse4_2",
            "popcnt",
            "cx16",
            "lahf_lm",
            "x2apic",
            "tsc_deadline_timer",
            "constant_tsc",
            "smep",
            "smap",
            "hypervisor")) {
      assertTrue(flags.contains(flag), () -> flag + " in " + flags);
    }
    // Every processor's local timer ticks.
    String ticks = shell.run("grep LOC: /proc/interrupts");
    for (int cpu = 0; cpu < cpus; cpu++) {
      assertTrue(Long.parseLong(ticks.split("[: ]+")[1 + cpu]) > 0, ticks);
    }
  }

  private static void checkClocks(GuestShell shell) throws Exception {
    long before = Instant.now().getEpochSecond();
    long now = Long.parseLong(shell.run("date +%s"));
    long rtc = Long.parseLong(shell.run("cat /sys/class/rtc/rtc0/since_epoch"));
    long after = Instant.now().getEpochSecond();
    for (long time : new long[] {now, rtc}) {
      assertTrue(before - 3 <= time && time <= after + 3, before + " " + time + " " + after);
    }
    assertEquals("read", shell.run("hwclock -u >/dev/null && echo read"));
    assertContains(shell.run("dmesg | grep kvm-clock"), "kvm-clock: Using msrs");
    // Linux prefers the TSC itself where it is constant, as on any hypervisor.
    String sources =
        shell.run("cat /sys/devices/system/clocksource/clocksource0/[ac]*_clocksource");
    assertContains(sources, "kvm-clock");
    assertTrue(
        Set.of("tsc", "kvm-clock").contains(sources.lines().toList().getLast().strip()), sources);
  }

  private static void checkDevices(GuestShell shell) throws Exception {
    assertContains(shell.run("cat /proc/tty/driver/serial"), "0: uart:16550A port:000003F8 irq:4 ");
    String interrupts = shell.run("cat /proc/interrupts");
    for (String line :
        List.of(
            "IO-APIC 4-edge ttyS0",
            "IO-APIC 1-edge i8042",
            "IO-APIC 12-edge i8042",
            "IO-APIC 8-edge rtc0",
            "acpi")) {
      assertContains(interrupts.replaceAll(" +", " "), line);
    }
    long serial =
        interrupts
            .lines()
            .filter(line -> line.endsWith("ttyS0"))
            .flatMap(line -> List.of(line.strip().split(" +")).stream())
            .filter(word -> word.matches("\\d+"))
            .mapToLong(Long::parseLong)
            .sum();
    assertTrue(serial > 0, interrupts);
    assertEquals("0", shell.run("grep -c -E '^(ERR|MIS): *[1-9]' /proc/interrupts"));
    assertEquals("0x060000", shell.run("cat /sys/bus/pci/devices/0000:00:00.0/class"));
    assertContains(shell.run("dmesg | grep MMCONFIG"), "reserved in E820");
    assertContains(shell.run("dmesg | grep _OSC"), "OS now controls");
    assertContains(shell.run("ls /sys/bus/acpi/devices"), "LNXPWRBN:00");
    assertContains(shell.run("cat /sys/class/input/*/name"), "AT Translated Set 2 keyboard");
  }

  private static void checkWarnings(GuestShell shell) throws Exception {
    assertEquals("0", shell.run("cat /proc/sys/kernel/tainted"));
    List<String> ours = KernelWarnings.listed("ours");
    assertTrue(ours.size() <= 3, ours.toString());
    List<String> unknown = KernelWarnings.unknown(shell.run("dmesg -r"));
    String release = shell.run("uname -r");
    // A kernel that nobody compared yet may have a few that it shows everywhere.
    boolean compared =
        KernelWarnings.listed("release").stream().anyMatch(one -> release.startsWith(one + "-"));
    assertTrue(unknown.size() <= (compared ? 0 : 3 - ours.size()), release + ": " + unknown);
  }

  /** Measured on the machine's own threads: other tests run beside this one. */
  private static void assertIdle(Vm vm) throws InterruptedException {
    // What the guest has begun comes to its end.
    Thread.sleep(3000);
    long cpu = cpuNanos(vm);
    long wall = System.nanoTime();
    Thread.sleep(5000);
    double share = (double) (cpuNanos(vm) - cpu) / (System.nanoTime() - wall);
    System.out.printf("%s: %.2f %% of a processor when idle%n", vm.name(), 100 * share);
    assertTrue(share < IDLE_LIMIT, () -> "an idle guest takes " + share + " of a processor");
  }

  private static long cpuNanos(Vm vm) {
    ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().startsWith(vm.name() + "-"))
        .mapToLong(thread -> Math.max(0, threads.getThreadCpuTime(thread.threadId())))
        .sum();
  }

  private static void assertContains(String text, String part) {
    assertTrue(text.contains(part), () -> part + " in:\n" + text);
  }
}
