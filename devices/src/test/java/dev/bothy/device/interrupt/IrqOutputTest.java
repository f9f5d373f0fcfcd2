package dev.bothy.device.interrupt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.device.TestWire;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class IrqOutputTest {
  private final TestWire wire = new TestWire();
  private final IrqOutput output = new IrqOutput(wire);

  @Test
  void wireFollowsWhenDriven() {
    output.want(true);
    assertFalse(wire.high);
    output.drive();
    assertTrue(wire.high);
    output.want(false);
    output.want(true);
    output.drive();
    assertEquals(2, wire.rises); // the edge in between is not lost
  }

  @Test
  void noEdgeIsLostAndOnlyOneThreadDrives() throws InterruptedException {
    // The wire is not thread-safe: two drivers at a time would lose rises.
    List<Thread> threads = new ArrayList<>();
    int[] wanted = {0};
    for (int t = 0; t < 4; t++) {
      threads.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    for (int i = 0; i < 20_000; i++) {
                      synchronized (wanted) {
                        wanted[0] += output.wanted() ? 0 : 1;
                        output.want(!output.wanted());
                      }
                      output.drive();
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertFalse(wire.high);
    assertTrue(wire.rises <= wanted[0] && wire.rises > 0);
  }

  @Test
  void restoredLevelIsNotDriven() {
    output.restore(true);
    output.drive();
    assertEquals(0, wire.rises);
    output.want(false);
    output.drive();
    output.want(true);
    output.drive();
    assertEquals(1, wire.rises);
  }
}
