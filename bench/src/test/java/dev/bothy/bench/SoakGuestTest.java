package dev.bothy.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.bothy.bench.ConsoleRun.End;
import dev.bothy.bench.ConsoleRun.Turn;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

class SoakGuestTest {
  private static final SoakGuest GUEST =
      new SoakGuest(
          "guest",
          "a guest",
          List.of(),
          List.of(Turn.type("login: ", "root\n"), Turn.type("# ", "poweroff\n")),
          List.of("processors=%d\n", "reboot: Power down"));

  private static final String GOOD = "login: root\n# poweroff\nprocessors=2\nreboot: Power down\n";

  private static List<String> faults(int status, int turns, String console) {
    return GUEST.faults(new End(false, OptionalInt.of(status), 3, 0, turns, console), 2);
  }

  @Test
  void findsNothingWrongWithAnOrderlyPowerOff() {
    assertEquals(List.of(), faults(0, 2, GOOD));
  }

  @Test
  void findsAHang() {
    assertEquals(
        List.of("no end after 600 s", "never said \"# \""),
        GUEST.faults(new End(true, OptionalInt.of(130), 600.2, 0, 1, GOOD), 2));
    assertEquals(
        List.of("no end after 600 s", "had to be killed"),
        GUEST.faults(new End(true, OptionalInt.empty(), 600.2, 0, 2, GOOD), 2));
  }

  @Test
  void findsAWrongStatus() {
    assertEquals(List.of("status 3"), faults(3, 2, GOOD));
  }

  @Test
  void findsWhatIsMissing() {
    assertEquals(
        List.of("never said \"reboot: Power down\""),
        faults(0, 2, GOOD.replace("Power down", "Restarting system")));
    assertEquals(List.of("never said \"processors=2\""), faults(0, 2, GOOD.replace("=2", "=1")));
  }

  @Test
  void findsTroubleInTheLog() {
    String oops = "[    1.200000] Oops: 0002 [#1] PREEMPT SMP NOPTI";
    assertEquals(List.of(oops), faults(0, 2, oops + "\n" + GOOD));
  }

  @Test
  void knowsNoOtherGuest() {
    assertThrows(
        IllegalArgumentException.class, () -> SoakGuest.prepare("dos", Path.of(""), Path.of("")));
  }
}
