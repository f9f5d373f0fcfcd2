package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.EchoKernel;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The command as a process: on a pseudo-terminal (by python3) and in pipes. */
@Timeout(900)
class SessionTest {
  private record Ended(int status, String output, String errors) {}

  @TempDir Path folder;
  private Path kernel;

  @BeforeEach
  void writeKernel() throws IOException {
    kernel = Files.write(folder.resolve("echo.bin"), EchoKernel.image());
  }

  private List<String> bothy(List<String> jvmOptions, String... options) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx160m"));
    command.add("--enable-native-access=ALL-UNNAMED");
    command.addAll(jvmOptions);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(List.of("run", "--memory", "2M", "--kernel", kernel.toString()));
    command.addAll(List.of(options));
    return command;
  }

  private Ended pipe(byte[] input, String... options) throws Exception {
    Path in = Files.write(folder.resolve("in"), input);
    Path errors = folder.resolve("errors");
    Process process =
        new ProcessBuilder(bothy(List.of(), options))
            .redirectInput(in.toFile())
            .redirectError(errors.toFile())
            .start();
    String output =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
    return new Ended(process.waitFor(), output, Files.readString(errors));
  }

  /** Steps: what to expect, what to type then (or the signal to send), and so on. */
  private Ended terminal(List<String> jvmOptions, List<String> options, String... steps)
      throws Exception {
    PseudoTerminal.Ended ended =
        PseudoTerminal.run(
            Duration.ofSeconds(400), bothy(jvmOptions, options.toArray(String[]::new)), steps);
    return new Ended(ended.status(), ended.output(), "");
  }

  @Test
  void keysGoToTheGuestAndControlAQuits() throws Exception {
    Ended ended =
        terminal(
            List.of(),
            List.of(),
            ">",
            "a\\x03b\\x1a",
            "a\u0003b",
            "\\x01h",
            "Ctrl-A X quits",
            "\\x01\\x01!",
            "!",
            "\\x01x");
    assertEquals(130, ended.status);
    assertTrue(ended.output.contains("\u0001!"), ended.output);
  }

  @Test
  void keysThatMeanNothingToBothyAreDroppedAndNothingIsResumedThatRuns() throws Exception {
    Ended ended = terminal(List.of(), List.of(), ">", "\\x01z\\x01r\\x01Rgo!", "go!", "\\x01X");
    assertEquals(130, ended.status);
    assertFalse(ended.output.contains("z") || ended.output.contains("r"), ended.output);
  }

  @Test
  void guestThatEndsItselfRestoresTheTerminal() throws Exception {
    assertEquals(0, terminal(List.of(), List.of(), ">", "\\x04").status);
    assertEquals(0, terminal(List.of(), List.of("--no-reboot"), ">", "\\x08").status);
    assertEquals(
        2 * EchoKernel.EXIT_CODE + 1,
        terminal(List.of(), List.of("--debug-exit"), ">", "\\x05").status);
  }

  @Test
  void keysGoToTheGuestAfterAReset() throws Exception {
    Ended ended = terminal(List.of(), List.of(), ">", "a\\x08", ">", "b", "b", "\\x01x");
    assertEquals(130, ended.status);
    assertEquals(">a>b", ended.output.strip());
  }

  @Test
  void errorBeforeTheStartLeavesTheTerminalAsItIs() throws Exception {
    Ended ended = terminal(List.of(), List.of("--disk", "/no/such/disk"));
    assertEquals(1, ended.status);
    assertEquals(1, ended.output.strip().lines().count(), ended.output);
    assertTrue(ended.output.contains("/no/such/disk"), ended.output);
    assertEquals(2, terminal(List.of(), List.of("--cpus", "none")).status);
  }

  @Test
  void terminalIsRestoredWithoutNativeCallsToo() throws Exception {
    Ended ended =
        terminal(List.of("-Dbothy.native=off"), List.of(), ">", "a\\x03b", "a\u0003b", "\\x04");
    assertEquals(0, ended.status);
  }

  @ParameterizedTest
  @ValueSource(strings = {"SIGTERM", "SIGHUP", "SIGINT"})
  void signalsStopTheMachineAndRestoreTheTerminal(String signal) throws Exception {
    Path stats = folder.resolve("run.json");
    Ended ended = terminal(List.of(), List.of("--stats", stats.toString()), ">", signal);
    assertEquals(130, ended.status);
    assertTrue(Files.readString(stats).contains("\"interrupted\""));
  }

  @Test
  void crashOfTheGuestIsReportedOnARestoredTerminal() throws Exception {
    Ended ended = terminal(List.of(), List.of(), ">", "\\x06");
    assertEquals(3, ended.status);
    assertTrue(ended.output.contains("triple fault"), ended.output);
    assertTrue(ended.output.contains("0f 0b"), ended.output);
  }

  @Test
  void haltedGuestStaysUntilItIsQuit() throws Exception {
    assertEquals(130, terminal(List.of(), List.of(), ">", "\\x07\\x01x").status);
    assertEquals(124, terminal(List.of(), List.of("--timeout", "8"), ">", "\\x07").status);
  }

  @Test
  void floodCanBeQuit() throws Exception {
    assertEquals(
        130, terminal(List.of(), List.of(), ">", "\\x0b", "\u000b\u000b", "\\x01x").status);
  }

  @Test
  void pipedBytesAllArriveAndNothingElseIsOnStandardOutput() throws Exception {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 1000; i++) {
      text.append("line ").append(i).append(" \u0001x\n");
    }
    byte[] input = (text.toString() + EchoKernel.DEBUG_EXIT).getBytes(StandardCharsets.ISO_8859_1);
    Ended ended = pipe(input, "--debug-exit");
    assertEquals(">" + text, ended.output);
    assertEquals(2 * EchoKernel.EXIT_CODE + 1, ended.status);
    assertEquals("", ended.errors);
  }

  @Test
  void endOfStandardInputChangesNothing() throws Exception {
    Ended ended = pipe(new byte[] {'x'}, "--timeout", "8");
    assertEquals(124, ended.status);
    assertEquals(">x", ended.output);
    assertEquals(1, ended.errors.lines().count(), ended.errors);
    assertFalse(ended.errors.contains("Exception"), ended.errors);
  }

  @Test
  void resetEndsWithNoReboot() throws Exception {
    Ended ended = pipe(new byte[] {EchoKernel.RESET}, "--no-reboot");
    assertEquals(0, ended.status, ended.errors);
    assertEquals(">", ended.output);
  }
}
