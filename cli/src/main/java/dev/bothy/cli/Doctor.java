package dev.bothy.cli;

import dev.bothy.EchoKernel;
import dev.bothy.Engines;
import dev.bothy.VmException;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.host.NativeAccess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** {@code bothy doctor}. */
@Command(
    name = "doctor",
    mixinStandardHelpOptions = true,
    description = "Says which engines work here, and why the others do not.")
final class Doctor implements Callable<Integer> {
  @Override
  public Integer call() throws InterruptedException {
    System.out.println("engines:");
    System.out.println("  kvm          no   not built yet; this host: " + kvm());
    System.out.println("  translator   no   not built yet; this host: " + processor());
    String trouble = interpreterTrouble();
    System.out.println(
        trouble.isEmpty()
            ? "  interpreter  yes  ran a guest on Java " + Runtime.version()
            : "  interpreter  no   " + trouble);
    System.out.println("host:");
    System.out.println("  " + calls());
    System.out.println("  default guest: " + guest());
    return trouble.isEmpty() ? ExitStatus.OK : ExitStatus.HOST_ERROR;
  }

  private static String interpreterTrouble() throws InterruptedException {
    try {
      EchoKernel.check(Engines.INTERPRETER);
      return "";
    } catch (VmException e) {
      return e.getMessage();
    }
  }

  private static String kvm() {
    Path device = Path.of("/dev/kvm");
    if (!Files.exists(device)) {
      return "has no /dev/kvm";
    }
    return Files.isReadable(device) && Files.isWritable(device)
        ? "offers /dev/kvm"
        : "has /dev/kvm, but you may not use it (usually: join the group kvm)";
  }

  private static String processor() {
    String architecture = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
    return architecture.equals("amd64") || architecture.equals("x86_64")
        ? "has an x86-64 processor, as the translator will need"
        : "has a processor of another kind (" + architecture + ")";
  }

  private static String calls() {
    return NativeAccess.allowed()
        ? "calls into the C library: allowed"
        : "calls into the C library: off; the interpreter does without";
  }

  private static String guest() {
    try {
      return DefaultGuest.isPrepared()
          ? "prepared"
          : "not prepared yet; 'bothy run' fetches it with apt, once";
    } catch (IOException e) {
      return "unknown: " + e.getMessage();
    }
  }
}
