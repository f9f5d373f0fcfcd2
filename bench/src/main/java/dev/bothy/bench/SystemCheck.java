package dev.bothy.bench;

import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.SimpleFileServer;
import com.sun.net.httpserver.SimpleFileServer.OutputLevel;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.Set;

/**
 * A Debian lives on a machine for a while, from debootstrap to a login, and is asked for what its
 * users would want: {@code bench/system}.
 */
final class SystemCheck {
  private static final String USAGE =
      """
      bench/system [option]...
        --steps LIST      some of %s; default all. The machine is switched on
                          and off in any case
        --engine NAME     default auto
        --cpus N          default 2
        --memory SIZE     default 1G
        --download MIB    how much is downloaded, default 300
        --seconds N       of each of stress-ng's programs, default 3
        --output FOLDER   for system.md and what the steps have said
        --keep            keeps the disk, too
      Ends with status 1 if a step failed. Wants root and debootstrap.\
      """
          .formatted(String.join(",", SystemSteps.NAMES));

  /** What became of a step. */
  private record Row(SystemSteps.Step step, boolean passed, double seconds, String note) {
    String markdown() {
      return "| %s | %s | %s | %s | %s |\n"
          .formatted(
              step.name(),
              step.what(),
              passed ? "passed" : "FAILED",
              Measured.fixed(1, seconds),
              note.strip().replace("|", "\\|").replaceAll("\\s*\\n\\s*", "; "));
    }
  }

  private static final int LONGEST_NOTE = 600;

  private SystemCheck() {}

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            USAGE,
            Set.of("steps", "engine", "cpus", "memory", "download", "seconds", "output"),
            Set.of("keep"));
    List<String> names =
        List.of(options.text("steps", String.join(",", SystemSteps.NAMES)).split(","));
    for (String name : names) {
      if (!SystemSteps.NAMES.contains(name)) {
        throw new IllegalArgumentException(
            "no step \"" + name + "\": give some of " + String.join(",", SystemSteps.NAMES));
      }
    }
    String today = LocalDate.now(ZoneOffset.UTC).toString();
    Path output = Path.of(options.text("output", folder.resolve("system-" + today).toString()));
    DebianRoot.delete(output);
    Files.createDirectories(output);
    String host = HostReport.of("A Debian system");
    SystemMachine.Setting setting =
        new SystemMachine.Setting(
            home,
            DebianDisk.prepare(home),
            options.text("engine", "auto"),
            options.number("cpus", 2),
            options.text("memory", "1G"),
            names.contains("share") || names.contains("stress"));
    Path served = Files.createDirectories(output.resolve("served"));
    Path data = served.resolve("data");
    String sum = writeRandom(data, options.number("download", 300));
    HttpServer server =
        SimpleFileServer.createFileServer(
            new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
            served.toRealPath(),
            OutputLevel.NONE);
    server.start();
    List<Row> rows;
    try (SystemMachine machine = new SystemMachine(setting, output.toRealPath())) {
      SystemSteps steps =
          new SystemSteps(
              machine,
              setting,
              new SystemSteps.Served(data, sum, server.getAddress().getPort()),
              options.number("seconds", 3));
      rows = take(steps.chosen(names), machine);
    } finally {
      server.stop(0);
    }
    boolean failed = rows.stream().anyMatch(row -> !row.passed);
    if (!options.flag("keep")) {
      DebianRoot.delete(served);
      Files.deleteIfExists(output.resolve("disk.qcow2"));
      DebianRoot.delete(output.resolve("shared"));
    }
    StringBuilder text = new StringBuilder(host);
    text.append(
        "\n`bench/system %s`: Debian on a disk, `--engine %s --cpus %d --memory %s`.\n\n"
            .formatted(
                String.join(" ", arguments), setting.engine(), setting.cpus(), setting.memory()));
    text.append("| step | what | result | seconds | |\n|---|---|---|---:|---|\n");
    rows.forEach(row -> text.append(row.markdown()));
    Files.writeString(output.resolve("system.md"), text);
    System.out.print(text);
    System.err.println("bench: written to " + output);
    if (failed) {
      throw new IOException("steps failed");
    }
  }

  /** Takes the steps in turn; behind one that leaves no shell, there are no more. */
  private static List<Row> take(List<SystemSteps.Step> steps, SystemMachine machine)
      throws IOException, InterruptedException {
    List<Row> rows = new ArrayList<>();
    for (SystemSteps.Step step : steps) {
      long begin = System.nanoTime();
      boolean passed = false;
      String note;
      try {
        note = step.body().take();
        passed = true;
      } catch (IOException e) {
        note = String.valueOf(e.getMessage());
        Files.writeString(machine.folder().resolve(step.name() + "-failed.txt"), note + "\n");
        machine.keepConsole();
      }
      if (note.length() > LONGEST_NOTE) {
        note = note.substring(0, LONGEST_NOTE) + " ...";
      }
      Row row = new Row(step, passed, (System.nanoTime() - begin) / 1e9, note);
      rows.add(row);
      System.err.printf(
          Locale.ROOT,
          "bench: %-9s %s after %.1f s: %s%n",
          step.name(),
          passed ? "passed" : "FAILED",
          row.seconds,
          note);
      if (!passed && (machine.shell() == null || !machine.shell().answers())) {
        break;
      }
    }
    return rows;
  }

  /** Returns the content's SHA-256. */
  private static String writeRandom(Path file, int mib)
      throws IOException, NoSuchAlgorithmException {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    Random random = new Random();
    byte[] piece = new byte[1 << 20];
    try (OutputStream out = Files.newOutputStream(file)) {
      for (int i = 0; i < mib; i++) {
        random.nextBytes(piece);
        digest.update(piece);
        out.write(piece);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }
}
