package dev.bothy.bench;

import dev.bothy.bench.Subject.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordedFrame;
import jdk.jfr.consumer.RecordedThread;
import jdk.jfr.consumer.RecordingFile;

/**
 * What the vCPU's thread spends its processor time on in each workload: {@code bench/shares}.
 * Sampled by Java's flight recorder, which interrupts the thread by a timer of its processor time;
 * samples count from the first to the last line of a workload on the console.
 */
final class Shares {
  private static final String USAGE =
      """
      bench/shares [option]...
        --only REGEX    some of the workloads, by name
        --seconds N     repeats each for so long, default 10
        --memory MIB    of the guest, default 2048
        --timeout SECONDS for all, default 3600
      Processor time of the vCPU's thread in generated code, in the interpreter and elsewhere.
      Linux and a Java with CPU-time sampling (25 or newer); wants root and debootstrap.\
      """;

  private static final String SAMPLE = "jdk.CPUTimeSample";
  private static final String LOST = "jdk.CPUTimeSamplesLost";

  private static final int METHODS = 12;

  private static final String SETTINGS =
      """
      <?xml version="1.0" encoding="UTF-8"?>
      <configuration version="2.0">
        <event name="jdk.CPUTimeSample">
          <setting name="enabled">true</setting>
          <setting name="throttle">2 ms</setting>
        </event>
        <event name="jdk.CPUTimeSamplesLost">
          <setting name="enabled">true</setting>
        </event>
      </configuration>
      """;

  private final Map<String, Instant> began = new HashMap<>();
  private final Map<String, Instant> ended = new HashMap<>();
  private final Map<String, Map<Share, Double>> seconds = new HashMap<>();
  private final Map<String, Integer> samples = new HashMap<>();
  private final Map<Share, Map<String, Double>> methods = new EnumMap<>(Share.class);
  private int lost;

  private Shares() {}

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options = new Options(arguments, USAGE, Set.of("only", "seconds", "memory", "timeout"));
    Pattern only = Pattern.compile(options.text("only", ".*"));
    List<Workload> workloads =
        Workload.ALL.stream().filter(w -> only.matcher(w.name()).find()).toList();
    int repeat = options.number("seconds", 10);
    Subject.Setting setting =
        new Subject.Setting(
            home,
            folder,
            DebianRoot.prepare(home),
            "translator",
            options.number("memory", 2048),
            List.of("-s" + repeat),
            List.of(),
            0);
    String host = HostReport.of("Where the time goes");
    Path recording = folder.resolve("shares.jfr");
    Files.deleteIfExists(recording);
    Path settings = Files.writeString(folder.resolve("shares.jfc"), SETTINGS);
    Shares shares = new Shares();
    shares.record(
        new Subject(Kind.BOTHY, 1).command(setting, workloads),
        "-XX:StartFlightRecording=settings=" + settings + ",filename=" + recording,
        folder.resolve("shares.err"),
        options.number("timeout", 3600));
    shares.read(recording);
    Files.delete(recording);
    System.out.println(host);
    System.out.println(
        "`bench/shares "
            + String.join(" ", arguments)
            + "`: per cent of the vCPU thread's processor time, each workload repeated for "
            + repeat
            + " s, its first run included.\n");
    shares.print(workloads);
    shares.printMethods();
  }

  private void record(List<String> command, String javaOption, Path errors, int limit)
      throws IOException, InterruptedException {
    Instant start = Instant.now();
    long startNanos = System.nanoTime();
    try (var process =
        GuestProcess.plain(command, errors, Map.of("BOTHY_JAVA_OPTIONS", javaOption))) {
      Thread watchdog = Thread.ofVirtual().start(() -> Subject.endAfter(process, limit));
      process.read((line, nanos) -> hear(line, start.plusNanos(nanos - startNanos)));
      watchdog.interrupt();
      // The recording is written behind the last line.
      process.status(60);
    }
  }

  private void hear(String line, Instant time) {
    String[] words = line.strip().split(" ", 5);
    if (words.length >= 2 && words[0].endsWith("bench-begin")) {
      began.putIfAbsent(words[1], time);
    } else if (words.length == 5 && words[0].endsWith("bench-result") && words[4].equals("ok")) {
      ended.put(words[1], time);
      System.err.println("bench: " + String.join(" ", words));
    }
  }

  private void read(Path recording) throws IOException {
    try (RecordingFile file = new RecordingFile(recording)) {
      while (file.hasMoreEvents()) {
        RecordedEvent event = file.readEvent();
        RecordedThread thread = event.getThread("eventThread");
        String name = thread == null ? null : thread.getJavaName();
        if (name == null || !name.matches(".*-cpu[0-9]+")) {
          continue;
        }
        String workload = workloadAt(event.getStartTime());
        if (workload == null) {
          continue;
        }
        if (event.getEventType().getName().equals(SAMPLE)) {
          add(workload, event);
        } else if (event.getEventType().getName().equals(LOST)) {
          lost += event.getInt("lostSamples");
        }
      }
    }
  }

  private String workloadAt(Instant time) {
    for (Map.Entry<String, Instant> end : ended.entrySet()) {
      if (!time.isBefore(began.get(end.getKey())) && time.isBefore(end.getValue())) {
        return end.getKey();
      }
    }
    return null;
  }

  private void add(String workload, RecordedEvent event) {
    List<String> frames = new ArrayList<>();
    if (event.getStackTrace() != null) {
      for (RecordedFrame frame : event.getStackTrace().getFrames()) {
        frames.add(frame.getMethod().getType().getName() + "." + frame.getMethod().getName());
      }
    }
    Share share = Share.of(frames);
    double period = event.getDuration("samplingPeriod").toNanos() / 1e9;
    seconds
        .computeIfAbsent(workload, _ -> new EnumMap<>(Share.class))
        .merge(share, period, Double::sum);
    samples.merge(workload, 1, Integer::sum);
    String method =
        frames.stream().filter(frame -> frame.startsWith("dev.bothy.")).findFirst().orElse("Java");
    methods
        .computeIfAbsent(share, _ -> new HashMap<>())
        .merge(method.replaceFirst(".*\\.(.*\\..*)", "$1"), period, Double::sum);
  }

  private void print(List<Workload> workloads) throws IOException {
    StringBuilder head = new StringBuilder("| workload |");
    StringBuilder rule = new StringBuilder("|---|");
    for (Share share : Share.values()) {
      head.append(' ').append(share.label).append(" |");
      rule.append("---:|");
    }
    System.out.println(head + " samples |\n" + rule + "---:|");
    int all = 0;
    for (Workload workload : workloads) {
      Map<Share, Double> times = seconds.get(workload.name());
      if (times == null) {
        throw new IOException(workload.name() + " did not come to a good end");
      }
      double sum = times.values().stream().mapToDouble(t -> t).sum();
      StringBuilder row = new StringBuilder("| " + workload.what() + " |");
      for (Share share : Share.values()) {
        row.append(' ').append(Measured.fixed(1, 100 * times.getOrDefault(share, 0.0) / sum));
        row.append(" |");
      }
      System.out.println(row + " " + samples.get(workload.name()) + " |");
      all += samples.get(workload.name());
    }
    System.out.printf("%n%d samples, and %d that were lost.%n", all, lost);
  }

  /** Where most of each share went, over all workloads. */
  private void printMethods() {
    System.out.println("\n| | per cent of it in |\n|---|---|");
    methods.forEach(
        (share, times) -> {
          double sum = times.values().stream().mapToDouble(t -> t).sum();
          System.out.println(
              times.entrySet().stream()
                  .sorted(Map.Entry.<String, Double>comparingByValue().reversed())
                  .limit(METHODS)
                  .map(e -> e.getKey() + " " + Measured.fixed(0, 100 * e.getValue() / sum))
                  .collect(Collectors.joining(", ", "| " + share.label + " | ", " |")));
        });
  }
}
