package dev.bothy.device.virtio;

import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Some cases of {@link DriverFuzz} for each device; {@code bench/fuzz --what drivers} runs more.
 */
@Timeout(600)
class HostileDriverTest {
  private static final int CASES = 40;

  @ParameterizedTest
  @EnumSource(DriverFuzz.Kind.class)
  void nothingEscapesFromADeviceAndAResetMakesItGood(DriverFuzz.Kind kind) {
    DriverFuzz fuzz = new DriverFuzz(kind);
    // Else the driver has not been hostile: with threads of its own a device may be slow to notice.
    for (int number = 0; number < CASES || fuzz.broken <= 50; number++) {
      fuzz.accept(number);
    }
  }
}
