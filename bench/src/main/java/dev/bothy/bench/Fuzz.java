package dev.bothy.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

/**
 * Runs the tests' hostile cases by the million: {@code bench/fuzz}. A case is a number from which
 * all of it follows; it passes if it returns, in time and without taking too much memory. What the
 * cases reach of the classes under test is measured and printed.
 */
final class Fuzz {
  private static final String USAGE =
      "bench/fuzz [--what images|drivers|frames|share] [--cases N] [--seconds N] [--seed N] [--jobs"
          + " N] [--case N]";

  /** Of its processor time, and by the clock, of which others may take the most. */
  private static final long MOST_PROCESSOR_NANOS = 10_000_000_000L;

  private static final long MOST_NANOS = 300_000_000_000L;
  private static final long MOST_BYTES = 2L << 30;
  private static final int MOST_FAILURES = 20;
  private static final int BLOCK = 256;

  /**
   * What can be run.
   *
   * @param cases a class of the tests, a {@link LongConsumer}, made once a thread
   * @param jar whose classes are measured
   * @param measured names of those classes start so
   */
  private record Target(String cases, String jar, List<String> measured) {}

  private static final Map<String, Target> TARGETS =
      Map.of(
          "images",
          new Target(
              "dev.bothy.image.qcow2.ImageFuzz",
              "bothy-images",
              List.of(
                  "dev/bothy/image/qcow2/",
                  "dev/bothy/image/storage/DescriptorFile",
                  "dev/bothy/image/storage/FileStorage",
                  "dev/bothy/image/storage/OpenFiles",
                  "dev/bothy/image/ImageFormat",
                  "dev/bothy/image/Images",
                  "dev/bothy/image/Ranges",
                  "dev/bothy/image/RawImage")),
          "drivers",
          new Target(
              "dev.bothy.device.virtio.DriverFuzz",
              "bothy-devices",
              List.of("dev/bothy/device/virtio/", "dev/bothy/device/pci/")),
          "frames",
          new Target("dev.bothy.net.user.FrameFuzz", "bothy-net", List.of("dev/bothy/net/user/")),
          "share",
          new Target("dev.bothy.share.RequestFuzz", "bothy-share", List.of("dev/bothy/share/")));

  private static final com.sun.management.ThreadMXBean THREADS =
      (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

  private final String what;
  private final int seed;
  private final long cases;
  private final long end;
  private final Class<?> type;
  private final AtomicLong next;
  private final AtomicLong done = new AtomicLong();
  private final AtomicLong processorNanos = new AtomicLong();
  private final AtomicBoolean stopped = new AtomicBoolean();
  private final Map<String, Long> failures = new LinkedHashMap<>();
  private final List<Job> jobs = new ArrayList<>();

  private Fuzz(Options options, String what, Class<?> type) {
    this.what = what;
    this.type = type;
    this.seed = options.number("seed", 1);
    int seconds = options.number("seconds", 0);
    this.end = seconds == 0 ? Long.MAX_VALUE : System.nanoTime() + seconds * 1_000_000_000L;
    int only = options.number("case", -1);
    this.next = new AtomicLong(Math.max(0, only));
    int preset = seconds == 0 ? 1_000_000 : Integer.MAX_VALUE;
    this.cases = only >= 0 ? only + 1L : options.number("cases", preset);
  }

  /** Arguments: the user's options. */
  static void run(Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments, USAGE, Set.of("what", "cases", "seconds", "seed", "jobs", "case", "cover"));
    String what = options.text("what", "images");
    Target target = TARGETS.get(what);
    if (target == null) {
      throw new IllegalArgumentException("--what is images, drivers, frames or share");
    }
    FuzzCoverage coverage = new FuzzCoverage(target.jar, target.measured);
    Fuzz fuzz = new Fuzz(options, what, coverage.loader().loadClass(target.cases));
    fuzz.run(options.number("case", -1) >= 0 ? 1 : options.number("jobs", 1));
    double percent = coverage.print();
    if (!fuzz.failures.isEmpty()) {
      throw new IOException(fuzz.failures.size() + " kinds of failures, see above");
    }
    if (percent < options.number("cover", 0)) {
      throw new IOException("fewer lines are reached than --cover wants");
    }
  }

  private void run(int count) throws Exception {
    long start = System.nanoTime();
    long before = start;
    for (int i = 0; i < count; i++) {
      Job job = new Job((LongConsumer) type.getConstructor().newInstance());
      jobs.add(job);
      job.start();
    }
    for (Job job : jobs) {
      while (!job.join(java.time.Duration.ofMillis(500))) {
        jobs.forEach(Job::watch);
        if (System.nanoTime() - before > 60_000_000_000L) {
          before = System.nanoTime();
          System.err.println("bench/fuzz: " + done + " cases, " + failures.size() + " failures");
        }
      }
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    System.out.printf(
        "%s: %,d cases of seed %d in %.0f s, %,.0f a second of processor time; %d kinds of"
            + " failures%n%n",
        what,
        done.get(),
        seed,
        seconds,
        done.get() / (processorNanos.get() / 1e9),
        failures.size());
  }

  private String again(long number) {
    return "bench/fuzz --what %s --seed %d --case %d".formatted(what, seed, number);
  }

  /** The same fault, found again and again, is told once. */
  private synchronized void failed(long number, Throwable e) {
    StackTraceElement[] trace = e.getStackTrace();
    String kind =
        String.valueOf(e.getMessage()).replaceAll("(0x)?[0-9a-f]*[0-9][0-9a-f]*", "N")
            + (trace.length == 0 ? "" : trace[0]);
    if (failures.putIfAbsent(kind, number) == null) {
      System.out.println("FAILED: " + again(number));
      e.printStackTrace(System.out);
    }
    if (failures.size() >= MOST_FAILURES) {
      stopped.set(true);
    }
  }

  /** One thread, and the case that it is at. */
  private final class Job extends Thread {
    private final LongConsumer cases;
    private volatile long number = -1;
    private volatile long startedAt;
    private volatile long processorAt;

    Job(LongConsumer cases) {
      super("fuzz");
      this.cases = cases;
    }

    @Override
    public void run() {
      long count = 0;
      while (!stopped.get() && System.nanoTime() < end) {
        long first = next.getAndAdd(BLOCK);
        for (long n = first; n < Math.min(first + BLOCK, Fuzz.this.cases); n++) {
          run(n);
          count++;
        }
        if (first + BLOCK >= Fuzz.this.cases) {
          break;
        }
        done.addAndGet(count);
        count = 0;
      }
      done.addAndGet(count);
      processorNanos.addAndGet(THREADS.getCurrentThreadCpuTime());
    }

    private void run(long n) {
      startedAt = System.nanoTime();
      processorAt = -1;
      number = n;
      long bytes = THREADS.getCurrentThreadAllocatedBytes();
      try {
        cases.accept(((long) seed << 40) + n);
        long taken = THREADS.getCurrentThreadAllocatedBytes() - bytes;
        if (taken > MOST_BYTES) {
          failed(n, new AssertionError("took " + taken + " bytes of memory"));
        }
      } catch (Throwable e) {
        failed(n, e);
      }
      number = -1;
    }

    /** A case that goes on for ever ends everything. */
    void watch() {
      long n = number;
      long processor = THREADS.getThreadCpuTime(threadId());
      if (n < 0 || System.nanoTime() - startedAt < 1_000_000_000L) {
        return;
      }
      if (processorAt < 0) {
        processorAt = processor;
      }
      if (number == n
          && (processor - processorAt > MOST_PROCESSOR_NANOS
              || System.nanoTime() - startedAt > MOST_NANOS)) {
        System.out.println("HANGS: " + again(n));
        for (StackTraceElement element : getStackTrace()) {
          System.out.println("\tat " + element);
        }
        System.out.flush();
        Runtime.getRuntime().halt(1);
      }
    }
  }
}
