package dev.bothy.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.bench.ThreadTimes.Part;
import java.io.IOException;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ThreadTimesTest {
  private static final long SECOND = 1_000_000_000;

  @Test
  void readsUserAndSystemTimeBehindANameWithSpacesAndParentheses() {
    String stat =
        "4711 (a) b (c d) S 1 4711 4711 0 -1 4194560 900 0 1 0 250 75 9 9 20 0 3 0 100 200 300\n";
    assertEquals(3_250_000_000L, ThreadTimes.total(stat));
  }

  @Test
  void knowsWhatThreadsWorkFor() {
    assertEquals(Part.VCPU, Part.of("CPU 0/TCG"));
    assertEquals(Part.VCPU, Part.of("bothy-cpu0"));
    assertEquals(Part.COMPILERS, Part.of("C2 CompilerThre"));
    assertEquals(Part.COMPILERS, Part.of("C1 Comp..hread0"));
    assertEquals(Part.DEVICES, Part.of("qemu-system-x86"));
    assertEquals(Part.DEVICES, Part.of("worker"));
    assertEquals(Part.DEVICES, Part.of("ForkJoinPool-1-"));
    assertEquals(Part.DEVICES, Part.of("bothy-net"));
    assertEquals(Part.DEVICES, Part.of("VM Thread"));
  }

  @Test
  void countsWhatThreadsUsedThatEndedAsTheDevices() {
    ThreadTimes before =
        new ThreadTimes(
            10 * SECOND,
            Map.of("1 CPU 0/TCG", 6 * SECOND, "2 worker", 2 * SECOND, "3 worker", SECOND));
    ThreadTimes after =
        new ThreadTimes(
            16 * SECOND,
            Map.of("1 CPU 0/TCG", 9 * SECOND, "2 worker", 3 * SECOND, "4 C2 Comp", SECOND / 2));
    ThreadTimes used = after.since(before);
    assertEquals(6 * SECOND, used.total());
    assertEquals(3, used.seconds(Part.VCPU), 1e-9);
    assertEquals(0.5, used.seconds(Part.COMPILERS), 1e-9);
    assertEquals(2.5, used.seconds(Part.DEVICES), 1e-9);
    assertEquals("CPU 0/TCG 3000, worker 1000, C2 Comp 500", used.busiest());
  }

  @Test
  void seesTheThreadsOfAProcess() throws IOException {
    ThreadTimes times = ThreadTimes.of(ProcessHandle.current().pid());
    assertTrue(times.threads().keySet().stream().anyMatch(name -> name.matches("[0-9]+ C[12] .*")));
    assertTrue(times.total() > 0);
  }
}
