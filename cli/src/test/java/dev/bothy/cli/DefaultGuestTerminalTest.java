package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.GuestException;
import dev.bothy.guest.Progress;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * {@code bothy run} as somebody at a terminal has it. {@link PseudoTerminal} asserts the settings
 * after every end.
 */
@Timeout(1800)
class DefaultGuestTerminalTest {
  private static final String PROMPT = "/root # ";
  private static final Duration LONG = Duration.ofMinutes(12);

  @TempDir Path folder;

  @BeforeAll
  static void prepare() throws IOException {
    try {
      DefaultGuest.prepare(Progress.NONE);
    } catch (GuestException e) {
      abort("this host cannot make the default guest: " + e.getMessage());
    }
  }

  private static List<String> bothy(String... options) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-XX:+UseSerialGC", "-Xmx160m", "-XX:-UsePerfData"));
    command.addAll(
        List.of("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"));
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(List.of("run", "--memory", "512M"));
    command.addAll(List.of(options));
    return command;
  }

  /** Computed by the shell, so that the echo of what is typed is not taken for what it prints. */
  private static String say(String marker) {
    return "echo " + marker + "=$((6*7))";
  }

  @Test
  void controlCInterruptsWhatRunsInTheGuest() throws Exception {
    PseudoTerminal.Ended ended =
        PseudoTerminal.run(
            LONG,
            bothy(),
            PROMPT,
            "sh -c '" + say("asleep") + "; exec sleep 10000'\\n",
            "asleep=42",
            "\\x03",
            PROMPT,
            "echo status=$?\\n",
            "status=130",
            "",
            PROMPT,
            "sh -c '" + say("reading") + "; exec cat'\\n",
            "reading=42",
            "over and over\\nagain\\x03",
            PROMPT,
            "\\x01h",
            "Ctrl-A X quits",
            say("answer") + "\\x7f\\x7f\\x7f\\x7f\\x7f6*8))\\n",
            "answer=48",
            "poweroff\\n");
    assertEquals(0, ended.status(), ended.output());
    assertTrue(ended.output().contains("reboot: Power down"), ended.output());
  }

  @Test
  void haltedGuestIsQuitWithKeys() throws Exception {
    PseudoTerminal.Ended ended =
        PseudoTerminal.run(
            LONG,
            bothy("--cpus", "2"),
            PROMPT,
            "nproc; halt\\n",
            "reboot: System halted",
            "\\x01x");
    assertEquals(130, ended.status(), ended.output());
  }

  @Test
  void monitorSeesIntoTheGuestAndHandlesIt() throws Exception {
    Path dump = folder.resolve("dump");
    PseudoTerminal.Ended ended =
        PseudoTerminal.run(
            LONG,
            bothy("--cpus", "2"),
            PROMPT,
            "\\x01c",
            "(bothy) ",
            "info re\\t1\\r",
            "processor 1: ",
            "",
            "(bothy) ",
            "nonsense\\r",
            "there is no command",
            "",
            "(bothy) ",
            "info engine\\r",
            "could take over",
            "",
            "(bothy) ",
            "engine interpreter\\r",
            "interpreter runs the machine",
            "",
            "(bothy) ",
            "engine tr\\t\\r",
            "translator runs the machine",
            "",
            "(bothy) ",
            "half a li",
            "half a li",
            "\\x03",
            "(bothy) ",
            "info network\\r",
            ": user",
            "",
            "(bothy) ",
            "dump-memory " + dump + " 0x100000 4096\\r",
            ": 4096 bytes",
            "",
            "(bothy) ",
            "pause\\r",
            "pause",
            "",
            // The prompt behind what was typed: it stands.
            "(bothy) ",
            "\\x01cecho $((6*7))\\r",
            "",
            "\\x01c",
            "(bothy) ",
            "resume\\r",
            "42",
            "\\x04",
            "back at the guest",
            say("back") + "\\n",
            "back=42",
            "\\x01cpoweroff now\\r");
    assertEquals(130, ended.status(), ended.output());
    assertEquals(4096, Files.size(dump));
  }

  @ParameterizedTest
  @ValueSource(strings = {"\\x01x", "SIGTERM", "SIGHUP"})
  void monitorIsLeftWithTheMachine(String action) throws Exception {
    PseudoTerminal.Ended ended =
        PseudoTerminal.run(
            LONG, bothy(), "Linux version", "\\x01chelp\\r", "pulls the plug", action);
    assertEquals(130, ended.status(), ended.output());
  }

  /** A guest that writes what its host has no room for, so that it pauses; and then actions. */
  private PseudoTerminal.Ended paused(String... then) throws Exception {
    Path disk = folder.resolve("disk.img");
    try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
      file.setLength(128 << 20);
    }
    List<String> steps = new ArrayList<>();
    steps.addAll(List.of("", "FILES 67108864"));
    String write = "dd if=/dev/zero of=/dev/vda bs=1M seek=100 count=1 conv=fsync; ";
    steps.addAll(List.of(PROMPT, write + say("written") + "\\n"));
    steps.add("the machine pauses: " + disk);
    steps.addAll(List.of(then));
    return PseudoTerminal.run(
        LONG, bothy("--disk", disk + ",format=raw,werror=pause"), steps.toArray(String[]::new));
  }

  @Test
  void pausedMachineGoesOnWithKeysWhenThereIsRoomAgain() throws Exception {
    PseudoTerminal.Ended ended = paused("FILES -1", "", "\\x01r", "written=42", "poweroff\\n");
    assertEquals(0, ended.status(), ended.output());
    assertFalse(ended.output().contains("I/O error"), ended.output());
  }

  @ParameterizedTest
  @ValueSource(strings = {"\\x01x", "SIGTERM"})
  void pausedMachineIsStopped(String action) throws Exception {
    assertEquals(130, paused(action).status());
  }

  @ParameterizedTest
  @ValueSource(strings = {"\\x01x", "SIGTERM", "SIGHUP"})
  void bootingGuestIsStopped(String action) throws Exception {
    assertEquals(130, PseudoTerminal.run(LONG, bothy(), "Linux version", action).status());
  }

  @Test
  void timeLimitEndsTheGuest() throws Exception {
    PseudoTerminal.Ended ended = PseudoTerminal.run(LONG, bothy("--timeout", "3"));
    assertEquals(124, ended.status(), ended.output());
  }
}
