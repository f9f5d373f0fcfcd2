package dev.bothy.debug;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.bothy.core.StopPoints;
import dev.bothy.machine.EngineFactory;
import dev.bothy.machine.MachineExit;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The real gdb on a small guest, whatever engine runs it. */
@Timeout(900)
abstract class GdbContract {
  private static final StopPoints WANTED =
      new StopPoints(Set.of(0L), List.of(new StopPoints.Watchpoint(0, 4, false, true)));

  /** What makes the engine; skips the test where it does not run. */
  abstract EngineFactory engine();

  /** gdb's command for a watchpoint that sees what is read. */
  String readWatch() {
    return "rwatch";
  }

  /** A guest as {@link SmallGuest} has it; skips the test where breakpoints are not met. */
  private SmallGuest guest(int cpus, boolean waits) throws Exception {
    SmallGuest guest = new SmallGuest(engine(), cpus, waits);
    if (!guest.machine.debugger().orElseThrow().takes(WANTED)) {
      guest.close();
      abort("this " + guest.machine.engine() + " knows no breakpoints");
    }
    return guest;
  }

  private static Gdb gdb(SmallGuest guest, String... commands) throws Exception {
    List<String> all = new ArrayList<>(List.of("target remote " + guest.server.target()));
    all.addAll(Arrays.asList(commands));
    return new Gdb(GuestFile.path(), all.toArray(String[]::new));
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

  @Test
  void followsAKernelFromItsFirstInstruction() throws Exception {
    try (SmallGuest guest = guest(1, true)) {
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

  @Test
  void stopsCodeThatHasRunForLongAndLetsItGo() throws Exception {
    try (SmallGuest guest = guest(1, false)) {
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
                  readWatch() + " finish",
                  "continue",
                  "bt 1",
                  "print rounds > " + rounds,
                  "set var finish = 1",
                  "delete",
                  "continue")
              .finish();
      assertInOrder(output, "Hardware (read|access).* 2: finish\\s+Value = 0", "in main", "= 1");
      assertEquals(
          new MachineExit.DebugExit(5),
          guest.machine.awaitExit(Duration.ofSeconds(SmallGuest.PATIENCE)).get());
    }
  }

  @Test
  void showsProcessorsAsThreads() throws Exception {
    try (SmallGuest guest = guest(2, false)) {
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

  @Test
  void interruptsAndSeesMemory() throws Exception {
    try (SmallGuest guest = guest(1, false)) {
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

  @Test
  void outlivesADebuggerThatDies() throws Exception {
    try (SmallGuest guest = guest(1, false)) {
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
