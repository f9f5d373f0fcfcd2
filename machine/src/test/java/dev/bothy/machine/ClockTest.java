package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.Timer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(300)
class ClockTest {
  private static HostClock hostClock() {
    return new HostClock(
        "test",
        e -> {
          throw new AssertionError(e);
        });
  }

  @Test
  void hostTimeStandsStillUnlessStarted() throws Exception {
    HostClock clock = hostClock();
    assertEquals(0, clock.nanos());
    clock.start();
    while (clock.nanos() == 0) {
      Thread.onSpinWait();
    }
    clock.stop();
    long then = clock.nanos();
    Thread.sleep(2);
    assertEquals(then, clock.nanos());
    clock.close();
  }

  @Test
  void hostTimersFireInOrderNotBeforeTheirTime() throws Exception {
    HostClock clock = hostClock();
    List<String> fired = new ArrayList<>();
    CountDownLatch done = new CountDownLatch(1);
    Timer late =
        clock.newTimer(
            "late",
            () -> {
              fired.add("late " + (clock.nanos() >= 3_000_000));
              done.countDown();
            });
    Timer early = clock.newTimer("early", () -> fired.add("early " + (clock.nanos() >= 1_000_000)));
    Timer never = clock.newTimer("never", () -> fired.add("never"));
    late.armAt(3_000_000);
    never.armAt(2_000_000);
    early.armAt(1_000_000);
    never.cancel();
    clock.start();
    assertTrue(done.await(240, TimeUnit.SECONDS));
    clock.close();
    assertEquals(List.of("early true", "late true"), fired);
    assertFalse(late.armed());
  }

  @Test
  void noHostTimerFiresWhileStopped() throws Exception {
    HostClock clock = hostClock();
    AtomicInteger fired = new AtomicInteger();
    Timer timer = clock.newTimer("timer", fired::incrementAndGet);
    clock.start();
    clock.stop();
    timer.armAt(0);
    Thread.sleep(5);
    assertEquals(0, fired.get());
    clock.start();
    while (fired.get() == 0) {
      Thread.onSpinWait();
    }
    clock.close();
  }

  @Test
  void aTimerMayArmItself() throws Exception {
    HostClock clock = hostClock();
    CountDownLatch ticks = new CountDownLatch(50);
    Timer[] timer = new Timer[1];
    timer[0] =
        clock.newTimer(
            "tick",
            () -> {
              ticks.countDown();
              timer[0].armAt(clock.nanos() + 1000);
            });
    clock.start();
    timer[0].armAt(0);
    assertTrue(ticks.await(240, TimeUnit.SECONDS));
    clock.stop();
    clock.close();
  }

  @Test
  void countedTimeMovesInWholeQuanta() {
    CountedClock clock = new CountedClock(10);
    assertEquals(CountedClock.QUANTUM, clock.budget());
    clock.advance(CountedClock.QUANTUM - 1);
    assertEquals(0, clock.nanos());
    assertEquals(1, clock.budget());
    clock.advance(1);
    assertEquals(CountedClock.QUANTUM * 10, clock.nanos());
  }

  @Test
  void anIdleProcessorSkipsToTheFirstDeadline() {
    CountedClock clock = new CountedClock(10);
    List<String> fired = new ArrayList<>();
    clock.newTimer("b", () -> fired.add("b " + clock.nanos())).armAt(1_000_000);
    clock.newTimer("a", () -> fired.add("a " + clock.nanos())).armAt(1_000_000);
    assertTrue(clock.skipToDeadline());
    assertFalse(clock.skipToDeadline());
    assertEquals(List.of("a 1000000", "b 1000000"), fired);
    clock.advance(CountedClock.QUANTUM);
    assertEquals(1_000_000 + CountedClock.QUANTUM * 10, clock.nanos());
  }
}
