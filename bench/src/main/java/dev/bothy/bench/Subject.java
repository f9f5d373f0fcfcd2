package dev.bothy.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.ObjLongConsumer;
import java.util.stream.Collectors;

/** What the workloads run on, with a number of processors. */
record Subject(Kind kind, int cpus) {
  private static final int TAIL_LINES = 20;

  /** In the order of a table's columns. */
  enum Kind {
    NATIVE("native"),
    TCG("QEMU TCG"),
    BOTHY("Bothy"),
    /** With the translations that an earlier machine has kept on disk. */
    BOTHY_AGAIN("Bothy again");

    final String label;

    Kind(String label) {
      this.label = label;
    }
  }

  /**
   * How everything is run.
   *
   * @param home Bothy's checkout
   * @param options of the workloads' runner
   * @param kernelOptions of the guest's kernel, besides those that all have
   * @param timeoutSeconds for one boot
   */
  record Setting(
      Path home,
      Path folder,
      DebianRoot debian,
      String engine,
      int memoryMib,
      List<String> options,
      List<String> kernelOptions,
      int timeoutSeconds) {}

  /**
   * A workload's time.
   *
   * @param seconds by the guest's monotonic clock
   * @param hostSeconds by the host's, from line to line of the console
   * @param processorSeconds of the workload itself natively, else of the guest's whole process
   * @param said what the workload said instead of what it should, or empty
   */
  record Timed(
      String name, double seconds, double hostSeconds, double processorSeconds, String said) {}

  /** Takes the times out of what the console says, and keeps the last of the rest. */
  private final class Listener implements ObjLongConsumer<String> {
    final List<Timed> results = new ArrayList<>();
    final List<String> tail = new ArrayList<>();
    boolean done = kind == Kind.NATIVE;
    private final GuestProcess process;
    private long began;
    private double beganProcessor;

    Listener(GuestProcess process) {
      this.process = process;
    }

    @Override
    public void accept(String line, long time) {
      int at = line.indexOf("bench-");
      String[] words = at < 0 ? new String[] {""} : line.substring(at).strip().split(" ", 5);
      switch (words[0]) {
        case "bench-begin" -> {
          began = time;
          beganProcessor = process.processorSeconds();
        }
        case "bench-result" -> result(words, time);
        case "bench-done" -> done = true;
        default -> {
          tail.add(line);
          if (tail.size() > TAIL_LINES) {
            tail.removeFirst();
          }
        }
      }
    }

    private void result(String[] words, long time) {
      if (words.length < 5 || !(words[2] + words[3]).matches("[0-9]{1,36}")) {
        return;
      }
      double processor =
          kind == Kind.NATIVE
              ? Double.parseDouble(words[3]) / 1e9
              : process.processorSeconds() - beganProcessor;
      results.add(
          new Timed(
              words[1],
              Double.parseDouble(words[2]) / 1e9,
              (time - began) / 1e9,
              processor,
              words[4].equals("ok") ? "" : words[4]));
    }
  }

  /** Runs workloads in one boot; fewer come back if the guest ends early. */
  List<Timed> run(Setting setting, List<Workload> workloads) throws IOException {
    var environment =
        kind == Kind.BOTHY_AGAIN
            ? Map.of("XDG_CACHE_HOME", setting.folder.resolve("kept").toString())
            : Map.<String, String>of();
    return run(setting, workloads, command(setting, workloads), environment);
  }

  /** The same by a command of the caller's that says what {@link #command} would. */
  List<Timed> run(
      Setting setting,
      List<Workload> workloads,
      List<String> command,
      Map<String, String> environment)
      throws IOException {
    Path errors = setting.folder.resolve(this + ".err");
    try (var process = GuestProcess.plain(command, errors, environment)) {
      Thread watchdog = Thread.ofVirtual().start(() -> endAfter(process, setting.timeoutSeconds));
      Listener listener = new Listener(process);
      process.read(listener);
      watchdog.interrupt();
      if (!listener.done || listener.results.size() < workloads.size()) {
        System.err.println(
            "bench: "
                + this
                + " did not get to the end; its last lines:\n"
                + String.join("\n", listener.tail));
        System.err.print(Files.readString(errors));
      }
      return listener.results;
    }
  }

  /** Waits so long, unless interrupted, and ends the process. */
  static void endAfter(GuestProcess process, int seconds) {
    try {
      TimeUnit.SECONDS.sleep(seconds);
      process.close();
    } catch (InterruptedException e) {
      // It came to an end before.
    }
  }

  /** The command that runs workloads and prints their times. */
  List<String> command(Setting setting, List<Workload> workloads) {
    List<String> names = workloads.stream().map(Workload::name).toList();
    DebianRoot debian = setting.debian;
    if (kind == Kind.NATIVE) {
      List<String> command = new ArrayList<>();
      command.addAll(List.of("taskset", "-c", cpus == 1 ? "0" : "0-" + (cpus - 1)));
      command.add(setting.home.resolve("bench/debian/enter").toString());
      command.addAll(List.of(debian.root().toString(), debian.bench().toString()));
      command.addAll(List.of("sh", "/bench/run"));
      command.addAll(setting.options);
      command.addAll(names);
      return command;
    }
    String append =
        "console=ttyS0 quiet rdinit=/bench/init "
            + setting.kernelOptions.stream().map(o -> o + " ").collect(Collectors.joining())
            + "bench.run="
            + String.join(",", names)
            + (setting.options.isEmpty()
                ? ""
                : " bench.options=" + String.join(",", setting.options));
    String memory = Integer.toString(setting.memoryMib);
    List<String> command = new ArrayList<>();
    if (kind == Kind.TCG) {
      command.addAll(
          List.of("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", memory));
      command.addAll(List.of("-smp", Integer.toString(cpus), "-nographic", "-no-reboot"));
      command.addAll(List.of("-nic", "none"));
      command.addAll(List.of("-kernel", debian.kernel().toString()));
      command.addAll(List.of("-initrd", debian.initrd().toString(), "-append", append));
    } else {
      List<String> engine = List.of("--engine", setting.engine, "--cpus", Integer.toString(cpus));
      command.addAll(GuestProcess.bothyCommand(setting.home, engine));
      command.addAll(List.of("--memory", memory + "M", "--no-reboot", "--net", "none"));
      if (kind == Kind.BOTHY) {
        // Every round is a first one.
        command.add("--no-cache");
      }
      command.addAll(List.of("--kernel", debian.kernel().toString()));
      command.addAll(List.of("--initrd", debian.initrd().toString(), "--append", append));
    }
    return command;
  }

  @Override
  public String toString() {
    return kind.name().toLowerCase(java.util.Locale.ROOT) + "-" + cpus;
  }
}
