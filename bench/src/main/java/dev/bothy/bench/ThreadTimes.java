package dev.bothy.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * Processor time of a process that runs a guest, as Linux tells it at one moment.
 *
 * @param total nanoseconds of all threads, those included that have ended; in steps of the kernel's
 *     clock tick
 * @param threads nanoseconds of each thread that there is, by its number and name
 */
record ThreadTimes(long total, Map<String, Long> threads) {
  /** Ticks of {@code /proc/PID/stat} (USER_HZ, which is 100 on every x86-64 Linux). */
  private static final long TICK = 10_000_000;

  private static final int USER_TIME = 11;
  private static final int SYSTEM_TIME = 12;

  /** Who works for what. */
  enum Part {
    /** Guest code, and what of a device's work its accesses do at once. */
    VCPU("(.*/)?CPU [0-9]+/TCG|.*-cpu[0-9]+"),
    /** Java's compilers, which know neither vCPU nor device. */
    COMPILERS("C[12] Comp.*"),
    /** All the rest, threads unknown included: main loop, workers, carriers, collector. */
    DEVICES(".*");

    private final Pattern names;

    Part(String names) {
      this.names = Pattern.compile(names);
    }

    /** Of a thread by what the kernel calls it, which is 15 characters at most. */
    static Part of(String thread) {
      for (Part part : values()) {
        if (part.names.matcher(thread).matches()) {
          return part;
        }
      }
      throw new AssertionError(thread);
    }
  }

  /** What a process has used until now. */
  static ThreadTimes of(long pid) throws IOException {
    Path process = Path.of("/proc", Long.toString(pid));
    Map<String, Long> threads = new TreeMap<>();
    try (var tasks = Files.list(process.resolve("task"))) {
      for (Path task : tasks.toList()) {
        try {
          String name = Files.readString(task.resolve("comm")).strip();
          String times = Files.readString(task.resolve("schedstat"));
          threads.put(
              task.getFileName() + " " + name,
              Long.parseLong(times.substring(0, times.indexOf(' '))));
        } catch (IOException e) {
          // It has just ended.
        }
      }
    }
    return new ThreadTimes(total(Files.readString(process.resolve("stat"))), threads);
  }

  /** User and system time by the text of {@code /proc/PID/stat}. */
  static long total(String stat) {
    // The name in parentheses may have anything in it.
    List<String> fields = List.of(stat.substring(stat.lastIndexOf(')') + 2).strip().split(" "));
    return TICK * (Long.parseLong(fields.get(USER_TIME)) + Long.parseLong(fields.get(SYSTEM_TIME)));
  }

  /** What was used since {@code before}, by thread; those that ended meanwhile are not in it. */
  ThreadTimes since(ThreadTimes before) {
    Map<String, Long> used = new TreeMap<>();
    threads.forEach(
        (thread, time) -> used.put(thread, time - before.threads.getOrDefault(thread, 0L)));
    return new ThreadTimes(total - before.total, used);
  }

  /** Seconds of a part. What no thread accounts for was used by threads that ended: devices'. */
  double seconds(Part part) {
    if (part == Part.DEVICES) {
      return Math.max(0, total / 1e9 - seconds(Part.VCPU) - seconds(Part.COMPILERS));
    }
    return threads.entrySet().stream()
            .filter(e -> Part.of(e.getKey().substring(e.getKey().indexOf(' ') + 1)) == part)
            .mapToLong(Map.Entry::getValue)
            .sum()
        / 1e9;
  }

  /**
   * The threads that used a hundredth of the time or more, with milliseconds, the busiest first.
   */
  String busiest() {
    StringBuilder text = new StringBuilder();
    threads.entrySet().stream()
        .filter(e -> e.getValue() > total / 100)
        .sorted(Map.Entry.<String, Long>comparingByValue().reversed())
        .forEach(
            e ->
                text.append(text.isEmpty() ? "" : ", ")
                    .append(e.getKey().substring(e.getKey().indexOf(' ') + 1))
                    .append(' ')
                    .append(e.getValue() / 1_000_000));
    return text.toString();
  }
}
