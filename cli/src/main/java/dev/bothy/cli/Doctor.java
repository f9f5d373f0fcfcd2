package dev.bothy.cli;

import dev.bothy.EchoKernel;
import dev.bothy.Engines;
import dev.bothy.Vm;
import dev.bothy.VmException;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.host.NativeAccess;
import dev.bothy.host.PrivateFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** {@code bothy doctor}. */
final class Doctor implements Command.Action {
  private final Syntax syntax =
      new Syntax("Says which engines work here, and why the others do not.");

  @Override
  public String name() {
    return "doctor";
  }

  @Override
  public Syntax syntax() {
    return syntax;
  }

  @Override
  public int run(List<String> operands) throws InterruptedException {
    System.out.println("engines:");
    boolean sound = true;
    for (String engine : List.of(Engines.KVM, Engines.TRANSLATOR, Engines.INTERPRETER)) {
      Optional<String> refusal = Engines.refusal(engine);
      String trouble = refusal.isPresent() ? "" : trouble(engine);
      boolean works = refusal.isEmpty() && trouble.isEmpty();
      boolean kvm = engine.equals(Engines.KVM);
      Optional<String> shortcoming =
          works && kvm ? Engines.kvmShortcoming(Engines.usualModel()) : Optional.empty();
      // An engine in software needs nothing that the host might give in part.
      sound &= trouble.isEmpty() || kvm;
      System.out.printf(
          "  %-12s %-4s %s%n",
          engine,
          !works ? "no" : shortcoming.isPresent() ? "part" : "yes",
          !works
              ? refusal.orElse(trouble)
              : shortcoming
                  .map(what -> "ran a guest, but is not complete: " + what)
                  .orElse("ran a guest on Java " + Runtime.version() + (kvm ? without() : "")));
    }
    System.out.println("  auto takes the " + Engines.automatic());
    System.out.println("host:");
    System.out.println("  " + calls());
    System.out.println("  default guest: " + guest());
    System.out.println("  kept for the next start: " + kept());
    return sound ? ExitStatus.OK : ExitStatus.HOST_ERROR;
  }

  /** What goes wrong with an engine that nothing speaks against; empty: nothing. */
  private static String trouble(String engine) throws InterruptedException {
    try {
      EchoKernel.check(engine);
      return "";
    } catch (VmException e) {
      return e.getMessage();
    }
  }

  /** What guests are told that this host's KVM does not have. */
  private static String without() {
    return Engines.kvmWithout(Engines.usualModel()).map(what -> ", without " + what).orElse("");
  }

  private static String calls() {
    return NativeAccess.allowed()
        ? "calls into the C library: allowed"
        : "calls into the C library: off; only the interpreter does without";
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

  private static String kept() {
    Path folder = DefaultGuest.cacheFolder();
    try {
      new PrivateFolder(folder.resolve(Vm.TRANSLATIONS)).create();
      long bytes = size(folder.resolve(Vm.TRANSLATIONS)) + size(folder.resolve(Vm.KERNELS));
      return (bytes >> 20) + " MiB in " + folder;
    } catch (IOException e) {
      return "nothing can be: " + e.getMessage();
    }
  }

  private static long size(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return 0;
    }
    try (Stream<Path> files = Files.list(folder)) {
      long sum = 0;
      for (Path file : files.toList()) {
        sum += Files.size(file);
      }
      return sum;
    }
  }
}
