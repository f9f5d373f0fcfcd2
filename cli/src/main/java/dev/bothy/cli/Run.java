package dev.bothy.cli;

import dev.bothy.ConsoleSocket;
import dev.bothy.Disk;
import dev.bothy.GdbOption;
import dev.bothy.MemorySize;
import dev.bothy.NetworkOption;
import dev.bothy.Share;
import dev.bothy.TraceOption;
import dev.bothy.Vm;
import dev.bothy.VmException;
import dev.bothy.Vsock;
import dev.bothy.host.Terminal;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;

/** {@code bothy run}. */
final class Run implements Command.Action {
  private final Syntax syntax =
      new Syntax(
          "Starts a machine; its serial console is this terminal. Without --kernel it is the"
              + " default guest: Debian's cloud kernel and a busybox shell.");

  private final Option engine =
      syntax.option(
          "--engine",
          "NAME",
          "What runs guest code: auto, kvm, translator or interpreter (default: auto, which takes"
              + " the first of these that 'bothy doctor' finds complete here); or verify, which"
              + " runs the last two in lock-step on one processor, slowly, in time that counts"
              + " instructions, and stops at the first difference.");

  private final Option cpu =
      syntax.option(
          "--cpu",
          "MODEL[,...]",
          "Model of the processors: v1, v2 or v3, the levels of x86-64, or max, all that there is"
              + " (default: v3 if the host's own processor has it, else v2), and, behind commas,"
              + " +FEATURE or -FEATURE for what they are to have besides or to lack.");

  private final Option cpus = syntax.option("--cpus", "N", "Number of processors (default: 1).");

  private final Option memory =
      syntax.option(
          "--memory",
          "SIZE",
          "Guest memory, in bytes or with K, M or G, powers of two (default: 1G).");

  private final Option kernel =
      syntax.option(
          "--kernel",
          "FILE",
          "Kernel: a Linux bzImage, an ELF kernel with a PVH note, or a Multiboot kernel.");

  private final Option initrd = syntax.option("--initrd", "FILE", "Initial RAM disk.");

  private final Option append =
      syntax.option(
          "--append",
          "TEXT",
          "Command line of the kernel; with the default guest, added to its own.");

  private final Option disks =
      syntax.options(
          "--disk",
          "FILE[,...]",
          "A disk: a disk image and, behind commas, format=raw or qcow2 (default: what it looks"
              + " like), readonly, cache=writeback, writethrough or unsafe (default: writeback),"
              + " serial=TEXT, and werror=report or pause for writes that fail on the host"
              + " (default: report). May be given several times.");

  private final Option networks =
      syntax.options(
          "--net",
          "KIND[,...]",
          "A network card: user, a network of the guest's own, with"
              + " hostfwd=[tcp|udp:][ADDRESS]:PORT-[ADDRESS]:PORT (several times), restrict=on,"
              + " hostname=NAME; or tap,ifname=NAME; or none, for no card. With mac=ADDRESS;"
              + " capture=FILE writes all frames in pcap format, at most capture-limit=SIZE. May be"
              + " given several times (default: user; docs/NETWORKS.md has the addresses).");

  private final Option shares =
      syntax.options(
          "--share",
          "HOSTDIR[:TAG][,readonly]",
          "A folder of the host as a virtiofs file system that the guest cannot get out of. The"
              + " default guest mounts it at /mnt/TAG, others with 'mount -t virtiofs TAG PLACE'"
              + " (default TAG: share, then share1 and so on). A colon in HOSTDIR is written"
              + " twice. May be given several times.");

  private final Option vsock =
      syntax.option(
          "--vsock",
          "CID,uds=PATH",
          "A socket device: the guest's address, and a Unix socket by which programs here reach its"
              + " ports with the line CONNECT PORT; the guest reaches its host's ports at"
              + " PATH_PORT.");

  private final Option consoles =
      syntax.options(
          "--console",
          "socket=PATH[,...]",
          "One more console, behind a Unix socket that Bothy makes: /dev/hvc0 and so on in the"
              + " guest, where the default one has a shell; with name=NAME a plain port,"
              + " /dev/virtio-ports/NAME there. May be given several times.");

  private final Option gdb =
      syntax.option(
          "--gdb",
          "PORT|PATH[,wait][,arch=NAME]",
          "Let gdb connect, with 'target remote :PORT' or 'target remote PATH': a port of the"
              + " loopback address, or a Unix socket. With wait, the machine does not run before"
              + " gdb lets it. NAME is how processors are shown: x86-64, i386, i8086 or auto, by"
              + " their mode (default: auto; docs/DEBUGGING.md has more).");

  private final Option traces =
      syntax.options(
          "--trace",
          "KIND[=FIRST[-LAST]][,...]",
          "Write lines about what the machine does, to standard error or with file=PATH to a file:"
              + " instructions, interrupts, exceptions, msrs, ports, mmio, virtio; all, or those"
              + " with numbers from FIRST to LAST: ports=0x3f8-0x3ff. At most limit=LINES"
              + " (default: 1000000); or, with last=LINES, the last ones, when the machine ends."
              + " May be given several times (docs/DEBUGGING.md has more).");

  private final Option noBalloon =
      syntax.flag(
          "--no-balloon",
          "No memory balloon, by which the guest gives memory that it does not use back to the"
              + " host.");

  private final Option noReboot = syntax.flag("--no-reboot", "A reset by the guest ends Bothy.");

  private final Option debugExit =
      syntax.flag("--debug-exit", "A guest's write to port 0xf4 ends Bothy with a status.");

  private final Option testDevice =
      syntax.flag(
          "--test-device",
          "The devices that conformance guests try a machine out with, among them PCI functions and"
              + " an IOMMU of Intel's kind.");

  private final Option timeout =
      syntax.option("--timeout", "SECONDS", "End after that long, with status 124.");

  private final Option noCache =
      syntax.flag(
          "--no-cache",
          "Neither use nor keep what makes the next start faster: translated code and unpacked"
              + " kernels, in the user's cache folder.");

  private final Option stats =
      syntax.option("--stats", "FILE", "Write statistics as JSON when the machine ends.");

  private final Option summary =
      syntax.flag(
          "--summary", "Say on standard error what the machine did when it ends, as a table.");

  private final CodeOptions code = new CodeOptions(syntax);

  Run() {
    syntax.text(
        """

        In the values of options with commas, a comma that belongs to a file's name or
        another text is written twice: --disk a,,b.img is the file a,b.img.

        Exit status:
            0   the guest powered off (or reset, with --no-reboot)
            1   an error on the host's side
            2   wrong usage
            3   the guest's processor shut down (triple fault), or the engine cannot go
                on
          124   the time given by --timeout was over
          130   interrupted by a signal or by Ctrl-A X
            n   with --debug-exit, (v*2+1) mod 256 for a guest's write of v to port 0xf4

        Keys, when standard input is a terminal:
          Ctrl-A X quits, Ctrl-A C opens the monitor and leaves it, Ctrl-A R lets a machine
          go on that a disk's trouble has paused, Ctrl-A H helps, Ctrl-A Ctrl-A sends
          Ctrl-A. All others go to the guest, Ctrl-C too.

        The monitor sees into the machine and handles it: info registers, memory,
        interrupts, devices, blocks, network or engine; pause, resume, reset, poweroff,
        nmi, dump-memory FILE, and engine NAME, which goes on with another engine. help
        lists all, the tabulator completes.

        Examples:
          A shell in the default guest:
            bothy run
          A kernel and initrd of your own, two processors:
            bothy run --cpus 2 --memory 512M --kernel vmlinuz --initrd initrd.img \\
                --append "console=ttyS0 quiet"
          A disk, and a card whose port 22 is port 2222 of the host's loopback address:
            bothy run --disk debian.qcow2 --net user,hostfwd=:2222-:22 --kernel vmlinuz \\
                --initrd initrd.img --append "console=ttyS0 root=/dev/vda1"
          A kernel that waits for gdb, which connects with 'target remote :1234':
            bothy run --gdb 1234,wait --kernel vmlinuz --append "console=ttyS0 nokaslr"
          This folder, for reading and writing at /mnt/share in the default guest:
            bothy run --share .
          Commands from a pipe, at most two minutes, with statistics:
            echo "uname -a; exit" | bothy run --timeout 120 --stats run.json
        """);
  }

  @Override
  public String name() {
    return "run";
  }

  @Override
  public Syntax syntax() {
    return syntax;
  }

  @Override
  public int run(List<String> operands) throws InterruptedException {
    Vm.Builder builder = configured();
    StatisticsFile statistics = null;
    if (stats.given()) {
      Path file = Path.of(stats.value().orElseThrow());
      try {
        statistics = StatisticsFile.at(file);
      } catch (IOException e) {
        return hostError(
            "cannot write statistics to " + file + " (" + e.getMessage() + "): name another file");
      }
    }
    return run(builder, statistics);
  }

  private int run(Vm.Builder builder, StatisticsFile statistics) throws InterruptedException {
    try (Session session = new Session(statistics, summary.given())) {
      boolean terminal = Terminal.isTerminal(Terminal.STANDARD_INPUT);
      boolean redraw = Terminal.isTerminal(Terminal.STANDARD_ERROR);
      Vm vm;
      try (ProgressBar progress =
          new ProgressBar(System.err, redraw, "preparing the default guest, this once")) {
        if (terminal && !kernel.given()) {
          Terminal.size()
              .ifPresent(
                  size ->
                      builder.append(
                          "bothy.rows=%d bothy.columns=%d %s"
                              .formatted(size.rows(), size.columns(), append.value().orElse(""))));
        }
        vm = builder.progress(progress).observe(code.observation(terminal)).build();
      }
      return session.run(vm, terminal);
    } catch (VmException | IOException e) {
      return hostError(e.getMessage());
    } catch (UncheckedIOException e) {
      // A disk could not be flushed when the machine was closed.
      return hostError(e.getMessage());
    }
  }

  private Vm.Builder configured() {
    Vm.Builder builder =
        Vm.builder()
            .reboot(!noReboot.given())
            .debugExit(debugExit.given())
            .testDevice(testDevice.given())
            .cache(!noCache.given())
            .balloon(!noBalloon.given())
            .append(append.value().orElse(""))
            .troubles(Run::tell)
            .consoleStream(new FileOutputStream(FileDescriptor.out));
    checked(engine, builder::engine);
    checked(cpu, builder::cpu);
    checked(cpus, value -> builder.cpus(wholeNumber(value)));
    checked(memory, value -> builder.memory(MemorySize.parse(value)));
    checked(timeout, value -> builder.timeout(seconds(value)));
    checked(kernel, value -> builder.kernel(Path.of(value)));
    checked(initrd, value -> builder.initrd(Path.of(value)));
    checked(disks, value -> builder.disk(Disk.parse(value)));
    checked(consoles, value -> builder.consoleSocket(ConsoleSocket.Place.parse(value)));
    checked(networks, value -> builder.network(NetworkOption.parse(value)));
    checked(shares, value -> builder.share(Share.parse(value)));
    checked(vsock, value -> builder.vsock(Vsock.parse(value)));
    checked(gdb, value -> builder.gdb(GdbOption.parse(value)));
    checked(traces, value -> builder.trace(TraceOption.parse(value), Run::tellLine));
    return builder;
  }

  /** Sets what {@code option} has values for. */
  private static void checked(Option option, Consumer<String> setting) {
    try {
      option.values().forEach(setting);
    } catch (IllegalArgumentException e) {
      throw new WrongUsage(option.name() + ": " + e.getMessage());
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

  /** In the middle of the guest's output, so on a line of its own. */
  private static void tell(String trouble) {
    System.err.print("\r\nbothy: " + trouble + "\r\n");
    System.err.flush();
  }

  /** A terminal that the guest's output shares does not return to the left by itself. */
  private static void tellLine(String line) {
    System.err.print(line + "\r\n");
  }

  private static int hostError(String message) {
    System.err.println("bothy: " + message);
    return ExitStatus.HOST_ERROR;
  }
}
