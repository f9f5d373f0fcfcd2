package dev.bothy.image.qcow2;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import org.junit.jupiter.api.Test;

/**
 * Some cases of {@link ImageFuzz}: {@code -Dbothy.fuzz=N} makes it N, {@code -Dbothy.fuzz.seed=S}
 * others. {@code bench/fuzz} runs millions, and says what they reach.
 */
class Qcow2FuzzTest {
  private static final int IMAGES = Integer.getInteger("bothy.fuzz", 2_000);
  private static final long SEED = Long.getLong("bothy.fuzz.seed", 1);

  @Test
  void damagedImagesAreRefusedOrWork() {
    ImageFuzz fuzz = new ImageFuzz();
    for (long number = SEED << 40; number < (SEED << 40) + IMAGES; number++) {
      try {
        fuzz.accept(number);
      } catch (Throwable e) {
        fail("case " + number, e);
      }
    }
    // Else the mutations have missed the parsers.
    assertTrue(fuzz.refusals.size() > 40, fuzz.refusals.toString());
  }
}
