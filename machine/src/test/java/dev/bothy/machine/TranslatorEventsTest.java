package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.host.ExecutableMemory;
import dev.bothy.machine.boot.BootState;
import dev.bothy.x86.translate.Event;
import dev.bothy.x86.translate.Leave;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What the translator counts of a loop whose every instruction is known. */
@Timeout(300)
class TranslatorEventsTest {
  private static final int ROUNDS = 10_000;

  /** Before a loop is translated, it is interpreted some dozen times. */
  private static final int INTERPRETED = 200;

  private static final String LOOP =
      "bb00003000 b910270000" // mov ebx,300000h; mov ecx,10000
          + "eb01" // jmp loop
          + "c3" // function: ret
          + "8903 8b5304" // loop: mov [ebx],eax; mov edx,[ebx+4]
          + "50 58" // push eax; pop eax
          + "e8f3ffffff" // call function
          + "49 75f1" // dec ecx; jnz loop
          + "66ba0406 66b80034 66ef f4ebfd"; // S5 to PM1a control; hlt

  private static MachineStatistics run(boolean counts) throws Exception {
    assumeTrue(
        ExecutableMemory.refusal().isEmpty(), () -> ExecutableMemory.refusal().orElseThrow());
    var observation = new TranslatorEngine.Observation(counts, List.of());
    try (Machine machine =
        new Machine(
            MachineOptions.of(
                HostileGuest.MEMORY,
                environment -> new TranslatorEngine(environment, observation),
                HostileGuestTest.code(BootState.Mode.PROTECTED, LOOP.replace(" ", "")),
                ignored -> {}))) {
      machine.start();
      assertTrue(machine.awaitExit() instanceof MachineExit.PoweredOff);
      return machine.statistics();
    }
  }

  private static void assertAbout(long expected, long counted, String what) {
    assertTrue(
        counted <= expected + INTERPRETED && counted >= expected - 6 * INTERPRETED,
        what + ": " + counted);
  }

  @Test
  void countsOnRequest() throws Exception {
    MachineStatistics statistics = run(true);
    Map<String, Long> counters = statistics.exits();
    long instructions = 3 + 8L * ROUNDS + 3;
    assertTrue(
        statistics.instructions() >= instructions && statistics.instructions() <= instructions + 1,
        statistics.instructions() + " instructions");
    long accesses =
        counters.get(Event.LOOK_UP.counter())
            + counters.get(Event.SHARED_LOOK_UP.counter())
            + counters.get(Event.STACK_LOOK_UP.counter());
    assertAbout(6L * ROUNDS, accesses, "accesses");
    assertAbout(2L * ROUNDS, counters.get(Event.STACK_LOOK_UP.counter()), "by the stack pointer");
    assertAbout(3L * ROUNDS, counters.get(Event.SHARED_LOOK_UP.counter()), "without a look");
    assertAbout(ROUNDS, counters.get(Event.JUMP.counter()), "indirect jumps");
    assertTrue(counters.get(Event.BLOCK.counter()) >= 2 * (ROUNDS - INTERPRETED));
    long misses =
        counters.get("left." + Leave.name(Leave.MISS_READ))
            + counters.get("left." + Leave.name(Leave.MISS_WRITE));
    // The interpreter has been there before.
    assertTrue(misses <= 10, misses + " misses");
  }

  @Test
  void countsNothingOtherwise() throws Exception {
    Map<String, Long> counters = run(false).exits();
    for (Event event : Event.values()) {
      assertFalse(counters.containsKey(event.counter()), event.counter());
    }
    assertTrue(counters.get("blocksTranslated") >= 2);
    assertEquals(0, counters.get("codeCacheClears"));
  }
}
