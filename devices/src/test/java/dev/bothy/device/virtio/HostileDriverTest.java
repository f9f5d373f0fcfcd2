package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Some cases of {@link DriverFuzz} for each device; {@code bench/fuzz --what drivers} runs more.
 */
@Timeout(120)
class HostileDriverTest {
  private static final int CASES = 40;

  @ParameterizedTest
  @EnumSource(DriverFuzz.Kind.class)
  void nothingEscapesFromADeviceAndAResetMakesItGood(DriverFuzz.Kind kind) {
    DriverFuzz fuzz = new DriverFuzz(kind);
    for (int number = 0; number < CASES; number++) {
      fuzz.accept(number);
    }
    // Else the driver has not been hostile.
    assertTrue(fuzz.broken > 50, "needed a reset " + fuzz.broken + " times");
  }
}
