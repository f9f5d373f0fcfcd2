package dev.bothy.share;

import dev.bothy.host.FolderCalls;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Some cases of {@link RequestFuzz}; {@code bench/fuzz --what share} runs more. */
class HostileRequestsTest {
  @Test
  void areAnsweredAndChangeNothingBesideTheFolder() {
    Assumptions.assumeTrue(FolderCalls.available());
    RequestFuzz fuzz = new RequestFuzz();
    try {
      for (long number = 0; number < 100; number++) {
        fuzz.accept(number);
      }
    } finally {
      fuzz.end();
    }
  }
}
