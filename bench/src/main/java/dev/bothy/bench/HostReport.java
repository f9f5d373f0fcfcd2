package dev.bothy.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;

/** What a result was measured on, as Markdown. */
final class HostReport {
  private HostReport() {}

  static void print(String title) throws IOException, InterruptedException {
    System.out.println(of(title));
  }

  /** The same as text, with an empty line at its end. */
  static String of(String title) throws IOException, InterruptedException {
    return String.join(
        "\n",
        "# " + title + "\n",
        "- Date: " + LocalDate.now(ZoneOffset.UTC),
        "- Processor: "
            + processor()
            + ", "
            + Runtime.getRuntime().availableProcessors()
            + " cores",
        "- Host: " + System.getProperty("os.name") + " " + System.getProperty("os.version"),
        "- Java: "
            + System.getProperty("java.vendor")
            + " "
            + System.getProperty("java.vm.version"),
        "- QEMU: " + qemu(),
        "- Load average of the host at the start: "
            + Measured.fixed(1, ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage())
            + "\n");
  }

  private static String qemu() throws InterruptedException {
    try {
      return firstLine("qemu-system-x86_64", "--version");
    } catch (IOException e) {
      return "none";
    }
  }

  private static String processor() throws IOException {
    Path info = Path.of("/proc/cpuinfo");
    if (!Files.isReadable(info)) {
      return System.getProperty("os.arch");
    }
    try (var lines = Files.lines(info)) {
      return lines
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse(System.getProperty("os.arch"));
    }
  }

  /** The first line that a command prints. */
  static String firstLine(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getOutputStream().close();
    try (var reader = process.inputReader()) {
      String line = reader.readLine();
      reader.transferTo(java.io.Writer.nullWriter());
      process.waitFor();
      return line == null ? "?" : line;
    }
  }
}
