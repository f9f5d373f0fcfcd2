package dev.bothy.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SoakPlanTest {
  private static Soak.Plan plan(String... arguments) {
    return Soak.Plan.of(Soak.options(arguments));
  }

  @Test
  void bootsEverythingAHundredTimesOnTheTranslator() {
    Soak.Plan plan = plan();
    assertTrue(plan.all());
    assertEquals(SoakGuest.NAMES, plan.guests());
    assertEquals(List.of(1, 2), plan.cpus());
    assertEquals("translator", plan.engine());
    assertEquals(100, plan.bootsOf("cloud"));
    assertEquals(100, plan.bootsOf("systemd"));
  }

  @Test
  void takesWhatItIsTold() {
    Soak.Plan plan =
        plan(
            "--boots",
            "7",
            "--systemd",
            "2",
            "--guests",
            "cloud,systemd",
            "--cpus",
            "4",
            "--engine",
            "interpreter",
            "--jobs",
            "2",
            "--timeout",
            "30",
            "--failures",
            "1");
    assertFalse(plan.all());
    assertEquals(List.of("cloud", "systemd"), plan.guests());
    assertEquals(List.of(4), plan.cpus());
    assertEquals("interpreter", plan.engine());
    assertEquals(7, plan.bootsOf("cloud"));
    assertEquals(2, plan.bootsOf("systemd"));
    assertEquals(2, plan.jobs());
    assertEquals(30, plan.timeout());
    assertEquals(1, plan.failures());
  }

  @Test
  void bootsSystemdAsOftenAsTheOthersIfNotTold() {
    assertEquals(3, plan("--boots", "3").bootsOf("systemd"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--boots many",
        "--cpus 0",
        "--cpus 1,",
        "--cpus one",
        "--jobs 0",
        "--timeout 0",
        "--failures 0"
      })
  void refusesWhatMakesNoSense(String arguments) {
    String[] words = arguments.split(" ");
    assertThrows(IllegalArgumentException.class, () -> plan(words));
  }
}
