package dev.bothy.cli;

import dev.bothy.Console;
import dev.bothy.Vm;
import dev.bothy.VmException;
import dev.bothy.host.Terminal;
import dev.bothy.machine.MachineExit;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * One machine at this terminal, from the preparation to the last byte: keys, signals, and the
 * terminal's settings, which are put back on every way out.
 */
final class Session implements AutoCloseable, KeyFilter.Commands {
  /** How long the output of a machine that was stopped may wait for somebody to take it. */
  private static final Duration PATIENCE = Duration.ofSeconds(3);

  /** How long a signal waits for all to end in good order, of which a busy host takes its time. */
  private static final Duration LONGEST_END = PATIENCE.plusSeconds(27);

  private final StatisticsFile statistics;
  private final boolean summary;
  private final Thread hook = new Thread(this::onShutdown, "bothy-shutdown");
  private final CountDownLatch finished = new CountDownLatch(1);
  private volatile Vm vm;

  // Guarded by this.
  private Terminal terminal;
  private boolean restored;

  private volatile boolean interrupted;

  /** The monitor's, once it has been wanted; the keyboard's thread's. */
  private MonitorPrompt prompt;

  /** From here on, signals end the machine in good order. {@code statistics} may be null. */
  Session(StatisticsFile statistics, boolean summary) {
    this.statistics = statistics;
    this.summary = summary;
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /** SIGTERM, SIGHUP, SIGINT; or System.exit, by when all is done. */
  private void onShutdown() {
    if (finished.getCount() == 0) {
      return;
    }
    interrupted = true;
    Vm running = vm;
    if (running != null) {
      running.stop();
      awaitFinished();
    }
    ProcessHandle.current().children().forEach(ProcessHandle::destroy);
    restoreTerminal();
    System.err.flush();
    // The JVM would say 128 and the signal's number.
    Runtime.getRuntime().halt(ExitStatus.INTERRUPTED);
  }

  private void awaitFinished() {
    try {
      if (!finished.await(LONGEST_END.toMillis(), TimeUnit.MILLISECONDS)) {
        System.err.println("bothy: the machine did not stop in time");
      }
    } catch (InterruptedException e) {
      // Nobody interrupts this thread; go on to the end.
    }
  }

  /** Runs the machine to its end and closes it; returns the exit status. */
  int run(Vm machine, boolean isTerminal) throws VmException, IOException, InterruptedException {
    vm = machine;
    try (machine) {
      machine.gdbTarget().ifPresent(Session::tellTarget);
      machine.start();
      if (interrupted) {
        machine.stop();
      }
      if (isTerminal) {
        makeRaw();
      }
      Thread.ofPlatform()
          .daemon()
          .name("bothy-keyboard")
          .start(() -> type(machine.console(), isTerminal));
      Optional<Thread> asking =
          summary || statistics != null
              ? machine.balloon().map(MemoryFigures::ask)
              : Optional.empty();
      MachineExit end = machine.awaitExit();
      asking.ifPresent(Thread::interrupt);
      drain(machine, end);
      restoreTerminal();
      report(end);
      return writeStatistics(machine, end);
    }
  }

  private static void tellTarget(String target) {
    System.err.println("bothy: gdb may connect with: target remote " + target);
  }

  private static void drain(Vm machine, MachineExit end) throws InterruptedException {
    boolean impatient = end instanceof MachineExit.Stopped || end instanceof MachineExit.TimedOut;
    machine.drainConsole(impatient ? PATIENCE : Duration.ofDays(365));
  }

  private int writeStatistics(Vm machine, MachineExit end) {
    MemoryFigures memory = MemoryFigures.of(machine);
    if (summary) {
      System.err.print(Summary.of(end, machine.statistics(), memory));
    }
    if (statistics != null) {
      try {
        statistics.write(end, machine.statistics(), memory);
      } catch (IOException e) {
        System.err.println("bothy: cannot write the statistics: " + e.getMessage());
        return ExitStatus.HOST_ERROR;
      }
    }
    return ExitStatus.of(end);
  }

  private static void report(MachineExit end) {
    switch (end) {
      case MachineExit.TripleFault fault ->
          System.err.println(
              "bothy: the guest's processor shut down (triple fault)\n" + fault.report().strip());
      case MachineExit.EngineFailed failure ->
          System.err.println("bothy: the engine cannot go on\n" + failure.report().strip());
      case MachineExit.TimedOut _ -> System.err.println("bothy: stopped, the time was over");
      case MachineExit.HostError error -> System.err.println("bothy: " + error.message());
      case MachineExit.PoweredOff _,
          MachineExit.Reset _,
          MachineExit.DebugExit _,
          MachineExit.Stopped _ -> {
        // Asked for: nothing to explain.
      }
    }
  }

  /** Types standard input into the guest until it ends. */
  private void type(Console console, boolean isTerminal) {
    KeyFilter keys = new KeyFilter(this);
    byte[] buffer = new byte[4096];
    try (InputStream in = new FileInputStream(FileDescriptor.in)) {
      for (int length = in.read(buffer); length >= 0; length = in.read(buffer)) {
        if (!isTerminal) {
          console.send(buffer, 0, length);
          continue;
        }
        keys.filter(buffer, length);
      }
      if (isTerminal) {
        // The terminal is gone.
        vm.stop();
      }
    } catch (IOException e) {
      if (isTerminal) {
        vm.stop();
      }
    } catch (InterruptedException e) {
      // Nobody interrupts this thread.
    }
  }

  @Override
  public void typed(byte[] keys, int from, int length) throws InterruptedException {
    if (prompt != null && prompt.isOpen()) {
      prompt.type(keys, from, length);
      return;
    }
    // A guest that does not read must not keep us from hearing Ctrl-A X.
    Console console = vm.console();
    int room = Console.PENDING_LIMIT - console.pending();
    console.send(keys, from, Math.min(length, room));
  }

  @Override
  public void monitor() {
    if (prompt == null) {
      prompt = new MonitorPrompt(vm.monitor(), System.err, Terminal.size());
    }
    prompt.toggle();
  }

  @Override
  public void quit() {
    vm.stop();
  }

  @Override
  public void resume() {
    if (vm.running()) {
      vm.resume();
    }
  }

  @Override
  public void help() {
    System.err.print("\r\nbothy: " + KeyFilter.HELP + "\r\n");
    System.err.flush();
  }

  /** Not when it is all over: a signal may have come while the machine was being made. */
  private synchronized void makeRaw() throws IOException {
    if (!restored) {
      terminal = Terminal.raw();
    }
  }

  private synchronized void restoreTerminal() {
    restored = true;
    if (terminal != null) {
      terminal.close();
    }
  }

  @Override
  public void close() {
    restoreTerminal();
    finished.countDown();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The hook runs, and waits for us.
    }
  }
}
