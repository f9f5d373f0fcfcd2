package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.machine.boot.BootException;
import dev.bothy.machine.boot.BootSource;
import dev.bothy.machine.boot.BootState;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Machines that are closed leave nothing behind, however they ended. */
@Timeout(600)
class MachineResourcesTest {
  private static final int MACHINES = 200;

  /** What belongs to machines: descriptors, mappings, threads by their names. */
  private record Use(long descriptors, long mappings, long threads) {
    static Use now() throws IOException {
      try (var descriptors = Files.list(Path.of("/proc/self/fd"));
          var maps = Files.lines(Path.of("/proc/self/maps"))) {
        return new Use(
            descriptors.count(),
            maps.filter(line -> line.contains("bothy")).count(),
            Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("leak"))
                .count());
      }
    }
  }

  /** The ends that a machine may come to, one after the other. */
  private static void machine(int number) throws Exception {
    // Spins; powers off; halts; triple fault.
    String[] guests = {"ebfe", "66ba040666b8003466eff4ebfd", "f4", "0f011d00002000cc"};
    BootSource boot = HostileGuestTest.code(BootState.Mode.PROTECTED, guests[number % 4]);
    BootSource failing =
        _ -> {
          throw new BootException("nothing to boot");
        };
    MachineOptions options =
        MachineOptions.of(
                HostileGuest.MEMORY,
                InterpreterEngine::new,
                number % 10 == 9 ? failing : boot,
                value -> {})
            .withName("leak" + number)
            .withCpus(1 + number % 3);
    try (Machine machine = new Machine(options)) {
      if (number % 10 == 8) {
        return; // never started
      }
      machine.start();
      switch (number % 4) {
        case 0 -> machine.pause();
        case 1, 3 -> machine.awaitExit();
        default -> {}
      }
    } catch (BootException e) {
      // As it should be.
    }
  }

  @Test
  void twoHundredMachinesLeaveNothingBehind() throws Exception {
    Assumptions.assumeTrue(Files.isReadable(Path.of("/proc/self/maps")), "needs /proc");
    for (int i = 0; i < 20; i++) {
      machine(i);
    }
    Use before = Use.now();
    for (int i = 0; i < MACHINES; i++) {
      machine(i);
    }
    Use after = Use.now();
    // Other tests of this JVM have come to rest: but for a file that the class loader opened, all
    // is as before.
    assertTrue(after.descriptors() <= before.descriptors() + 3, before + " " + after);
    assertTrue(after.mappings() <= before.mappings(), before + " " + after);
    assertTrue(after.threads() == 0, before + " " + after);
  }
}
