package dev.bothy.bench;

import dev.bothy.bench.Subject.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.regex.Pattern;

/**
 * What a change costs or saves, {@code bench/change CHECKOUT}: the programs of {@code
 * bench/compare} for one processor, on Bothy of another checkout and of this one. Both run at once,
 * each on a processor of the host of its own, and exchange processors after each round: what else
 * the host does hits both, and what a processor is worth does too.
 */
final class Change {
  private static final String USAGE =
      """
      bench/change CHECKOUT [option]...: this checkout beside another one
        --rounds N        default 12
        --only REGEX      some of the workloads, by name
        --engine NAME     default translator
        --memory MIB      of the guests, default 2048
        --java-options T  of both, in BOTHY_JAVA_OPTIONS: what one of the launchers gives its
                          Java and the other does not is no difference then
        --timeout SECONDS for one boot, default 3600\
      """;

  /**
   * Without addresses at random: where programs happen to lie makes twice as many misses of the TLB
   * in one run as in the next.
   */
  private static final List<String> KERNEL_OPTIONS = List.of("nokaslr", "norandmaps");

  private static final Subject SUBJECT = new Subject(Kind.BOTHY, 1);

  /** The times of a workload in all rounds. */
  record Pair(String name, Measured before, Measured after) {
    Measured ratios() {
      double[] ratios = new double[before.rounds().length];
      for (int i = 0; i < ratios.length; i++) {
        ratios[i] = after.rounds()[i] / before.rounds()[i];
      }
      return new Measured(ratios);
    }
  }

  private Change() {}

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            USAGE,
            Set.of("rounds", "only", "engine", "memory", "java-options", "timeout"));
    if (options.words().size() != 1) {
      throw new IllegalArgumentException("one other checkout of Bothy is wanted: " + USAGE);
    }
    Path other = Path.of(options.words().getFirst()).toAbsolutePath();
    if (!Files.isExecutable(other.resolve("bothy"))) {
      throw new IllegalArgumentException("no checkout of Bothy: " + other);
    }
    Pattern only = Pattern.compile(options.text("only", ".*"));
    List<Workload> workloads =
        Workload.ALL.stream()
            .filter(w -> w.kind() != Workload.Kind.PARALLEL && only.matcher(w.name()).find())
            .toList();
    int rounds = options.number("rounds", 12);
    if (workloads.isEmpty() || rounds < 1) {
      throw new IllegalArgumentException("nothing to run");
    }
    List<Subject.Setting> settings = new ArrayList<>();
    for (Path checkout : List.of(other, home)) {
      // Built, and its class cache made, before anything is timed.
      GuestProcess.plain(List.of(checkout.resolve("bothy").toString(), "--version"))
          .read((_, _) -> {});
      settings.add(
          new Subject.Setting(
              checkout,
              Files.createDirectories(folder.resolve("change-" + settings.size())),
              DebianRoot.prepare(home),
              options.text("engine", "translator"),
              options.number("memory", 2048),
              List.of(),
              KERNEL_OPTIONS,
              options.number("timeout", 3600)));
    }
    String host = HostReport.of("What a change costs");
    Map<String, String> environment =
        Map.of("BOTHY_JAVA_OPTIONS", options.text("java-options", ""));
    List<Pair> pairs = measure(settings, workloads, rounds, environment);
    System.out.print(host + "\n" + table(pairs));
  }

  private static List<Pair> measure(
      List<Subject.Setting> settings,
      List<Workload> workloads,
      int rounds,
      Map<String, String> environment)
      throws Exception {
    double[][][] seconds = new double[workloads.size()][2][rounds];
    try (ExecutorService both = Executors.newVirtualThreadPerTaskExecutor()) {
      for (int round = 0; round < rounds; round++) {
        List<Callable<List<Subject.Timed>>> runs = new ArrayList<>();
        for (int which = 0; which < 2; which++) {
          Subject.Setting setting = settings.get(which);
          List<String> command = new ArrayList<>();
          command.addAll(List.of("taskset", "-c", Integer.toString((round + which) % 2)));
          command.addAll(SUBJECT.command(setting, workloads));
          runs.add(() -> SUBJECT.run(setting, workloads, command, environment));
        }
        List<Future<List<Subject.Timed>>> results = both.invokeAll(runs);
        for (int which = 0; which < 2; which++) {
          List<Subject.Timed> timed = results.get(which).get();
          for (int i = 0; i < workloads.size(); i++) {
            seconds[i][which][round] = seconds(timed, workloads.get(i), settings.get(which));
          }
        }
        System.err.printf("bench: round %d of %d%n", round + 1, rounds);
      }
    }
    List<Pair> pairs = new ArrayList<>();
    for (int i = 0; i < workloads.size(); i++) {
      Measured before = new Measured(seconds[i][0]);
      pairs.add(new Pair(workloads.get(i).what(), before, new Measured(seconds[i][1])));
    }
    return pairs;
  }

  private static double seconds(
      List<Subject.Timed> timed, Workload workload, Subject.Setting setting) throws IOException {
    for (Subject.Timed one : timed) {
      if (one.name().equals(workload.name()) && one.said().isEmpty()) {
        return one.seconds();
      }
    }
    throw new IOException(workload.name() + " went wrong in " + setting.home());
  }

  /** Medians, ratios with their intervals, and the geometric mean of each round's ratios. */
  static String table(List<Pair> pairs) {
    int rounds = pairs.getFirst().before().rounds().length;
    StringBuilder text = new StringBuilder();
    text.append("Seconds by the guest's clock, medians of ").append(rounds);
    text.append(rounds == 1 ? " round" : " rounds");
    text.append("; medians of the ratios after to before, and what they lie in with 95 %");
    text.append(" confidence.\n\n| program | before | after | ratio | |\n");
    text.append("|---|---:|---:|---:|---|\n");
    for (Pair pair : pairs) {
      text.append("| ").append(pair.name());
      text.append(" | ").append(Measured.fixed(2, pair.before().median()));
      text.append(" | ").append(Measured.fixed(2, pair.after().median()));
      cells(text, pair.ratios(), "");
    }
    text.append("| **geometric mean** | |");
    cells(text, means(pairs), "**");
    return text.toString();
  }

  private static void cells(StringBuilder text, Measured ratios, String mark) {
    text.append(" | ").append(mark).append(Measured.fixed(3, ratios.median())).append(mark);
    text.append(" | ").append(ratios.interval().text(3)).append(" |\n");
  }

  /** The geometric mean of the programs' ratios, for each round. */
  static Measured means(List<Pair> pairs) {
    double[] means = new double[pairs.getFirst().before().rounds().length];
    for (int round = 0; round < means.length; round++) {
      int at = round;
      means[round] =
          Math.exp(
              pairs.stream()
                  .mapToDouble(pair -> Math.log(pair.ratios().rounds()[at]))
                  .average()
                  .orElseThrow());
    }
    return new Measured(means);
  }
}
