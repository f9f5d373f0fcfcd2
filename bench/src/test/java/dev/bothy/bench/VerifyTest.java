package dev.bothy.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.bench.ConsoleRun.End;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

class VerifyTest {
  private static final String BEGUN = "bench-up\nbench-begin gcc\n";

  private static List<String> faults(int status, int turns, String console) {
    return Verify.faults(new End(false, OptionalInt.of(status), 99, 0, turns, console), "gcc");
  }

  @Test
  void acceptsAWorkloadThatIsInterrupted() {
    assertEquals(List.of(), faults(130, 1, BEGUN));
    assertEquals(List.of(), faults(130, 1, BEGUN + "bench-result gcc 1 1 ok\nbench-begin gcc\n"));
  }

  @Test
  void findsAGuestThatEndsByItself() {
    assertEquals(List.of("it did not end as it should"), faults(0, 1, BEGUN));
    assertEquals(List.of("it did not come up", "it did not end as it should"), faults(124, 0, ""));
  }

  @Test
  void findsWrongResultsAndTrouble() {
    assertEquals(
        List.of("wrong results"),
        faults(130, 1, BEGUN + "bench-result gcc 1 1 wrong status 139\n"));
    assertEquals(List.of("BUG: x"), faults(130, 1, BEGUN + "BUG: x\n"));
  }

  @Test
  void readsStatistics() {
    var statistics =
        new StatisticsText(
            "{\n  \"end\" : \"power-off\",\n  \"a\" : 12,\n  \"b\" : 1.5E-4,\n"
                + "  \"c\" : null\n}\n");
    assertEquals(12, statistics.number("a"));
    assertEquals(1.5e-4, statistics.number("b"));
    assertEquals(0, statistics.number("c"));
    assertEquals(0, statistics.number("d"));
  }
}
