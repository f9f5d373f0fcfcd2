package dev.bothy.debug;

import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The real gdb, in batch mode, without any options of its own but more patience. */
final class Gdb {
  private final Process process;
  private final StringBuilder output = new StringBuilder();
  private final Thread reader;

  /**
   * Starts gdb on {@code file}, or on nothing if that is null, to do {@code commands} one after the
   * other.
   */
  Gdb(Path file, String... commands) throws IOException {
    assumeTrue(isThere(), "gdb is not installed: apt-get install gdb");
    // Two seconds for an answer, gdb's own measure, are short on a machine with other work.
    List<String> line = new ArrayList<>(List.of("gdb", "-q", "-nx", "-batch", "-l", "60"));
    for (String command : commands) {
      line.add("-ex");
      line.add(command);
    }
    if (file != null) {
      line.add(file.toString());
    }
    ProcessBuilder builder = new ProcessBuilder(line).redirectErrorStream(true);
    builder.environment().put("LC_ALL", "C");
    builder.environment().remove("DEBUGINFOD_URLS");
    process = builder.start();
    process.getOutputStream().close();
    reader = Thread.ofPlatform().daemon().start(this::read);
  }

  private static boolean isThere() {
    try {
      Process process = new ProcessBuilder("gdb", "--version").redirectErrorStream(true).start();
      process.getInputStream().readAllBytes();
      return process.waitFor() == 0;
    } catch (IOException e) {
      return false;
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private void read() {
    byte[] buffer = new byte[4096];
    try {
      for (int n; (n = process.getInputStream().read(buffer)) >= 0; ) {
        synchronized (output) {
          output.append(new String(buffer, 0, n, StandardCharsets.UTF_8));
          output.notifyAll();
        }
      }
    } catch (IOException e) {
      // Gone.
    }
  }

  /** Waits until gdb has said {@code text}. */
  void await(String text) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(SmallGuest.PATIENCE);
    synchronized (output) {
      while (output.indexOf(text) < 0) {
        if (System.nanoTime() > deadline || !reader.isAlive()) {
          fail("gdb did not say \"" + text + "\" but:\n" + output);
        }
        output.wait(100);
      }
    }
  }

  /** Ctrl-C. */
  void interrupt() throws IOException, InterruptedException {
    new ProcessBuilder("kill", "-INT", Long.toString(process.pid())).start().waitFor();
  }

  void kill() {
    process.destroyForcibly();
  }

  /** All that gdb has said by its end, which is waited for. */
  String finish() throws InterruptedException {
    if (!process.waitFor(SmallGuest.PATIENCE, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      fail("gdb does not end:\n" + output);
    }
    reader.join();
    return output.toString();
  }
}
