package dev.bothy.cli;

import dev.bothy.EchoKernel;
import dev.bothy.Engines;
import dev.bothy.Vm;
import dev.bothy.VmException;
import dev.bothy.guest.DefaultGuest;
import java.io.IOException;
import java.time.Duration;
import java.util.List;

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
      for (String engine : List.of(Engines.INTERPRETER, Engines.TRANSLATOR)) {
        if (Engines.refusal(engine).isEmpty()) {
          fastest = engine;
          EchoKernel.check(engine);
        }
      }
      // The second time with what the first has kept.
      return DefaultGuest.isPrepared() && boot(fastest) && boot(fastest)
          ? ExitStatus.OK
          : ExitStatus.HOST_ERROR;
    } catch (VmException | IOException e) {
      return ExitStatus.HOST_ERROR;
    }
  }

  private static boolean boot(String engine) throws VmException, IOException, InterruptedException {
    try (Vm vm = Vm.builder().engine(engine).memory("512M").cache(true).start()) {
      vm.console().expect("/root # ", LIMIT);
      vm.console().send("ls -l /bin | head; cat /proc/cpuinfo; exit\n");
      return vm.awaitExit(LIMIT).isPresent();
    }
  }
}
