package dev.bothy.bench;

import dev.bothy.Engines;
import dev.bothy.Vm;
import dev.bothy.guest.CpioWriter;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.Progress;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.function.ObjLongConsumer;

/**
 * Guest programs after a warm-up on the host itself, under QEMU and under Bothy: {@code
 * bench/programs [NAME]...}. Their source is in {@code bench/guest}. Time is taken when their lines
 * arrive; Bothy counts the instructions between them, the little that the kernel does meanwhile
 * included.
 */
final class Programs {
  private Programs() {}

  /**
   * One program on one system.
   *
   * @param seconds for one repetition
   * @param instructions of one repetition, 0 if nobody counts
   * @param result what it computed
   */
  private record Run(double seconds, double instructions, String result) {}

  /** Makes runs out of a program's lines. */
  private static final class Collector implements ObjLongConsumer<String> {
    final Map<String, Run> runs = new LinkedHashMap<>();
    private final LongSupplier instructions;
    private long beganAt;
    private long beganInstructions;

    Collector(LongSupplier instructions) {
      this.instructions = instructions;
    }

    @Override
    public void accept(String line, long time) {
      String[] words = line.strip().split(" ");
      if (words.length >= 2 && words[1].equals("begin")) {
        beganInstructions = instructions.getAsLong();
        beganAt = time;
      } else if (words.length == 4 && words[1].equals("end")) {
        long count = instructions.getAsLong() - beganInstructions;
        double repeats = Double.parseDouble(words[2]);
        runs.put(
            lastWord(words[0]),
            new Run((time - beganAt) / 1e9 / repeats, count / repeats, words[3]));
      }
    }

    /** Firmware may have left control sequences before the first line. */
    private static String lastWord(String word) {
      return word.replaceAll(".*[^a-z0-9-]", "");
    }
  }

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            "bench/programs [--rounds N] [--seconds N] [--kernel FILE] [NAME]...",
            Set.of("rounds", "seconds", "kernel"));
    int rounds = options.number("rounds", 3);
    int seconds = options.number("seconds", 3);
    DefaultGuest guest = DefaultGuest.prepare(Progress.NONE);
    Path kernel = options.file("kernel", guest.kernel());
    Path program = compile(home, folder);
    Path initrd = folder.resolve("programs-initrd");
    try (CpioWriter cpio = new CpioWriter(Files.newOutputStream(initrd))) {
      cpio.characterDevice("dev/console", 5, 1);
      cpio.file("init", 0755, Files.readAllBytes(program));
    }
    List<String> words = new ArrayList<>();
    words.add(Integer.toString(seconds));
    words.add(Integer.toString(seconds));
    words.addAll(options.words());
    String append = BootGuest.COMMAND_LINE + " -- " + String.join(" ", words);
    words.addFirst(program.toString());

    HostReport.print("Guest programs");
    System.out.println(
        "`gcc -O2 -static` ("
            + HostReport.firstLine("gcc", "--version")
            + "), after "
            + seconds
            + " s of warm-up, measured for "
            + seconds
            + " s; milliseconds for one repetition and millions of guest instructions a second,"
            + " medians of "
            + rounds
            + " rounds.\n");
    List<Map<String, Run>> host = new ArrayList<>();
    List<Map<String, Run>> qemu = new ArrayList<>();
    List<Map<String, Run>> bothy = new ArrayList<>();
    for (int round = 0; round < rounds; round++) {
      host.add(collect(GuestProcess.plain(words)));
      qemu.add(collect(GuestProcess.qemu(kernel, initrd, append)));
      bothy.add(onBothy(kernel, initrd, append));
    }
    print(host, qemu, bothy);
  }

  private static Path compile(Path home, Path folder) throws IOException, InterruptedException {
    Path program = folder.resolve("programs");
    List<String> command =
        new ArrayList<>(List.of("gcc", "-O2", "-static", "-o", program.toString()));
    try (var sources = Files.newDirectoryStream(home.resolve("bench/guest"), "*.c")) {
      sources.forEach(source -> command.add(source.toString()));
    }
    command.add("-lm");
    Process process = new ProcessBuilder(command).inheritIO().start();
    if (process.waitFor() != 0) {
      throw new IOException("gcc failed");
    }
    return program;
  }

  private static Map<String, Run> collect(GuestProcess process) throws IOException {
    Collector collector = new Collector(() -> 0);
    try (process) {
      process.read(collector);
    }
    return collector.runs;
  }

  private static Map<String, Run> onBothy(Path kernel, Path initrd, String append)
      throws Exception {
    Vm[] machine = {null};
    Collector collector = new Collector(() -> machine[0].statistics().instructions());
    try (Vm vm =
        Vm.builder()
            .engine(Engines.INTERPRETER)
            .kernel(kernel)
            .initrd(initrd)
            .append(append)
            .memory("512M")
            .reboot(false)
            .consoleStream(new Lines(collector))
            .build()) {
      machine[0] = vm;
      vm.start();
      vm.awaitExit();
    }
    return collector.runs;
  }

  /** Splits what it gets into lines. */
  private static final class Lines extends OutputStream {
    private final ObjLongConsumer<String> lines;
    private final ByteArrayOutputStream line = new ByteArrayOutputStream();

    Lines(ObjLongConsumer<String> lines) {
      this.lines = lines;
    }

    @Override
    public void write(int value) {
      if (value == '\n') {
        lines.accept(line.toString(StandardCharsets.ISO_8859_1), System.nanoTime());
        line.reset();
      } else {
        line.write(value);
      }
    }
  }

  private static void print(
      List<Map<String, Run>> host, List<Map<String, Run>> qemu, List<Map<String, Run>> bothy) {
    System.out.println(
        "| program | instructions, M | native, ms | QEMU TCG, ms | Bothy, ms | Bothy / TCG | TCG,"
            + " MIPS | Bothy, MIPS |");
    System.out.println("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (String name : host.getFirst().keySet()) {
      String result = host.getFirst().get(name).result();
      double nativeTime = seconds(host, name, result).median();
      double qemuTime = seconds(qemu, name, result).median();
      double bothyTime = seconds(bothy, name, result).median();
      double instructions =
          Measured.of(bothy.stream().map(runs -> runs.get(name).instructions()).toList()).median();
      System.out.println(
          "| "
              + String.join(
                  " | ",
                  name,
                  Measured.fixed(2, instructions / 1e6),
                  Measured.fixed(2, nativeTime * 1e3),
                  Measured.fixed(2, qemuTime * 1e3),
                  Measured.fixed(2, bothyTime * 1e3),
                  Measured.fixed(1, bothyTime / qemuTime),
                  Measured.fixed(0, instructions / qemuTime / 1e6),
                  Measured.fixed(0, instructions / bothyTime / 1e6))
              + " |");
    }
  }

  private static Measured seconds(List<Map<String, Run>> rounds, String name, String result) {
    return Measured.of(
        rounds.stream()
            .map(
                runs -> {
                  Run run = runs.get(name);
                  if (run == null || !run.result().equals(result)) {
                    throw new UncheckedIOException(
                        new IOException(name + " came to another result: " + run));
                  }
                  return run.seconds();
                })
            .toList());
  }
}
