package dev.bothy.bench;

import dev.bothy.bench.GuestShell.Answer;
import dev.bothy.bench.SystemMachine.Ended;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/** The steps of {@code bench/system}, in their order. For one thread. */
final class SystemSteps {
  /** Something to be seen. */
  interface Body {
    /**
     * @return what is worth telling
     * @throws IOException if it was not as it should be, and why
     */
    String take() throws IOException, InterruptedException;
  }

  /** A step by its name. */
  record Step(String name, String what, Body body) {}

  /**
   * A file that the host's web server has.
   *
   * @param sum its SHA-256
   * @param port of the server, on the loopback address
   */
  record Served(Path file, String sum, int port) {}

  /** The names of all that are chosen from. */
  static final List<String> NAMES =
      List.of(
          "units",
          "kernel",
          "address",
          "names",
          "apt",
          "ssh",
          "download",
          "disk",
          "share",
          "stress",
          "reboot",
          "kill");

  private static final int BOOT_SECONDS = 600;
  private static final int SHORT = 120;
  private static final int LONG = 900;
  private static final int CLOCK_SECONDS = 5;
  private static final int COPY_MIB = 32;
  private static final int PIECES = 60;
  private static final int POWER_OFF_SECONDS = 300;

  /** What apt installs: small, and with a library. */
  private static final String PACKAGE = "jq";

  /** The partition's offset in the disk, as bench/debian/system makes it. */
  private static final int PARTITION = 1 << 20;

  private final SystemMachine machine;
  private final SystemMachine.Setting setting;
  private final Served served;
  private final ShareSteps share;
  private final FileTime baseTime;

  SystemSteps(SystemMachine machine, SystemMachine.Setting setting, Served served, int seconds)
      throws IOException {
    this.machine = machine;
    this.setting = setting;
    this.served = served;
    share = new ShareSteps(machine, seconds);
    baseTime = Files.getLastModifiedTime(setting.disk().image());
  }

  /** The steps of these names, between power-on and power-off. */
  List<Step> chosen(List<String> names) {
    List<Step> steps = new ArrayList<>();
    steps.add(new Step("boot", "power-on to a login at the serial console", this::boot));
    for (Step step :
        List.of(
            new Step("units", "systemd: running, no failed unit, no time-out", this::units),
            new Step("kernel", "errors and warnings in the kernel's log", this::kernel),
            new Step("address", "an address by DHCP, and one by IPv6", this::address),
            new Step("names", "names by the relay", this::names),
            new Step("apt", "apt-get update, apt-get install", this::apt),
            new Step("ssh", "ssh and data through the forwarded port", this::ssh),
            new Step("download", "a file of the host's loopback, checksummed", this::download),
            new Step("disk", "the same from the disk, fio with checksums", this::disk),
            new Step("share", "a shared folder mounted, fio with checksums", share::share),
            new Step("stress", "stress-ng's filesystem class on it", share::stress),
            new Step("reboot", "reboot; the file is there", this::reboot),
            new Step("kill", "SIGKILL while it writes; the file is there", this::kill))) {
      if (names.contains(step.name())) {
        steps.add(step);
      }
    }
    steps.add(new Step("off", "power-off; image and file system are clean", this::off));
    return steps;
  }

  private String boot() throws IOException, InterruptedException {
    machine.start();
    double login = machine.shell().login(BOOT_SECONDS);
    must(
        "mkdir -p -m 700 ~/.ssh; cat >~/.ssh/authorized_keys <<END\n" + publicKey() + "\nEND",
        SHORT);
    long clock = Long.parseLong(must("date +%s", SHORT));
    if (Math.abs(clock - Instant.now().getEpochSecond()) > CLOCK_SECONDS) {
      throw new IOException("the guest's clock says " + Instant.ofEpochSecond(clock));
    }
    return "login after " + Measured.fixed(1, login) + " s; " + must("uname -sr", SHORT);
  }

  private String publicKey() throws IOException {
    return Files.readString(machine.folder().resolve("key.pub")).strip();
  }

  private String units() throws IOException, InterruptedException {
    Answer state = machine.shell().run("systemctl is-system-running --wait", BOOT_SECONDS);
    String times =
        must(
            "systemd-analyze; systemd-analyze blame | head -40; systemd-analyze critical-chain",
            SHORT);
    keep("units", times);
    if (!state.output().equals("running")) {
      throw new IOException(
          state.output()
              + ": "
              + machine.shell().run("systemctl --failed --no-legend", SHORT).output());
    }
    String late =
        machine
            .shell()
            .run("journalctl -b --no-pager | grep -iE 'timed out|time-out'", SHORT)
            .output();
    if (!late.isEmpty()) {
      throw new IOException(late);
    }
    return times.lines().findFirst().orElse("");
  }

  private String kernel() throws IOException, InterruptedException {
    String warnings = must("dmesg --level=emerg,alert,crit,err,warn", SHORT);
    String all = must("dmesg", SHORT);
    keep("kernel", warnings + "\n\nall:\n" + all);
    List<String> troubles = KernelLog.troubles(all);
    if (!troubles.isEmpty()) {
      throw new IOException(String.join("\n", troubles));
    }
    return warnings.isEmpty() ? "none" : warnings;
  }

  private String address() throws IOException, InterruptedException {
    String addresses =
        must("ip -brief address; ip route; ip -6 route; cat /etc/resolv.conf", SHORT);
    keep("address", addresses);
    for (String wanted :
        List.of("10.0.2.15/24", "default via 10.0.2.2", "fec0:", "nameserver 10.0.2.3")) {
      if (!addresses.contains(wanted)) {
        throw new IOException("no " + wanted + " in:\n" + addresses);
      }
    }
    return must("ip -brief address | grep -v ^lo", SHORT).replaceAll(" +", " ");
  }

  private String names() throws IOException, InterruptedException {
    String host =
        must("awk '{ split($2, a, \"[/:]+\"); print a[2]; exit }' /etc/apt/sources.list", SHORT);
    String found = must("getent ahosts " + host, SHORT);
    Answer none = machine.shell().run("getent ahosts no-such-name.invalid", SHORT);
    if (none.status() == 0) {
      throw new IOException("a name that is not there has an address: " + none.output());
    }
    return host + " is " + found.split("\\s", 2)[0];
  }

  private String apt() throws IOException, InterruptedException {
    keep("apt-update", must("apt-get update", LONG));
    keep(
        "apt-install",
        must(
            "DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 install "
                + PACKAGE,
            LONG));
    String answer = must("echo '{\"bothy\":[1,2,42]}' | " + PACKAGE + " '.bothy[2]'", SHORT);
    if (!answer.equals("42")) {
      throw new IOException(PACKAGE + " says " + answer);
    }
    return must("dpkg-query -W " + PACKAGE, SHORT).replace('\t', ' ');
  }

  private String ssh() throws IOException, InterruptedException {
    String name = host(machine.ssh("hostname"));
    if (!name.equals("bench")) {
      throw new IOException("ssh to a machine that is called " + name);
    }
    Path sent = machine.folder().resolve("sent");
    Path back = machine.folder().resolve("back");
    try {
      try (var in = Files.newInputStream(served.file())) {
        Files.write(sent, in.readNBytes(COPY_MIB << 20));
      }
      host(machine.copy(sent.toString(), ":copied"));
      host(machine.copy(":copied", back.toString()));
      if (Files.mismatch(sent, back) >= 0) {
        throw new IOException("what came back differs from what was sent");
      }
    } finally {
      Files.deleteIfExists(sent);
      Files.deleteIfExists(back);
    }
    return COPY_MIB + " MiB by scp, there and back";
  }

  private String download() throws IOException, InterruptedException {
    String speed =
        must(
            "curl -sS -o /root/data -w '%{speed_download}' http://10.0.2.2:"
                + served.port()
                + "/"
                + served.file().getFileName(),
            LONG);
    compare("sha256sum /root/data");
    return Measured.fixed(1, Double.parseDouble(speed) / 1e6) + " MB/s";
  }

  private void compare(String command) throws IOException, InterruptedException {
    String found = must(command, LONG);
    if (!found.startsWith(served.sum())) {
      throw new IOException("it is not the file: " + found);
    }
  }

  /** The file, if no earlier step has brought it. */
  private void haveFile() throws IOException, InterruptedException {
    if (machine.shell().run("[ -e /root/data ]", SHORT).status() != 0) {
      download();
    }
  }

  private String disk() throws IOException, InterruptedException {
    haveFile();
    must("sync; echo 3 >/proc/sys/vm/drop_caches", LONG);
    compare("sha256sum /root/data");
    must(ShareSteps.fio("/root/fio"), LONG);
    return must("rm -r /root/fio; fstrim -v /", LONG);
  }

  private String reboot() throws IOException, InterruptedException {
    haveFile();
    must("sync", LONG);
    machine.shell().start("systemctl reboot");
    machine.shell().await("reboot: Restarting system", POWER_OFF_SECONDS);
    double before = machine.shell().process().age();
    double login = machine.shell().login(BOOT_SECONDS);
    compare("sha256sum /root/data");
    return "login %s s after the reset".formatted(Measured.fixed(1, login - before));
  }

  /** What the guest was told to be on the disk, it says at its console; all that is there later. */
  private String kill() throws IOException, InterruptedException {
    haveFile();
    must("cp /root/data /root/synced; sync", LONG);
    machine.shell().start("while cp /root/data /root/unsynced; do true; done &");
    machine
        .shell()
        .start(
            "i=0; while dd if=/root/data of=/root/piece-$i bs=1M skip=$((i % 16)) count=1"
                + " conv=fsync status=none; do echo \"piece $i is there\"; i=$((i + 1)); done");
    machine.shell().await("piece " + PIECES + " is there\n", LONG);
    machine.kill();
    String check = checkImage();
    machine.start();
    machine.shell().login(BOOT_SECONDS);
    compare("sha256sum /root/synced");
    compare("sha256sum /root/data");
    must(
        "for i in $(seq 0 %d); do cmp -n 1048576 -i $(((i %% 16) << 20)):0 /root/data /root/piece-$i || exit 1; done"
            .formatted(PIECES),
        LONG);
    String fsck = must("cat /run/initramfs/fsck.log; dmesg | grep EXT4-fs", SHORT);
    keep("kill", fsck);
    if (!fsck.contains("recover")) {
      throw new IOException("the journal was not replayed: " + fsck);
    }
    must("rm -f /root/piece-* /root/synced /root/unsynced", SHORT);
    return check + "; journal replayed";
  }

  private String off() throws IOException, InterruptedException {
    machine.shell().start("systemctl poweroff");
    OptionalInt status = machine.shell().status(POWER_OFF_SECONDS);
    machine.end();
    if (status.isEmpty() || status.getAsInt() != 0) {
      throw new IOException("the process ended with " + status);
    }
    String check = checkImage();
    Path raw = machine.folder().resolve("disk.raw");
    try {
      host(
          setting.home().resolve("bothy").toString(),
          "disk",
          "convert",
          machine.image().toString(),
          raw.toString());
      Ended fsck =
          machine.host(Duration.ofSeconds(LONG), "e2fsck", "-fn", raw + "?offset=" + PARTITION);
      keep("e2fsck", fsck.output());
      if (fsck.status() != 0) {
        throw new IOException(fsck.output());
      }
    } finally {
      Files.deleteIfExists(raw);
    }
    if (!Files.getLastModifiedTime(setting.disk().image()).equals(baseTime)) {
      throw new IOException("the backing file was written to");
    }
    return check + "; e2fsck finds nothing";
  }

  /** Both ways to look at the disk's image, while no machine has it. */
  private String checkImage() throws IOException, InterruptedException {
    host(setting.home().resolve("bothy").toString(), "disk", "check", machine.image().toString());
    return host("qemu-img", "check", machine.image().toString()).lines().findFirst().orElse("");
  }

  private String host(String... command) throws IOException, InterruptedException {
    Ended ended = machine.host(Duration.ofSeconds(LONG), command);
    if (ended.status() != 0) {
      throw new IOException(Shell.line(List.of(command)) + ": " + ended.output());
    }
    return ended.output();
  }

  private String must(String line, int seconds) throws IOException, InterruptedException {
    return machine.must(line, seconds);
  }

  private void keep(String name, String text) throws IOException {
    Files.writeString(machine.folder().resolve(name + ".txt"), text + "\n");
  }
}
