package dev.bothy.debug;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.host.ExecutableMemory;
import dev.bothy.machine.EngineFactory;
import dev.bothy.machine.MachineExit;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The real gdb on a small guest, on every engine that runs here. */
@Timeout(900)
class GdbTest {
  private record Named(String name, EngineFactory factory) {
    @Override
    public String toString() {
      return name;
    }
  }

  static List<Named> engines() {
    List<Named> engines = new ArrayList<>();
    engines.add(new Named("interpreter", InterpreterEngine::new));
    if (ExecutableMemory.refusal().isEmpty()) {
      engines.add(new Named("translator", TranslatorEngine::new));
    }
    return engines;
  }

  private static Gdb gdb(SmallGuest guest, String... commands) throws Exception {
    List<String> all = new ArrayList<>(List.of("target remote " + guest.server.target()));
    all.addAll(Arrays.asList(commands));
    return new Gdb(SmallGuest.elf(), all.toArray(String[]::new));
  }

  /** Each of the patterns is found behind the one before. */
  private static void assertInOrder(String output, String... patterns) {
    int from = 0;
    for (String pattern : patterns) {
      var matcher = Pattern.compile(pattern).matcher(output);
      assertTrue(matcher.find(from), () -> "no \"" + pattern + "\" where it belongs in\n" + output);
      from = matcher.end();
    }
  }

  @ParameterizedTest
  @MethodSource("engines")
  void followsAKernelFromItsFirstInstruction(Named engine) throws Exception {
    try (SmallGuest guest = new SmallGuest(engine.factory, 1, true)) {
      String output =
          gdb(
                  guest,
                  "info symbol $pc",
                  "break scale if p.x == 3",
                  "continue",
                  "backtrace",
                  "finish",
                  "info locals",
                  "delete",
                  "watch watched",
                  "continue",
                  "continue",
                  "step",
                  "next",
                  "print $rsp > (long)&stack && $rsp < (long)&stack_end",
                  "print ratio",
                  "print $st0",
                  "print $xmm0",
                  "print $cr0",
                  "print $efer",
                  "print $cr8 = 5",
                  "print $cr8 + 100",
                  "print $cr8 = 16",
                  "print $cr8 = 0",
                  "print $xcr0",
                  "print finish = 1",
                  "delete",
                  "continue")
              .finish();
      assertInOrder(
          output,
          "start32 in section .text",
          "Breakpoint 1, scale \\(p=\\.\\.\\., factor=3\\)",
          "#0  scale \\(p=.*factor=3\\)",
          "#1  .* in work \\(i=3\\)",
          "#2  .* in main \\(\\)",
          "Value returned is \\$1 = 15",
          "p = \\{x = 3, y = 2\\}",
          "atchpoint 2: watched",
          "Old value = 0",
          "New value = 33",
          "work \\(i=9\\)",
          "Old value = 33",
          "New value = 42",
          "work \\(i=12\\)",
          "ratio = ",
          "rounds\\+\\+",
          "\\$\\d+ = 1",
          "\\$\\d+ = 21",
          "\\$\\d+ = 0",
          "v4_float = ",
          "\\[ PG ET PE \\]|\\[ PE ET PG \\]",
          "\\[ LMA LME \\]|\\[ LME LMA \\]",
          "\\$\\d+ = 5",
          "\\$\\d+ = 105",
          "Could not write register",
          "\\$\\d+ = 0",
          "\\$\\d+ = 1",
          "Remote connection closed|exited with code 01");
      assertEquals(
          new MachineExit.DebugExit(5),
          guest.machine.awaitExit(Duration.ofSeconds(SmallGuest.PATIENCE)).get());
    }
  }

  @ParameterizedTest
  @MethodSource("engines")
  void stopsCodeThatHasRunForLongAndLetsItGo(Named engine) throws Exception {
    try (SmallGuest guest = new SmallGuest(engine.factory, 1, false)) {
      guest.awaitWarm();
      String output =
          gdb(
                  guest,
                  "break scale",
                  "hbreak work if i > 0 && (i & 1) == 0",
                  "continue",
                  "continue",
                  "delete 1",
                  "continue",
                  "print i & 1",
                  "print/x *(unsigned char *)scale",
                  "detach")
              .finish();
      assertInOrder(
          output,
          "Breakpoint 1 at",
          "Hardware assisted breakpoint 2 at",
          "Breakpoint [12], ",
          "Breakpoint [12], ",
          "Breakpoint 2, work",
          "= 0",
          // No INT3.
          "= 0x55",
          "detached");
      long rounds = guest.rounds();
      guest.awaitMoreRounds(rounds);
      output =
          gdb(
                  guest,
                  "watch other_rounds",
                  "rwatch finish",
                  "continue",
                  "bt 1",
                  "print rounds > " + rounds,
                  "set var finish = 1",
                  "delete",
                  "continue")
              .finish();
      assertInOrder(output, "Hardware read watchpoint 2: finish\\s+Value = 0", "in main", "= 1");
      assertEquals(
          new MachineExit.DebugExit(5),
          guest.machine.awaitExit(Duration.ofSeconds(SmallGuest.PATIENCE)).get());
    }
  }

  @ParameterizedTest
  @MethodSource("engines")
  void showsProcessorsAsThreads(Named engine) throws Exception {
    try (SmallGuest guest = new SmallGuest(engine.factory, 2, false)) {
      guest.awaitWarm();
      String output =
          gdb(
                  guest,
                  "info threads",
                  "thread apply all -s backtrace",
                  "break other_work",
                  "continue",
                  "print $_thread",
                  "print other_rounds",
                  "finish",
                  "tbreak scale",
                  "delete 1",
                  "continue",
                  "print $_thread",
                  "set scheduler-locking on",
                  "print other_rounds",
                  "finish",
                  "stepi 50",
                  "print other_rounds",
                  "set scheduler-locking off",
                  "watch other_rounds",
                  "continue",
                  "print $_thread",
                  "detach")
              .finish();
      assertInOrder(
          output,
          "1 .*vCPU 0: runs",
          "2 .*vCPU 1: runs",
          "other_main \\(\\)",
          "main \\(\\)",
          "Thread 2 .*hit Breakpoint 1, other_work",
          "\\$1 = 2",
          "\\$2 = \\d+",
          "in other_main",
          "Thread 1 .*hit Temporary breakpoint 2, scale",
          "\\$3 = 1",
          "\\$4 = (\\d+)",
          "\\$6 = \\d+",
          "Hardware watchpoint 3: other_rounds",
          "= 2\n",
          "detached");
      var stood = Pattern.compile("(?s)\\$4 = (\\d+).*\\$6 = (\\d+)").matcher(output);
      assertTrue(stood.find(), output);
      assertEquals(stood.group(1), stood.group(2), "the other processor was locked");
      guest.awaitMoreRounds(guest.rounds());
    }
  }

  @ParameterizedTest
  @MethodSource("engines")
  void interruptsAndSeesMemory(Named engine) throws Exception {
    try (SmallGuest guest = new SmallGuest(engine.factory, 1, false)) {
      guest.awaitWarm();
      Gdb gdb =
          gdb(
              guest,
              "echo going on\\n",
              "continue",
              "print $_siginfo",
              "x/2i scale",
              "print watched = 77",
              "x/4xb 0x3ffff000000",
              "set {int}0x3ffff000000 = 1",
              "x/4xb 0xc0000000",
              "maintenance packet Qqemu.PhyMemMode:1",
              "print watched",
              "x/1xb 0xfffffffffffff000",
              "maintenance packet Qqemu.PhyMemMode:0",
              "p $rax = 0x1122334455667788",
              "p $xmm3.v2_int64[1] = 5",
              "p $eflags",
              "p $cs = 8",
              "p $cr3 = 0",
              "detach");
      gdb.await("going on");
      guest.awaitMoreRounds(guest.rounds());
      gdb.interrupt();
      String output = gdb.finish();
      assertInOrder(
          output,
          "SIGINT",
          "<scale",
          "= 77",
          "Cannot access memory at address 0x3ffff000000",
          "Cannot access memory at address 0x3ffff000000",
          "Cannot access memory at address 0xc0000000",
          "received: \"OK\"",
          "= 77",
          "Cannot access memory",
          "received: \"OK\"",
          "= 1234605616436508552",
          "= 5",
          "= \\[ ",
          "= 8",
          "Could not write register \"cr3\"",
          "detached");
    }
  }

  @ParameterizedTest
  @MethodSource("engines")
  void outlivesADebuggerThatDies(Named engine) throws Exception {
    try (SmallGuest guest = new SmallGuest(engine.factory, 1, false)) {
      guest.awaitWarm();
      Gdb gdb = gdb(guest, "break scale", "continue", "echo here\\n", "shell sleep 100");
      gdb.await("here");
      gdb.kill();
      guest.awaitMoreRounds(guest.rounds());
      assertInOrder(
          gdb(guest, "break work", "continue", "detach").finish(),
          "Breakpoint 1, work",
          "detached");
    }
  }
}
