package dev.bothy.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.ObjLongConsumer;

/**
 * A command that runs a guest, with the guest's serial console as its standard input and output. It
 * does not outlive this process.
 */
final class GuestProcess implements AutoCloseable {
  private static final Set<Process> RUNNING = ConcurrentHashMap.newKeySet();

  static {
    Runtime.getRuntime()
        .addShutdownHook(new Thread(() -> RUNNING.forEach(Process::destroyForcibly)));
  }

  private final Process process;
  private final long started;

  private GuestProcess(List<String> command) throws IOException {
    this(command, ProcessBuilder.Redirect.DISCARD, Map.of());
  }

  private GuestProcess(
      List<String> command, ProcessBuilder.Redirect errors, Map<String, String> environment)
      throws IOException {
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().putAll(environment);
    builder.redirectError(errors);
    started = System.nanoTime();
    process = builder.start();
    RUNNING.add(process);
  }

  /** The words of Bothy's command from its checkout. */
  static List<String> bothyCommand(Path home, List<String> options) {
    List<String> command = new ArrayList<>(List.of(home.resolve("bothy").toString(), "run"));
    command.addAll(options);
    return command;
  }

  /** Bothy's command from its checkout. */
  static GuestProcess bothy(Path home, Path kernel, Path initrd, String append) throws IOException {
    return new GuestProcess(bothyCommand(home, kernel, initrd, append));
  }

  /** The same with a cache folder of its own in place of the user's. */
  static GuestProcess bothy(Path home, Path kernel, Path initrd, String append, Path cache)
      throws IOException {
    return new GuestProcess(
        bothyCommand(home, kernel, initrd, append),
        ProcessBuilder.Redirect.DISCARD,
        Map.of("XDG_CACHE_HOME", cache.toString()));
  }

  private static List<String> bothyCommand(Path home, Path kernel, Path initrd, String append) {
    return bothyCommand(
        home,
        List.of(
            "--memory",
            "512M",
            "--kernel",
            kernel.toString(),
            "--initrd",
            initrd.toString(),
            "--append",
            append,
            "--net",
            "none",
            "--no-reboot"));
  }

  /** QEMU with its translator. */
  static GuestProcess qemu(Path kernel, Path initrd, String append) throws IOException {
    return new GuestProcess(
        List.of(
            "qemu-system-x86_64",
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-m",
            "512",
            "-nic",
            "none",
            "-nographic",
            "-no-reboot",
            "-kernel",
            kernel.toString(),
            "-initrd",
            initrd.toString(),
            "-append",
            append));
  }

  /** A program on the host itself. */
  static GuestProcess plain(List<String> command) throws IOException {
    return new GuestProcess(command);
  }

  /** A command with its standard error in a file. */
  static GuestProcess plain(List<String> command, Path errors) throws IOException {
    return plain(command, errors, Map.of());
  }

  /** The same with more in its environment. */
  static GuestProcess plain(List<String> command, Path errors, Map<String, String> environment)
      throws IOException {
    return new GuestProcess(command, ProcessBuilder.Redirect.to(errors.toFile()), environment);
  }

  long pid() {
    return process.pid();
  }

  /** Processor time of all its threads until now, in steps of the kernel's clock. */
  double processorSeconds() {
    return process.info().totalCpuDuration().map(Duration::toNanos).orElse(0L) / 1e9;
  }

  boolean alive() {
    return process.isAlive();
  }

  /** Seconds since it was started. */
  double age() {
    return (System.nanoTime() - started) / 1e9;
  }

  /** What it prints. */
  InputStream output() {
    return process.getInputStream();
  }

  /** Types into the guest. A process that has ended hears nothing. */
  void type(String text) {
    try {
      OutputStream keyboard = process.getOutputStream();
      keyboard.write(text.getBytes(StandardCharsets.ISO_8859_1));
      keyboard.flush();
    } catch (IOException e) {
      // What became of it, its output and status tell.
    }
  }

  /** Asks it to end, as a user would who closes its terminal. */
  void terminate() {
    process.destroy();
  }

  /** Ends it at once, as a cut of the power would: SIGKILL. */
  void kill() {
    process.destroyForcibly();
  }

  /** Its status, or nothing if it has not ended after so many seconds. */
  OptionalInt status(long seconds) throws InterruptedException {
    return process.waitFor(seconds, TimeUnit.SECONDS)
        ? OptionalInt.of(process.exitValue())
        : OptionalInt.empty();
  }

  /**
   * Gives {@code lines} every line and the time of its end, {@link System#nanoTime}, until there
   * are no more.
   */
  void read(ObjLongConsumer<String> lines) throws IOException {
    try (BufferedReader reader = process.inputReader(StandardCharsets.ISO_8859_1)) {
      for (String line; (line = reader.readLine()) != null; ) {
        lines.accept(line, System.nanoTime());
      }
    }
  }

  /**
   * Seconds from the start of the process to the end of the first line that contains {@code text};
   * reads to the end of the output.
   */
  double secondsUntil(String text) throws IOException {
    long[] at = {0};
    StringBuilder seen = new StringBuilder();
    read(
        (line, time) -> {
          seen.append(line).append('\n');
          if (at[0] == 0 && line.contains(text)) {
            at[0] = time;
          }
        });
    if (at[0] == 0) {
      throw new IOException("the guest never said \"" + text + "\" but:\n" + seen);
    }
    return (at[0] - started) / 1e9;
  }

  @Override
  public void close() {
    process.destroy();
    try {
      if (!process.waitFor(5, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
    RUNNING.remove(process);
  }
}
