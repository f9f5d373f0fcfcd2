package dev.bothy.machine;

import dev.bothy.machine.boot.BootSource;
import dev.bothy.machine.boot.BootState;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Runs hostile guests and says how they ended. As a program: {@code HostileRun SECONDS [SEED
 * [INSTRUCTIONS [MODE]]]} goes through seeds until the time is over, or through one alone.
 */
final class HostileRun {
  private static final Duration PATIENCE = Duration.ofSeconds(2);

  /** After this, a machine hangs, however much other work the host has. */
  static final Duration HANGS = Duration.ofSeconds(240);

  private HostileRun() {}

  /** How a guest ended, if it did, and how much it did. */
  record Outcome(Optional<MachineExit> exit, long instructions, Machine machine) {}

  /** What a test wants to see before the machine goes. */
  interface Look {
    void at(Outcome outcome) throws Exception;
  }

  static MachineOptions options(BootSource boot) {
    return MachineOptions.of(HostileGuest.MEMORY, InterpreterEngine::new, boot, value -> {})
        .withName("hostile")
        .withReboot(false);
  }

  /**
   * Runs a machine for a number of instructions; stops it if that takes more than a few seconds of
   * host time.
   *
   * @throws AssertionError if it does not stop, or ends by an error of the host or the engine
   */
  static void run(String what, MachineOptions options, long instructions, Look look)
      throws Exception {
    run(what, options, instructions, PATIENCE, look);
  }

  /** The same with another patience. */
  static void run(
      String what, MachineOptions options, long instructions, Duration patience, Look look)
      throws Exception {
    Machine machine = new Machine(options.withCountedClock(20));
    // It runs for so many instructions from the first on.
    machine.pause();
    machine.start();
    runTo(what, machine, instructions, patience);
    finish(what, machine, look);
  }

  /**
   * Runs {@code machine} until it has done so many instructions, or is idle; stops it if it takes
   * too long.
   */
  static void runTo(String what, Machine machine, long instructions, Duration patience)
      throws InterruptedException {
    CountDownLatch done = new CountDownLatch(1);
    Thread runner =
        Thread.ofPlatform()
            .daemon()
            .start(
                () -> {
                  machine.pause();
                  long left;
                  while (machine.running()
                      && (left = instructions - machine.vcpu(0).instructions()) > 0) {
                    long before = machine.vcpu(0).instructions();
                    machine.runFor(left);
                    if (machine.vcpu(0).instructions() == before) {
                      break;
                    }
                  }
                  done.countDown();
                });
    if (!done.await(patience.toMillis(), TimeUnit.MILLISECONDS)) {
      machine.stop();
      if (!done.await(HANGS.toMillis(), TimeUnit.MILLISECONDS)) {
        throw new AssertionError(what + " does not stop:\n" + stacks());
      }
    }
    runner.join();
  }

  /** Lets a machine run on the host's clock for a while, then stops it. */
  static void runFreely(String what, MachineOptions options, Duration time, Look look)
      throws Exception {
    Machine machine = new Machine(options);
    machine.start();
    machine.awaitExit(time);
    finish(what, machine, look);
  }

  /** Waits until a processor has done something, or the machine has ended. */
  static void awaitWork(Machine machine, int cpu) throws InterruptedException {
    while (machine.running() && machine.vcpu(cpu).instructions() <= 100) {
      Thread.sleep(1);
    }
  }

  static void finish(String what, Machine machine, Look look) throws Exception {
    Optional<MachineExit> exit = machine.awaitExit(Duration.ZERO);
    long instructions = 0;
    for (int i = 0; i < machine.options().cpus(); i++) {
      instructions += machine.vcpu(i).instructions();
    }
    look.at(new Outcome(exit, instructions, machine));
    machine.stop();
    MachineExit end =
        machine
            .awaitExit(HANGS)
            .orElseThrow(() -> new AssertionError(what + " does not stop:\n" + stacks()));
    machine.close();
    if (end instanceof MachineExit.HostError(String message, Throwable cause)) {
      throw new AssertionError(what + ": " + message, cause);
    }
    if (end instanceof MachineExit.EngineFailed(String report)) {
      throw new AssertionError(what + ": " + report);
    }
  }

  private static String stacks() {
    StringBuilder text = new StringBuilder();
    Thread.getAllStackTraces()
        .forEach(
            (thread, frames) -> {
              if (thread.getName().startsWith("hostile") || thread.getName().startsWith("bothy")) {
                text.append(thread).append('\n');
                Arrays.stream(frames)
                    .limit(25)
                    .forEach(f -> text.append("  ").append(f).append('\n'));
              }
            });
    return text.toString();
  }

  static void runSeed(long seed, BootState.Mode mode, long instructions, Look look)
      throws Exception {
    run("seed " + seed + " in " + mode, options(HostileGuest.of(seed, mode)), instructions, look);
  }

  public static void main(String[] args) throws Exception {
    long end = System.nanoTime() + Long.parseLong(args[0]) * 1_000_000_000L;
    long first = args.length > 1 ? Long.parseLong(args[1]) : 0;
    long instructions = args.length > 2 ? Long.parseLong(args[2]) : 100_000;
    Map<String, Long> counters = new TreeMap<>();
    long executed = 0;
    int failures = 0;
    long seed = first;
    Map<String, Integer> ends = new TreeMap<>();
    for (; System.nanoTime() < end; seed++) {
      for (BootState.Mode mode : BootState.Mode.values()) {
        if (args.length > 3 && !args[3].equals(mode.name())) {
          continue;
        }
        long[] counts = new long[1];
        try {
          runSeed(
              seed,
              mode,
              instructions,
              outcome -> {
                counts[0] = outcome.instructions();
                outcome
                    .machine()
                    .vcpu(0)
                    .counters()
                    .forEach((name, count) -> counters.merge(name, count, Long::sum));
                ends.merge(
                    mode
                        + " "
                        + outcome
                            .exit()
                            .map(e -> e.getClass().getSimpleName())
                            .orElse(counts[0] >= instructions ? "ran on" : "idle"),
                    1,
                    Integer::sum);
              });
        } catch (AssertionError e) {
          failures++;
          System.out.println(e.getMessage());
          if (e.getCause() != null) {
            Arrays.stream(e.getCause().getStackTrace())
                .limit(8)
                .forEach(f -> System.out.println("   at " + f));
          }
        }
        executed += counts[0];
      }
    }
    System.out.println(
        (seed - first)
            + " seeds, "
            + executed
            + " instructions, "
            + counters
            + ", "
            + failures
            + " failures, "
            + ends);
  }
}
