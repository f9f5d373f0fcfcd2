package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.EchoKernel;
import dev.bothy.Engines;
import dev.bothy.host.ExecutableMemory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What works where, and what is said where something does not: on this host, and without FFM. */
@Timeout(600)
class DoctorTest {
  private static final String OFF = "-Dbothy.native=off";

  private record Ended(int status, List<String> output) {
    /** The line about an engine: its name, yes or no, why. */
    String line(String start) {
      return output.stream()
          .filter(line -> line.strip().startsWith(start))
          .findFirst()
          .orElseThrow(() -> new AssertionError(output))
          .strip()
          .replaceAll(" +", " ");
    }
  }

  @TempDir Path folder;

  private Ended bothy(String jvmOption, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx160m"));
    command.addAll(List.of("--enable-native-access=ALL-UNNAMED", jvmOption));
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(List.of(arguments));
    Process process =
        new ProcessBuilder(command)
            .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
            .redirectErrorStream(true)
            .start();
    List<String> output = process.inputReader().readAllLines();
    return new Ended(process.waitFor(), output);
  }

  @Test
  void triesEveryEngineThatTheHostAllows() throws Exception {
    Ended doctor = bothy("-Dbothy.native=on", "doctor");
    assertEquals(0, doctor.status, doctor.output.toString());
    assertTrue(doctor.line("interpreter").startsWith("interpreter yes ran a guest"));
    String kvm = doctor.line("kvm");
    if (Engines.refusal(Engines.KVM).isPresent()) {
      assertEquals("kvm no " + Engines.refusal(Engines.KVM).get(), kvm);
    } else {
      assertTrue(kvm.startsWith("kvm part ran") || kvm.startsWith("kvm yes ran"), kvm);
      boolean complete = kvm.startsWith("kvm yes");
      assertEquals(complete, doctor.line("auto").equals("auto takes the kvm"));
    }
    String translator = doctor.line("translator");
    if (ExecutableMemory.refusal().isEmpty()) {
      assertTrue(translator.startsWith("translator yes ran a guest"), translator);
    } else {
      assertEquals("translator no " + ExecutableMemory.refusal().get(), translator);
    }
  }

  @Test
  void saysWhyTheTranslatorIsRefusedAndWhatIsTakenInstead() throws Exception {
    Ended doctor = bothy(OFF, "doctor");
    assertEquals(0, doctor.status, doctor.output.toString());
    assertEquals(
        "translator no native calls are switched off (bothy.native=off)",
        doctor.line("translator"));
    assertTrue(doctor.line("interpreter").startsWith("interpreter yes ran a guest"));
    assertEquals("kvm no KVM needs Linux and calls into the C library", doctor.line("kvm"));
    assertEquals("auto takes the interpreter", doctor.line("auto"));
  }

  @Test
  void refusedTranslatorIsOneLineAndAutoDoesWithout() throws Exception {
    Path kernel = Files.write(folder.resolve("echo.bin"), EchoKernel.image());
    Path stats = folder.resolve("stats.json");
    Ended refused =
        bothy(
            OFF, "run", "--engine", "translator", "--kernel", kernel.toString(), "--memory", "2M");
    assertEquals(1, refused.status);
    assertEquals(
        List.of(
            "bothy: engine translator cannot run here (native calls are switched off"
                + " (bothy.native=off)): give interpreter or auto"),
        refused.output);
    Ended auto =
        bothy(
            OFF,
            "run",
            "--kernel",
            kernel.toString(),
            "--memory",
            "2M",
            "--timeout",
            "1",
            "--stats",
            stats.toString());
    assertEquals(124, auto.status, auto.output.toString());
    String written = Files.readString(stats);
    assertTrue(written.contains("\"engine\" : \"interpreter\""), written);
  }
}
