package dev.bothy.bench;

import dev.bothy.guest.CpioWriter;
import dev.bothy.guest.DefaultGuest;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * How long a Linux takes that runs on KVM inside another one, {@code bench/nested-start [--rounds
 * N]}: Debian's kernel with kvm-amd is booted in Bothy and in QEMU's TCG in turn, each with AMD's
 * SVM in software, and inside it the host's QEMU starts the same kernel with {@code -accel kvm}.
 * Both write to the outer machine's console; the time is the host's.
 */
final class NestedStart {
  private static final String BEGIN = "the outer guest begins";
  private static final String END = "the outer guest has ended";

  private static final List<String> MODULES = List.of("irqbypass", "kvm", "kvm-amd");

  /** What QEMU loads at its start, by name, from one of its folders. */
  private static final List<String> FIRMWARE =
      List.of("bios-256k.bin", "linuxboot_dma.bin", "kvmvapic.bin");

  private static final List<Path> FIRMWARE_FOLDERS =
      List.of(Path.of("/usr/share/seabios"), Path.of("/usr/share/qemu"));

  private static final Pattern LIBRARY = Pattern.compile("(/\\S+) \\(0x");

  /**
   * Without noxsave the inner guest's programs die of their first signal: QEMU before 8.2 does not
   * intercept XSETBV in its own guests.
   */
  private static final String INIT =
      """
      #!/bin/busybox sh
      /bin/busybox mount -t proc proc /proc
      /bin/busybox mount -t sysfs sys /sys
      /bin/busybox mount -t devtmpfs dev /dev
      for module in irqbypass kvm kvm-amd; do /bin/busybox insmod /kvm/$module.ko; done
      echo "%s"
      /usr/bin/qemu-system-x86_64 -accel kvm -cpu host -m 256 -nodefaults -nic none -display none \\
        -no-reboot -serial stdio -L /firmware -kernel /inner/kernel -initrd /inner/initrd \\
        -append "console=ttyS0 quiet noxsave"
      echo "%s"
      /bin/busybox poweroff -f
      """
          .formatted(BEGIN, END);

  private static final String APPEND = "console=ttyS0 quiet no_timer_check";

  /** Seconds of the outer guest's start, from the process's, and of the inner one's after it. */
  private record Times(double outer, double inner) {}

  private NestedStart() {}

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            "bench/nested-start [--rounds N] [--kernel FILE] [--busybox-root INITRD]",
            Set.of("rounds", "kernel", "busybox-root"));
    int rounds = options.number("rounds", 5);
    BootGuest guest = BootGuest.prepare(options, folder);
    Path initrd = initrd(guest, Files.readAllBytes(guest.initrd()), folder);
    HostReport.print("A Linux on KVM inside a machine");
    System.out.println(
        "Debian's cloud kernel with kvm-amd, 1 GiB, one vCPU, in Bothy's translator and in QEMU's"
            + " TCG; inside, QEMU on KVM boots the same kernel to the first line of its init."
            + " Seconds of the host; inner: from the start of the inner QEMU.\n");
    System.out.println("| round | TCG, outer | TCG, inner | Bothy, outer | Bothy, inner | ratio |");
    System.out.println("|---|---:|---:|---:|---:|---:|");
    List<Times> qemu = new ArrayList<>();
    List<Times> bothy = new ArrayList<>();
    for (int round = 1; round <= rounds; round++) {
      qemu.add(measure(qemuCommand(guest.kernel(), initrd), folder));
      bothy.add(measure(bothyCommand(home, guest.kernel(), initrd), folder));
      row(Integer.toString(round), qemu.getLast(), bothy.getLast());
    }
    row("median", median(qemu), median(bothy));
  }

  private static void row(String name, Times qemu, Times bothy) {
    System.out.printf(
        "| %s | %s | %s | %s | %s | %s |%n",
        name,
        Measured.fixed(2, qemu.outer),
        Measured.fixed(2, qemu.inner),
        Measured.fixed(2, bothy.outer),
        Measured.fixed(2, bothy.inner),
        Measured.fixed(2, bothy.inner / qemu.inner));
  }

  private static Times median(List<Times> rounds) {
    return new Times(
        Measured.of(rounds.stream().map(Times::outer).toList()).median(),
        Measured.of(rounds.stream().map(Times::inner).toList()).median());
  }

  private static Times measure(List<String> command, Path folder) throws IOException {
    long[] at = new long[3];
    StringBuilder seen = new StringBuilder();
    long start = System.nanoTime();
    try (var process = GuestProcess.plain(command, folder.resolve("nested-start.errors"))) {
      process.read(
          (line, time) -> {
            seen.append(line).append('\n');
            List<String> marks = List.of(BEGIN, BootGuest.LINE, END);
            for (int i = 0; i < marks.size(); i++) {
              if (at[i] == 0 && line.contains(marks.get(i))) {
                at[i] = time;
              }
            }
          });
    }
    if (at[0] == 0 || at[1] < at[0] || at[2] < at[1]) {
      throw new IOException(
          "it did not come to its end: " + String.join(" ", command) + "\n" + seen);
    }
    return new Times((at[0] - start) / 1e9, (at[1] - at[0]) / 1e9);
  }

  private static List<String> qemuCommand(Path kernel, Path initrd) {
    return words(
        "qemu-system-x86_64 -accel tcg -cpu max,+svm -m 1024 -nic none -nographic -no-reboot"
            + " -kernel %s -initrd %s -append".formatted(kernel, initrd));
  }

  private static List<String> bothyCommand(Path home, Path kernel, Path initrd) {
    return GuestProcess.bothyCommand(
        home,
        words(
            "--engine translator --cpu v2,+svm --memory 1024M --net none --no-reboot"
                + " --kernel %s --initrd %s --append".formatted(kernel, initrd)));
  }

  private static List<String> words(String command) {
    return Stream.concat(Stream.of(command.split(" ")), Stream.of(APPEND)).toList();
  }

  /** The busybox root with QEMU, what it needs, KVM's modules and the inner guest laid over it. */
  private static Path initrd(BootGuest guest, byte[] inner, Path folder)
      throws IOException, InterruptedException {
    Path target = folder.resolve("nested-start-initrd");
    Path qemu = Path.of("/usr/bin/qemu-system-x86_64");
    try (OutputStream out = Files.newOutputStream(target)) {
      out.write(inner);
      out.write(new byte[-inner.length & 3]);
      CpioWriter root = new CpioWriter(out);
      root.file("init", 0755, INIT.getBytes(StandardCharsets.US_ASCII));
      root.file("inner/kernel", 0644, Files.readAllBytes(guest.kernel()));
      root.file("inner/initrd", 0644, inner);
      root.file(relative(qemu), 0755, Files.readAllBytes(qemu));
      for (Path library : libraries(qemu)) {
        root.file(relative(library), 0755, Files.readAllBytes(library));
      }
      for (String name : FIRMWARE) {
        root.file("firmware/" + name, 0644, Files.readAllBytes(firmware(name)));
      }
      Path kernel = unpackKernel(folder);
      for (String module : MODULES) {
        root.file("kvm/" + module + ".ko", 0644, module(kernel, module));
      }
      root.close();
    }
    return target;
  }

  private static String relative(Path file) {
    return file.toString().substring(1);
  }

  private static Path firmware(String name) throws IOException {
    return FIRMWARE_FOLDERS.stream()
        .map(folder -> folder.resolve(name))
        .filter(Files::isReadable)
        .findFirst()
        .orElseThrow(() -> new IOException("QEMU's " + name + " is not there"));
  }

  private static List<Path> libraries(Path program) throws IOException, InterruptedException {
    return LIBRARY
        .matcher(new String(output("ldd", program.toString()), StandardCharsets.UTF_8))
        .results()
        .map(found -> Path.of(found.group(1)))
        .toList();
  }

  /** Unpacks the default guest's kernel package, and the one with the modules if there is. */
  private static Path unpackKernel(Path folder) throws IOException, InterruptedException {
    Path unpacked = folder.resolve("nested-start-kernel");
    for (String name : List.of("kernel.deb", "modules.deb")) {
      Path packed = DefaultGuest.cacheFolder().resolve("packages").resolve(name);
      if (Files.exists(packed)) {
        output("dpkg-deb", "-x", packed.toString(), unpacked.toString());
      }
    }
    return unpacked;
  }

  private static byte[] module(Path unpacked, String name) throws IOException {
    try (Stream<Path> files = Files.walk(unpacked)) {
      Path file =
          files
              .filter(path -> path.endsWith(name + ".ko"))
              .findFirst()
              .orElseThrow(() -> new IOException("the kernel has no module " + name));
      return Files.readAllBytes(file);
    }
  }

  private static byte[] output(String... command) throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    byte[] output = process.getInputStream().readAllBytes();
    if (process.waitFor() != 0) {
      throw new IOException("failed: " + String.join(" ", command));
    }
    return output;
  }
}
