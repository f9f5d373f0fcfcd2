package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.host.NativeAccess;
import dev.bothy.machine.boot.BootSource;
import dev.bothy.machine.boot.BootState;
import dev.bothy.machine.boot.KernelBoot;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * With {@code -Dbothy.native=off} nothing of Bothy calls native code: a JVM that runs guests that
 * way never loads what the Java platform makes such calls with, and no library.
 */
@Timeout(900)
class NativeOffTest {
  /**
   * What makes a call into native code possible; other classes of its package every JVM loads when
   * it starts.
   */
  private static final Pattern LINKER =
      Pattern.compile("jdk\\.internal\\.foreign\\.abi\\.\\S*(Linker|CallArranger)\\s|LinuxMemory");

  @TempDir Path folder;

  /**
   * Runs in the child: the guests of {@link HostileGuestTest} that lock and print on two
   * processors, a saved and loaded machine, and a kernel for the seconds in the second argument if
   * the first names one.
   */
  static final class Child {
    private Child() {}

    public static void main(String[] args) throws Exception {
      require(!NativeAccess.allowed());
      // "hi" to COM1, then power-off.
      BootSource hello =
          HostileGuestTest.code(
              BootState.Mode.PROTECTED, "66baf803b068eeb069eeb00aee66ba040666b8003466eff4ebfd");
      StringBuilder text = new StringBuilder();
      try (Machine machine =
          new Machine(
              MachineOptions.of(
                  HostileGuest.MEMORY,
                  InterpreterEngine::new,
                  hello,
                  b -> text.append((char) b)))) {
        machine.start();
        require(machine.awaitExit() instanceof MachineExit.PoweredOff);
      }
      require(text.toString().equals("hi\n"));
      new HostileGuestTest().survivesProcessorsThatChangeEachOthersCode();
      new SavedStateTest().aMachineGoesOnAlikeFromEachOfManyMomentsInARow();
      if (args.length > 0) {
        bootKernel(Path.of(args[0]), Integer.parseInt(args[1]));
      }
      System.out.println("done");
    }

    private static void bootKernel(Path kernel, int seconds) throws Exception {
      StringBuffer log = new StringBuffer();
      BootSource boot = new KernelBoot(kernel, Optional.empty(), "console=ttyS0 earlyprintk=ttyS0");
      try (Machine machine =
          new Machine(
              MachineOptions.of(
                  256 << 20, InterpreterEngine::new, boot, b -> log.append((char) b)))) {
        machine.start();
        for (int i = 0; i < seconds * 10 && log.indexOf("Linux version") < 0; i++) {
          machine.awaitExit(Duration.ofMillis(100));
        }
        machine.awaitExit(Duration.ofSeconds(2));
        require(machine.running());
        require(log.indexOf("Linux version") >= 0);
      }
    }

    private static void require(boolean condition) {
      if (!condition) {
        throw new AssertionError();
      }
    }
  }

  private List<String> loadedClasses(List<String> arguments, String... options) throws Exception {
    Path log = folder.resolve("classes.log");
    Path output = folder.resolve("output.log");
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(options));
    command.addAll(
        List.of(
            "-Xlog:class+load=info:file=" + log,
            "-Xlog:library=info:file=" + folder.resolve("libraries.log"),
            "--enable-native-access=ALL-UNNAMED",
            "-Xmx512m",
            "-cp",
            System.getProperty("java.class.path"),
            Child.class.getName()));
    command.addAll(arguments);
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    boolean ended = process.waitFor(600, TimeUnit.SECONDS);
    process.destroyForcibly();
    String text = Files.readString(output, StandardCharsets.UTF_8);
    assertTrue(ended, () -> "it hangs: " + text);
    assertEquals(0, process.exitValue(), text);
    assertTrue(text.endsWith("done\n"), text);
    return Files.readAllLines(log);
  }

  private static List<String> linkers(List<String> classes) {
    return classes.stream().filter(LINKER.asPredicate()).toList();
  }

  @Test
  void aMachineMakesNoNativeCallWhenToldSo() throws Exception {
    List<String> classes = loadedClasses(List.of(), "-Dbothy.native=off");
    assertTrue(classes.stream().anyMatch(c -> c.contains(InterpreterEngine.class.getName())));
    assertEquals(List.of(), linkers(classes));
    // Those that the platform itself loads, for files and such, and none of ours.
    for (String line : Files.readAllLines(folder.resolve("libraries.log"))) {
      assertTrue(
          !line.contains("Loaded library /") || line.contains(System.getProperty("java.home")),
          line);
    }
  }

  @Test
  void aLinuxKernelBootsWithoutNativeCalls() throws Exception {
    Optional<Path> kernel = SavedStateTest.kernel();
    Assumptions.assumeTrue(
        kernel.isPresent(),
        "no kernel here: -Dbothy.test.kernel=FILE, or run the default guest once");
    List<String> classes =
        loadedClasses(List.of(kernel.get().toString(), "400"), "-Dbothy.native=off");
    assertEquals(List.of(), linkers(classes));
  }
}
