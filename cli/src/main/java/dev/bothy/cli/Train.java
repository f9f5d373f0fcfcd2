package dev.bothy.cli;

import dev.bothy.EchoKernel;
import dev.bothy.Engines;
import dev.bothy.Vm;
import dev.bothy.VmException;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.host.NativeAccess;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;

/**
 * {@code bothy train}: does what users do, for a JVM that records it for its cache. Ends with
 * status 0 if the default guest was booted, 1 if it could not be.
 */
final class Train implements Command.Action {
  private static final Duration LIMIT = Duration.ofMinutes(1);

  private final Syntax syntax = new Syntax("For the launcher's cache of classes.");

  @Override
  public String name() {
    return "train";
  }

  @Override
  public String description() {
    // Nothing that anybody would type.
    return "";
  }

  @Override
  public Syntax syntax() {
    return syntax;
  }

  @Override
  public int run(List<String> operands) throws InterruptedException {
    String fastest = Engines.INTERPRETER;
    try {
      if (Engines.refusal(Engines.TRANSLATOR).isEmpty()) {
        fastest = Engines.TRANSLATOR;
      }
      commands();
      disks();
      // The second time with what the first has kept.
      return DefaultGuest.isPrepared() && boot(fastest) && boot(fastest)
          ? ExitStatus.OK
          : ExitStatus.HOST_ERROR;
    } catch (VmException | IOException e) {
      return ExitStatus.HOST_ERROR;
    }
  }

  /** Machines from the command line, with every engine that there is. */
  private static void commands() throws IOException {
    Path folder = Files.createTempDirectory("bothy-train");
    try {
      NativeAccess.linkAhead();
      Path kernel = folder.resolve("echo.bin");
      Files.write(kernel, EchoKernel.image(EchoKernel.POWER_OFF));
      String statistics = folder.resolve("statistics.json").toString();
      for (String engine :
          List.of(Engines.INTERPRETER, Engines.TRANSLATOR, Engines.KVM, Engines.AUTO)) {
        Main.execute(
            "run",
            "--engine",
            engine,
            "--kernel",
            kernel.toString(),
            "--memory",
            "2M",
            "--timeout",
            "10",
            "--stats",
            statistics);
      }
      Main.execute("--version");
    } finally {
      delete(folder);
    }
  }

  /** What is done with images: mostly conversions, which are waited for. */
  private static void disks() throws IOException {
    Path folder = Files.createTempDirectory("bothy-train");
    try {
      Path raw = folder.resolve("a.raw");
      byte[] mebibyte = new byte[1 << 20];
      try (OutputStream out = Files.newOutputStream(raw)) {
        for (int i = 0; i < 32; i++) {
          // Bytes that compress to about a half, and zeros.
          for (int at = 0; i % 4 != 3 && at < mebibyte.length; at++) {
            mebibyte[at] = (byte) (at * 31 % (i + 100) * (at >>> 3 + i % 5));
          }
          out.write(i % 4 == 3 ? new byte[1 << 20] : mebibyte);
        }
      }
      String qcow2 = folder.resolve("b.qcow2").toString();
      String packed = folder.resolve("c.qcow2").toString();
      Main.execute("disk", "create", folder.resolve("d.qcow2").toString(), "1G");
      Main.execute("disk", "convert", raw.toString(), qcow2);
      Main.execute("disk", "convert", "--compress", qcow2, packed);
      Main.execute("disk", "convert", packed, folder.resolve("e.raw").toString());
      Main.execute("disk", "snapshot", qcow2, "create", "now");
      Main.execute("disk", "check", packed);
      Main.execute("disk", "info", "--json", qcow2);
      try (DiskProgress shown = new DiskProgress(System.err, false, "training")) {
        shown.show(1, 2);
      }
    } finally {
      delete(folder);
    }
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(folder);
  }

  private static boolean boot(String engine) throws VmException, IOException, InterruptedException {
    try (Vm vm = Vm.builder().engine(engine).memory("512M").cache(true).start()) {
      vm.console().expect("/root # ", LIMIT);
      vm.console().send("ls -l /bin | head; cat /proc/cpuinfo; exit\n");
      return vm.awaitExit(LIMIT).isPresent();
    }
  }
}
