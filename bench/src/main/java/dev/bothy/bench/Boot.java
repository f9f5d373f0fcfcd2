package dev.bothy.bench;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Time from the start of the process to the first line of a busybox init: {@code bench/boot
 * [--rounds N]}.
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
            + " process; seconds.\n");
    System.out.println("| round | QEMU TCG | Bothy | ratio |");
    System.out.println("|---|---:|---:|---:|");
    List<Double> qemu = new ArrayList<>();
    List<Double> bothy = new ArrayList<>();
    for (int round = 1; round <= rounds; round++) {
      try (var process =
          GuestProcess.qemu(guest.kernel(), guest.initrd(), BootGuest.COMMAND_LINE)) {
        qemu.add(process.secondsUntil(BootGuest.LINE));
      }
      try (var process =
          GuestProcess.bothy(home, guest.kernel(), guest.initrd(), BootGuest.COMMAND_LINE)) {
        bothy.add(process.secondsUntil(BootGuest.LINE));
      }
      row(Integer.toString(round), qemu.getLast(), bothy.getLast());
    }
    row("median", Measured.of(qemu).median(), Measured.of(bothy).median());
  }

  private static void row(String name, double qemu, double bothy) {
    System.out.println(
        "| "
            + name
            + " | "
            + Measured.fixed(2, qemu)
            + " | "
            + Measured.fixed(2, bothy)
            + " | "
            + Measured.fixed(2, bothy / qemu)
            + " |");
  }
}
