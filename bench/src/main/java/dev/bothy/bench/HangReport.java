package dev.bothy.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** What a process does that should have ended: its threads, as Java and as the host see them. */
final class HangReport {
  private static final int SECONDS_BETWEEN = 3;
  private static final int JCMD_SECONDS = 30;

  private HangReport() {}

  /**
   * Writes {@code java-threads.txt} and {@code host-threads.txt}, as far as they can be had. The
   * latter is taken twice, so that it shows which threads run.
   */
  static void write(Path folder, long pid) {
    try {
      String first = hostThreads(pid);
      java(folder.resolve("java-threads.txt"), pid);
      TimeUnit.SECONDS.sleep(SECONDS_BETWEEN);
      Files.writeString(folder.resolve("host-threads.txt"), first + "\n" + hostThreads(pid));
    } catch (IOException e) {
      System.err.println("bench: cannot tell what " + pid + " does: " + e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void java(Path file, long pid) throws IOException, InterruptedException {
    Path jcmd = Path.of(System.getProperty("java.home"), "bin", "jcmd");
    Process process =
        new ProcessBuilder(jcmd.toString(), Long.toString(pid), "Thread.print", "-l")
            .redirectErrorStream(true)
            .redirectOutput(file.toFile())
            .start();
    if (!process.waitFor(JCMD_SECONDS, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      Files.writeString(file.resolveSibling("java-threads-failed.txt"), "jcmd had no answer\n");
    }
  }

  /** A line a thread: name, state, processor time in clock ticks, and what it waits in. */
  private static String hostThreads(long pid) throws IOException {
    StringBuilder text = new StringBuilder("thread name state user system waits-in\n");
    List<Path> tasks;
    try (Stream<Path> all = Files.list(Path.of("/proc/" + pid + "/task"))) {
      tasks = all.sorted().toList();
    }
    for (Path task : tasks) {
      try {
        String stat = Files.readString(task.resolve("stat"));
        String[] words = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        text.append(task.getFileName()).append(' ');
        text.append(Files.readString(task.resolve("comm")).strip()).append(' ');
        text.append(String.join(" ", words[0], words[11], words[12])).append(' ');
        text.append(Files.readString(task.resolve("wchan"))).append('\n');
      } catch (IOException e) {
        // It has ended since.
      }
    }
    return text.toString();
  }
}
