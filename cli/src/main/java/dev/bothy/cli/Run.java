package dev.bothy.cli;

import dev.bothy.Engines;
import dev.bothy.MemorySize;
import dev.bothy.Vm;
import dev.bothy.VmException;
import dev.bothy.host.Terminal;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code bothy run}. */
@Command(
    name = "run",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    usageHelpAutoWidth = true,
    description =
        "Starts a machine; its serial console is this terminal. Without --kernel it is the default"
            + " guest: Debian's cloud kernel and a busybox shell.",
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {
      "  0:the guest powered off (or reset, with --no-reboot)",
      "  1:an error on the host's side",
      "  2:wrong usage",
      "  3:the guest's processor shut down (triple fault), or the engine cannot go on",
      "124:the time given by --timeout was over",
      "130:interrupted by a signal or by Ctrl-A X",
      "  n:with --debug-exit, (v*2+1) mod 256 for a guest's write of v to port 0xf4"
    },
    footerHeading = "%nKeys, when standard input is a terminal:%n",
    footer = {
      "  Ctrl-A X quits, Ctrl-A H helps, Ctrl-A Ctrl-A sends Ctrl-A. All others go to the guest,"
          + " Ctrl-C too.",
      "",
      "Examples:",
      "  A shell in the default guest:",
      "    bothy run",
      "  A kernel and initrd of your own, two processors:",
      "    bothy run --cpus 2 --memory 512M --kernel vmlinuz --initrd initrd.img \\",
      "        --append \"console=ttyS0 quiet\"",
      "  Commands from a pipe, at most two minutes, with statistics:",
      "    echo \"uname -a; exit\" | bothy run --timeout 120 --stats run.json",
    })
final class Run implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--engine",
      paramLabel = "NAME",
      description =
          "What runs guest code: auto, translator or interpreter (default: auto, which takes the"
              + " fastest that 'bothy doctor' finds working here); or verify, which runs the last"
              + " two in lock-step on one processor, slowly, in time that counts instructions, and"
              + " stops at the first difference.")
  private String engine = Engines.AUTO;

  @Option(
      names = "--cpu",
      paramLabel = "MODEL",
      description = "Model of the processors: v2 (default: v2).")
  private String cpu = "v2";

  @Option(names = "--cpus", paramLabel = "N", description = "Number of processors (default: 1).")
  private String cpus = "1";

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      description = "Guest memory, in bytes or with K, M or G, powers of two (default: 1G).")
  private String memory = "1G";

  @Option(
      names = "--kernel",
      paramLabel = "FILE",
      description =
          "Kernel: a Linux bzImage, an ELF kernel with a PVH note, or a Multiboot kernel.")
  private Path kernel;

  @Option(names = "--initrd", paramLabel = "FILE", description = "Initial RAM disk.")
  private Path initrd;

  @Option(
      names = "--append",
      paramLabel = "TEXT",
      description = "Command line of the kernel; with the default guest, added to its own.")
  private String append = "";

  @Option(names = "--no-reboot", description = "A reset by the guest ends Bothy.")
  private boolean noReboot;

  @Option(
      names = "--debug-exit",
      description = "A guest's write to port 0xf4 ends Bothy with a status.")
  private boolean debugExit;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      description = "End after that long, with status 124.")
  private String timeout;

  @Option(
      names = "--no-cache",
      description =
          "Neither use nor keep what makes the next start faster: translated code and unpacked"
              + " kernels, in the user's cache folder.")
  private boolean noCache;

  @Option(
      names = "--stats",
      paramLabel = "FILE",
      description = "Write statistics as JSON when the machine ends.")
  private Path stats;

  @Option(
      names = "--summary",
      description = "Say on standard error what the machine did when it ends, as a table.")
  private boolean summary;

  @ArgGroup(validate = false, heading = "%nTo look at the translator's machine code:%n")
  private final CodeOptions code = new CodeOptions();

  @Override
  public Integer call() throws InterruptedException {
    Vm.Builder builder = configured();
    StatisticsFile statistics = null;
    if (stats != null) {
      try {
        statistics = StatisticsFile.at(stats);
      } catch (IOException e) {
        return hostError(
            "cannot write statistics to " + stats + " (" + e.getMessage() + "): name another file");
      }
    }
    return run(builder, statistics);
  }

  private int run(Vm.Builder builder, StatisticsFile statistics) throws InterruptedException {
    try (Session session = new Session(statistics, summary)) {
      boolean terminal = Terminal.isTerminal(Terminal.STANDARD_INPUT);
      boolean redraw = Terminal.isTerminal(Terminal.STANDARD_ERROR);
      Vm vm;
      try (ProgressBar progress = new ProgressBar(System.err, redraw)) {
        if (terminal && kernel == null) {
          Terminal.size()
              .ifPresent(
                  size ->
                      builder.append(
                          "bothy.rows=%d bothy.columns=%d %s"
                              .formatted(size.rows(), size.columns(), append)));
        }
        vm = builder.progress(progress).observe(code.observation(spec, terminal)).build();
      }
      return session.run(vm, terminal);
    } catch (VmException e) {
      return hostError(e.getMessage());
    } catch (IOException e) {
      return hostError(e.getMessage());
    }
  }

  private Vm.Builder configured() {
    Vm.Builder builder =
        Vm.builder()
            .reboot(!noReboot)
            .debugExit(debugExit)
            .cache(!noCache)
            .append(append)
            .consoleStream(new FileOutputStream(FileDescriptor.out));
    checked("--engine", () -> builder.engine(engine));
    checked("--cpu", () -> builder.cpu(cpu));
    checked("--cpus", () -> builder.cpus(wholeNumber(cpus)));
    checked("--memory", () -> builder.memory(MemorySize.parse(memory)));
    if (timeout != null) {
      checked("--timeout", () -> builder.timeout(seconds(timeout)));
    }
    if (kernel != null) {
      builder.kernel(kernel);
    }
    if (initrd != null) {
      builder.initrd(initrd);
    }
    return builder;
  }

  private void checked(String option, Runnable setting) {
    try {
      setting.run();
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), option + ": " + e.getMessage());
    }
  }

  private static int wholeNumber(String text) {
    try {
      return Integer.parseInt(text);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("\"" + text + "\" is no number of processors", e);
    }
  }

  private static Duration seconds(String text) {
    double seconds;
    try {
      seconds = Double.parseDouble(text);
    } catch (NumberFormatException e) {
      seconds = -1;
    }
    // At most ten years; this also refuses what is not a number.
    if (!(seconds > 0 && seconds < 3e8)) {
      throw new IllegalArgumentException("\"" + text + "\" is no number of seconds above 0");
    }
    return Duration.ofNanos((long) (seconds * 1e9));
  }

  private static int hostError(String message) {
    System.err.println("bothy: " + message);
    return ExitStatus.HOST_ERROR;
  }
}
