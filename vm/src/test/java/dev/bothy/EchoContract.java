package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.machine.MachineExit;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a machine with the echo kernel does on every engine. */
abstract class EchoContract {
  static final Duration LONG = Duration.ofSeconds(240);

  @TempDir Path folder;
  private Path kernel;

  @BeforeEach
  void writeKernel() throws IOException {
    kernel = Files.write(folder.resolve("echo.bin"), EchoKernel.image());
  }

  final Path kernel() {
    return kernel;
  }

  /** A machine on the engine of the test, with {@link #kernel}. */
  abstract Vm.Builder echo();

  static MachineExit tell(Vm vm, char command) throws Exception {
    vm.console().expect(EchoKernel.PROMPT, LONG);
    vm.console().send(String.valueOf(command));
    return vm.awaitExit();
  }

  @Test
  void everyWayToEndIsTold() throws Exception {
    try (Vm vm = echo().start()) {
      assertInstanceOf(MachineExit.PoweredOff.class, tell(vm, EchoKernel.POWER_OFF));
    }
    try (Vm vm = echo().reboot(false).start()) {
      assertInstanceOf(MachineExit.Reset.class, tell(vm, EchoKernel.RESET));
    }
    try (Vm vm = echo().debugExit(true).start()) {
      assertEquals(
          new MachineExit.DebugExit(EchoKernel.EXIT_CODE), tell(vm, EchoKernel.DEBUG_EXIT));
    }
    try (Vm vm = echo().start()) {
      MachineExit end = tell(vm, EchoKernel.TRIPLE_FAULT);
      assertTrue(assertInstanceOf(MachineExit.TripleFault.class, end).report().contains("RIP"));
    }
    try (Vm vm = echo().timeout(Duration.ofMillis(200)).start()) {
      // However late the kernel gets to see it.
      vm.console().send(String.valueOf(EchoKernel.HALT));
      assertInstanceOf(MachineExit.TimedOut.class, vm.awaitExit());
    }
  }

  @Test
  void resetStartsTheKernelAgain() throws Exception {
    try (Vm vm = echo().start()) {
      vm.console().expect(EchoKernel.PROMPT, LONG);
      vm.console().send(String.valueOf(EchoKernel.RESET));
      vm.console().expect(EchoKernel.PROMPT, LONG);
      vm.console().send("again");
      vm.console().expect("again", LONG);
    }
  }
}
