package dev.bothy.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.StringJoiner;

/**
 * Time from the start of the process to the first line of a busybox init: {@code bench/boot
 * [--rounds N]}. Each round boots Bothy with an empty cache folder, then again with what that has
 * kept there.
 */
final class Boot {
  private Boot() {}

  /** Arguments: Bothy's checkout, a folder for files, the user's options. */
  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            "bench/boot [--rounds N] [--kernel FILE] [--busybox-root INITRD]",
            Set.of("rounds", "kernel", "busybox-root"));
    int rounds = options.number("rounds", 5);
    BootGuest guest = BootGuest.prepare(options, folder);
    HostReport.print("Boot to the first line of init");
    System.out.println(
        "Debian's cloud kernel, 512 MiB, one vCPU, `console=ttyS0 quiet`, from the start of the"
            + " process; seconds. First: with an empty cache folder; second: with what the first"
            + " has kept there.\n");
    System.out.println("| round | QEMU TCG | Bothy, first | ratio | Bothy, second | ratio |");
    System.out.println("|---|---:|---:|---:|---:|---:|");
    List<Double> qemu = new ArrayList<>();
    List<Double> first = new ArrayList<>();
    List<Double> second = new ArrayList<>();
    for (int round = 1; round <= rounds; round++) {
      try (var process =
          GuestProcess.qemu(guest.kernel(), guest.initrd(), BootGuest.COMMAND_LINE)) {
        qemu.add(process.secondsUntil(BootGuest.LINE));
      }
      Path cache = Files.createTempDirectory(folder, "cache");
      first.add(bothy(home, guest, cache));
      second.add(bothy(home, guest, cache));
      row(Integer.toString(round), qemu.getLast(), first.getLast(), second.getLast());
    }
    row(
        "median",
        Measured.of(qemu).median(),
        Measured.of(first).median(),
        Measured.of(second).median());
  }

  private static double bothy(Path home, BootGuest guest, Path cache) throws Exception {
    try (var process =
        GuestProcess.bothy(home, guest.kernel(), guest.initrd(), BootGuest.COMMAND_LINE, cache)) {
      return process.secondsUntil(BootGuest.LINE);
    }
  }

  private static void row(String name, double qemu, double first, double second) {
    StringJoiner cells = new StringJoiner(" | ", "| " + name + " | ", " |");
    for (double value : new double[] {qemu, first, first / qemu, second, second / qemu}) {
      cells.add(Measured.fixed(2, value));
    }
    System.out.println(cells);
  }
}
