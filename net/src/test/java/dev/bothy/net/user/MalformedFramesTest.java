package dev.bothy.net.user;

import org.junit.jupiter.api.Test;

/**
 * Some cases of {@link FrameFuzz}: {@code -Dbothy.fuzz.frames=N} makes it N frames; {@code
 * bench/fuzz --what frames} runs more.
 */
final class MalformedFramesTest {
  private static final int FRAMES = Integer.getInteger("bothy.fuzz.frames", 100_000);

  @Test
  void areDroppedWhateverTheySay() {
    FrameFuzz fuzz = new FrameFuzz();
    for (long number = 0; number < FRAMES / FrameFuzz.FRAMES; number++) {
      fuzz.accept(number);
    }
  }
}
