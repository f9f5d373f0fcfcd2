package dev.bothy.bench;

import dev.bothy.bench.Subject.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Real programs in a Debian guest under QEMU's TCG and under Bothy, and natively in the same root:
 * {@code bench/compare}. Each round runs every subject once, in turn, all workloads in one boot.
 */
final class Compare {
  private static final String USAGE =
      """
      bench/compare [option]...
        --prepare         only make the Debian root and say where it is
        --rounds N        default 3
        --only REGEX      some of the workloads, by name
        --cpus LIST       default 1,2; several processors run the parallel workloads only,
        --every           unless they are to run all
        --engine NAME     of Bothy, default auto
        --memory MIB      of the guests, default 2048
        --warm            run each workload once before it is timed
        --processor-time  compare processor time instead, on a host that has other work
        --timeout SECONDS for one boot, default 3600
        --output FOLDER   for compare.md and compare.svg
        --again           also Bothy with translations kept by an earlier machine
        --skip-native, --skip-tcg, --skip-bothy\
      """;

  private Compare() {}

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            USAGE,
            Set.of("rounds", "only", "cpus", "engine", "memory", "timeout", "output"),
            Set.of(
                "prepare",
                "every",
                "warm",
                "again",
                "processor-time",
                "skip-native",
                "skip-tcg",
                "skip-bothy"));
    Pattern only = Pattern.compile(options.text("only", ".*"));
    List<Workload> workloads =
        Workload.ALL.stream().filter(w -> only.matcher(w.name()).find()).toList();
    if (workloads.isEmpty()) {
      throw new IllegalArgumentException("no workload's name has a match of " + only);
    }
    String today = LocalDate.now(ZoneOffset.UTC).toString();
    Path output = Path.of(options.text("output", folder.resolve("compare-" + today).toString()));
    Subject.Setting setting =
        new Subject.Setting(
            home,
            folder,
            DebianRoot.prepare(home),
            options.text("engine", "auto"),
            options.number("memory", 2048),
            options.flag("warm") ? List.of("-w") : List.of(),
            List.of(),
            options.number("timeout", 3600));
    if (options.flag("prepare")) {
      describe(setting, workloads);
      return;
    }
    List<Subject> subjects = subjects(options);
    int rounds = options.number("rounds", 3);
    String host = HostReport.of("Programs in a Debian guest");
    Times times = new Times(options.flag("processor-time"));
    for (int round = 1; round <= rounds; round++) {
      for (Subject subject : subjects) {
        List<Workload> some = workloads;
        if (subject.cpus() > 1 && !options.flag("every")) {
          some = workloads.stream().filter(w -> w.kind() == Workload.Kind.PARALLEL).toList();
        }
        if (!some.isEmpty()) {
          if (round == 1 && subject.kind() == Kind.BOTHY_AGAIN) {
            System.err.println("bench: " + subject + ", the machine before");
            subject.run(setting, some);
          }
          measure(round, subject, setting, some, times);
        }
      }
    }
    Files.createDirectories(output);
    CompareTable table =
        new CompareTable(workloads, subjects, times, !options.flag("processor-time"));
    String text =
        host
            + "\n"
            + conditions(setting, rounds, options.flag("processor-time"))
            + table.markdown();
    Files.writeString(output.resolve("compare.md"), text);
    Files.writeString(output.resolve("compare.svg"), new CompareChart(workloads, times).svg());
    System.out.print(text);
    System.err.println("bench: written to " + output);
    if (!times.wrong().isEmpty()) {
      throw new IOException("wrong results: " + String.join("; ", times.wrong()));
    }
  }

  private static List<Subject> subjects(Options options) {
    List<Subject> subjects = new ArrayList<>();
    int[] cpus =
        Arrays.stream(options.text("cpus", "1,2").split(",")).mapToInt(Integer::parseInt).toArray();
    for (int count : cpus) {
      for (Kind kind : Kind.values()) {
        boolean wanted =
            switch (kind) {
              case NATIVE -> !options.flag("skip-native");
              case TCG -> !options.flag("skip-tcg");
              case BOTHY -> !options.flag("skip-bothy");
              case BOTHY_AGAIN -> options.flag("again");
            };
        if (wanted) {
          subjects.add(new Subject(kind, count));
        }
      }
    }
    return subjects;
  }

  private static void measure(
      int round, Subject subject, Subject.Setting setting, List<Workload> workloads, Times times)
      throws IOException {
    long began = System.nanoTime();
    List<Subject.Timed> results = subject.run(setting, workloads);
    System.err.printf(
        "bench: round %d, %s: %.0f s%n", round, subject, (System.nanoTime() - began) / 1e9);
    for (Subject.Timed timed : results) {
      System.err.printf(
          "bench:   %-20s %8.3f s, on the host's clock %8.3f s, processor time %8.3f s %s%n",
          timed.name(),
          timed.seconds(),
          timed.hostSeconds(),
          timed.processorSeconds(),
          timed.said());
      times.add(subject, timed);
    }
  }

  private static String conditions(Subject.Setting setting, int rounds, boolean processorTime) {
    return (processorTime
            ? "Seconds of processor time (of the whole process of QEMU or Bothy), medians of "
            : "Seconds by the guest's monotonic clock, medians of ")
        + rounds
        + (rounds == 1 ? " round" : " rounds")
        + (setting.options().isEmpty() ? ", each program's first run" : ", each after one run")
        + " in a guest of "
        + setting.memoryMib()
        + " MiB; TCG with `-cpu max`, Bothy with `--engine "
        + setting.engine()
        + "`; native: the same files in a chroot.\n\n";
  }

  private static void describe(Subject.Setting setting, List<Workload> workloads) {
    DebianRoot debian = setting.debian();
    System.out.println("kernel: " + debian.kernel());
    System.out.println("initrd: " + debian.initrd());
    System.out.println("root:   " + debian.root());
    System.out.println("bench:  " + debian.bench());
    for (Kind kind : Kind.values()) {
      System.out.println("\n" + kind.label + ", a workload:");
      System.out.println(
          Shell.line(new Subject(kind, 1).command(setting, workloads.subList(0, 1))));
    }
    System.out.println("\nBothy, systemd to a login on the serial console (root, no password):");
    System.out.println(
        Shell.line(new Subject(Kind.BOTHY, 1).command(setting, workloads.subList(0, 1)))
            .replaceFirst("--append '[^']*'", "--append 'console=ttyS0 quiet'"));
  }
}
