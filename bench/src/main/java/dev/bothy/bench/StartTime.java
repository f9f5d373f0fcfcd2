package dev.bothy.bench;

import dev.bothy.EchoKernel;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * From the command to a guest's first byte, with the kernel that says something at once: where the
 * time goes, for {@link Exits}.
 */
final class StartTime {
  private static final Pattern FIRST_BYTE = Pattern.compile("\"firstSerialSeconds\" *: *([0-9.]+)");
  private static final double NANOS_A_MILLISECOND = 1e6;

  private StartTime() {}

  /** Prints a table, in milliseconds. */
  static void print(Path home, Path folder, String engine, int rounds)
      throws IOException, InterruptedException {
    Path kernel = Files.write(folder.resolve("echo.bin"), EchoKernel.image());
    Path statistics = folder.resolve("start.json");
    List<Double> command = new ArrayList<>();
    List<Double> machine = new ArrayList<>();
    List<Double> guest = new ArrayList<>();
    List<Double> all = new ArrayList<>();
    for (int i = 0; i < rounds; i++) {
      command.add(launcher(home));
      double total = start(home, kernel, engine, statistics);
      Matcher first = FIRST_BYTE.matcher(Files.readString(statistics));
      if (!first.find()) {
        throw new IOException("no time of the first byte in " + statistics);
      }
      guest.add(Double.parseDouble(first.group(1)) * 1000);
      machine.add(total - command.getLast() - guest.getLast());
      all.add(total);
    }
    System.out.printf(
        "%nFrom `bothy run --engine %s` to the guest's first byte, ms, medians of %d:%n%n",
        engine, rounds);
    System.out.println("| what | ms |\n|---|---:|");
    row("launcher and JVM, until it runs Java", command);
    row("command line, calls into the C library, engine, machine (the rest)", machine);
    row("from power-on to the first byte: loading, a vCPU's first instructions", guest);
    row("all", all);
  }

  private static void row(String what, List<Double> values) {
    System.out.printf("| %s | %s |%n", what, Measured.fixed(1, Measured.of(values).median()));
  }

  /** With a JVM that says its version and ends before it would begin with the command. */
  private static double launcher(Path home) throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder(home.resolve("bothy").toString(), "--version");
    builder.environment().put("BOTHY_JAVA_OPTIONS", "--version");
    builder.redirectOutput(ProcessBuilder.Redirect.DISCARD);
    long before = System.nanoTime();
    if (builder.start().waitFor() != 0) {
      throw new IOException("the JVM did not start");
    }
    return (System.nanoTime() - before) / NANOS_A_MILLISECOND;
  }

  private static double start(Path home, Path kernel, String engine, Path statistics)
      throws IOException, InterruptedException {
    List<String> options = new ArrayList<>();
    options.addAll(List.of("--engine", engine, "--memory", "2M", "--net", "none"));
    options.addAll(List.of("--kernel", kernel.toString()));
    options.addAll(List.of("--timeout", "60", "--stats", statistics.toString()));
    ProcessBuilder builder = new ProcessBuilder(GuestProcess.bothyCommand(home, options));
    builder.redirectError(ProcessBuilder.Redirect.INHERIT);
    long before = System.nanoTime();
    Process process = builder.start();
    try (InputStream out = process.getInputStream()) {
      if (out.read() < 0) {
        throw new IOException("the guest says nothing");
      }
      final double millis = (System.nanoTime() - before) / NANOS_A_MILLISECOND;
      process
          .getOutputStream()
          .write(String.valueOf(EchoKernel.POWER_OFF).getBytes(StandardCharsets.US_ASCII));
      process.getOutputStream().flush();
      out.readAllBytes();
      process.waitFor();
      return millis;
    } finally {
      process.destroyForcibly();
    }
  }
}
