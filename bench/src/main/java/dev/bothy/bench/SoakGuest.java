package dev.bothy.bench;

import dev.bothy.EchoKernel;
import dev.bothy.bench.ConsoleRun.End;
import dev.bothy.bench.ConsoleRun.Turn;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A guest that {@code bench/soak} boots, from power-on to power-off.
 *
 * @param name for the user
 * @param what it is
 * @param options of {@code ./bothy run}, without engine and processors
 * @param turns at its console
 * @param says what else it must have said by its end; "%d" is the number of processors
 */
record SoakGuest(
    String name, String what, List<String> options, List<Turn> turns, List<String> says) {
  private static final String PROMPT = "/root # ";
  private static final String POWER_DOWN = "reboot: Power down";
  private static final int ECHO_ADDRESS = 0x10_0000;
  private static final int ECHO_ENTRY = 32;

  /** Arithmetic, pipes, two processes at once, and many short ones. */
  private static final String WORK =
      "seq 1 1000 | awk '{ s += $1 } END { print s }'; "
          + "sh -c 'for i in 1 2; do seq 1 2000 | md5sum & done; wait'; "
          + "for i in $(seq 40); do /bin/busybox echo $i; done | wc -l; "
          + "echo processors=$(nproc); ";

  private static final List<String> WORKED =
      List.of("\n500500\n", "\n40\n", "processors=%d\n", POWER_DOWN);

  /** The names of all, in the order in which they are told. */
  static final List<String> NAMES =
      List.of("cloud", "reboot", "generic", "systemd", "multiboot", "pvh");

  SoakGuest {
    options = List.copyOf(options);
    turns = List.copyOf(turns);
    says = List.copyOf(says);
  }

  /**
   * Makes what a guest needs.
   *
   * @param folder for files
   * @throws IOException if it cannot be had here
   */
  static SoakGuest prepare(String name, Path home, Path folder)
      throws IOException, InterruptedException {
    List<Turn> work = List.of(Turn.type(PROMPT, WORK + "exit\n"));
    return switch (name) {
      case "cloud" -> {
        DefaultGuest.prepare(Progress.NONE);
        yield new SoakGuest(
            name,
            "the default guest: Debian's cloud kernel, busybox",
            List.of("--memory", "512M"),
            work,
            WORKED);
      }
      case "reboot" -> {
        DefaultGuest.prepare(Progress.NONE);
        List<Turn> turns = new ArrayList<>();
        turns.add(Turn.type(PROMPT, "reboot\n"));
        turns.add(Turn.type("reboot: Restarting system", ""));
        turns.addAll(work);
        yield new SoakGuest(
            name, "the same, reset once by itself", List.of("--memory", "512M"), turns, WORKED);
      }
      case "generic" -> {
        DefaultGuest guest = DefaultGuest.withKernel("linux-image-amd64", Progress.NONE);
        yield new SoakGuest(
            name,
            "Debian's generic kernel, busybox",
            linux("512M", guest.kernel(), guest.initrd(), guest.commandLine()),
            work,
            WORKED);
      }
      case "systemd" -> systemd(DebianRoot.prepare(home));
      case "multiboot" ->
          echo(
              name,
              "a Multiboot kernel of a hundred bytes",
              Files.write(folder.resolve("echo-multiboot"), EchoKernel.image()));
      case "pvh" ->
          echo(
              name,
              "the same by PVH",
              Files.write(
                  folder.resolve("echo-pvh"),
                  PvhKernel.around(EchoKernel.image(), ECHO_ADDRESS, ECHO_ENTRY)));
      default ->
          throw new IllegalArgumentException(
              "no guest \"" + name + "\": give some of " + String.join(",", NAMES));
    };
  }

  /** Debian with systemd as its init, from memory, to a login and back. */
  static SoakGuest systemd(DebianRoot debian) {
    return new SoakGuest(
        "systemd",
        "Debian with systemd, to a login, 2 GiB",
        linux("2G", debian.kernel(), debian.initrd(), "console=ttyS0"),
        List.of(
            Turn.type("bench login: ", "root\n"),
            Turn.type(
                "root@bench:~# ",
                "systemctl is-system-running --wait; echo processors=$(nproc);"
                    + " systemctl poweroff\n")),
        List.of("running\n", "processors=%d\n", POWER_DOWN));
  }

  private static SoakGuest echo(String name, String what, Path kernel) {
    return new SoakGuest(
        name,
        what,
        List.of("--memory", "16M", "--kernel", kernel.toString()),
        List.of(
            Turn.type(EchoKernel.PROMPT, "what is typed"),
            Turn.type("what is typed", String.valueOf(EchoKernel.POWER_OFF))),
        List.of());
  }

  private static List<String> linux(String memory, Path kernel, Path initrd, String append) {
    return List.of(
        "--memory",
        memory,
        "--kernel",
        kernel.toString(),
        "--initrd",
        initrd.toString(),
        "--append",
        append);
  }

  /** What was wrong with a boot; nothing, if it was as it should be. */
  List<String> faults(End end, int cpus) {
    List<String> faults = new ArrayList<>();
    if (end.hung()) {
      faults.add("no end after %.0f s".formatted(end.seconds()));
    }
    if (end.turns() < turns.size()) {
      faults.add("never said \"" + turns.get(end.turns()).expected() + "\"");
    }
    if (end.status().isEmpty()) {
      faults.add("had to be killed");
    } else if (end.status().getAsInt() != 0 && !end.hung()) {
      faults.add("status " + end.status().getAsInt());
    }
    for (String text : says) {
      String wanted = text.replace("%d", Integer.toString(cpus));
      if (!end.console().contains(wanted)) {
        faults.add("never said \"" + wanted.strip() + "\"");
      }
    }
    faults.addAll(KernelLog.troubles(end.console()));
    return faults;
  }
}
