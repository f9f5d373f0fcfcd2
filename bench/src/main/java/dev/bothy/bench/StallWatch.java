package dev.bothy.bench;

import dev.bothy.Vm;
import dev.bothy.debug.monitor.MonitorException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * Looks whether a guest still says something, and if not for long, tells what guest, engine and
 * this process do, once for each silence. First what disturbs nothing, then what makes the machine
 * stand, which may wake a guest that waits for a lost interrupt: what it says after that tells.
 */
final class StallWatch implements AutoCloseable {
  private static final Duration BETWEEN_COUNTERS = Duration.ofSeconds(3);

  private final Duration silence;
  private final PrintStream report;
  private final Thread thread;
  private volatile long said;
  private volatile Vm vm;

  /**
   * @param silence how long a guest may be silent
   * @param report where to tell
   */
  StallWatch(Duration silence, PrintStream report) {
    this.silence = silence;
    this.report = report;
    thread = Thread.ofPlatform().daemon().name("stall-watch").start(this::look);
  }

  /** What goes to {@code stream} is what the guest says. */
  OutputStream listen(OutputStream stream) {
    return new OutputStream() {
      @Override
      public void write(int value) throws IOException {
        write(new byte[] {(byte) value}, 0, 1);
      }

      @Override
      public void write(byte[] bytes, int from, int length) throws IOException {
        stream.write(bytes, from, length);
        said += length;
      }

      @Override
      public void flush() throws IOException {
        stream.flush();
      }
    };
  }

  /** The machine runs, whose console is listened to. */
  void watch(Vm started) {
    vm = started;
  }

  private void look() {
    try {
      long heard = said;
      long reported = -1;
      while (true) {
        Thread.sleep(silence);
        long now = said;
        if (now == heard && now != reported && vm != null) {
          reported = now;
          tell(vm);
        }
        heard = now;
      }
    } catch (InterruptedException e) {
      // The end.
    }
  }

  private void tell(Vm machine) throws InterruptedException {
    say("nothing more of the guest for " + silence.toSeconds() + " s, after " + said + " bytes");
    Map<String, Long> before = counters(machine);
    threads();
    hostFile("/proc/interrupts");
    hostFile("/proc/stat");
    Thread.sleep(BETWEEN_COUNTERS);
    Map<String, Long> after = counters(machine);
    after.forEach(
        (name, value) ->
            say(name + " " + value + ", + " + (value - before.getOrDefault(name, 0L))));
    say("typed and not taken: " + machine.console().pending() + " bytes");
    for (String command :
        List.of("info registers", "info interrupts", "info engine", "info registers")) {
      ask(machine, command);
    }
    long told = said;
    Thread.sleep(BETWEEN_COUNTERS);
    say(said == told ? "it stands still" : "it goes on, now that it has been looked at");
  }

  private static Map<String, Long> counters(Vm machine) {
    var statistics = machine.statistics();
    Map<String, Long> counters = new TreeMap<>(statistics.exits());
    statistics
        .devices()
        .forEach(
            device -> {
              if (device.reads() + device.writes() != 0) {
                String name = device.space() + " " + device.device();
                counters.merge(name + " reads", device.reads(), Long::sum);
                counters.merge(name + " writes", device.writes(), Long::sum);
              }
            });
    return counters;
  }

  /** As Java and as the host see them. */
  private void threads() {
    byName()
        .forEach(
            (name, stack) -> {
              say("thread " + name);
              for (StackTraceElement element : stack) {
                say("  " + element);
              }
            });
    try (Stream<Path> all = Files.list(Path.of("/proc/self/task"))) {
      for (Path task : all.sorted().toList()) {
        String stat = Files.readString(task.resolve("stat"), StandardCharsets.UTF_8);
        String[] words = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        say(
            "task %s %s %s, user %s, system %s, in %s"
                .formatted(
                    task.getFileName(),
                    Files.readString(task.resolve("comm")).strip(),
                    words[0],
                    words[11],
                    words[12],
                    Files.readString(task.resolve("wchan"))));
      }
    } catch (IOException e) {
      say("no tasks: " + e.getMessage());
    }
  }

  private static Map<String, StackTraceElement[]> byName() {
    Map<String, StackTraceElement[]> threads = new TreeMap<>();
    Thread.getAllStackTraces()
        .forEach((thread, stack) -> threads.put(thread.getName() + " " + thread.getState(), stack));
    return threads;
  }

  private void hostFile(String file) {
    try {
      say(file);
      Files.readAllLines(Path.of(file)).forEach(this::say);
    } catch (IOException e) {
      say(e.toString());
    }
  }

  private void ask(Vm machine, String command) {
    say("(bothy) " + command);
    try {
      machine.monitor().run(command).lines().forEach(this::say);
    } catch (MonitorException e) {
      say(e.getMessage());
    }
  }

  private void say(String line) {
    report.println("stall: " + line);
  }

  @Override
  public void close() {
    thread.interrupt();
  }
}
