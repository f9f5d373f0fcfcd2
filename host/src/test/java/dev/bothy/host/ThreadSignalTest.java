package dev.bothy.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ThreadSignalTest {
  private static final int EINTR = 4;
  private static final int FOR_EVER = -1;

  @BeforeEach
  void linux() {
    assumeTrue(FileCalls.available(), "no calls into the C library here");
    assumeTrue(System.getProperty("os.arch").equals("amd64"), "not x86-64");
  }

  @Test
  void endsACallThatIsUnderWay() throws Exception {
    assertEquals(EINTR, errnoOfPoll(FOR_EVER, false));
  }

  @Test
  void waitsWhereItIsBlocked() throws Exception {
    assertEquals(0, errnoOfPoll(100, true));
  }

  @Test
  void doesNothingToAThreadInJava() throws Exception {
    var number = new CompletableFuture<Integer>();
    var enough = new CountDownLatch(1);
    Thread thread =
        Thread.ofPlatform()
            .start(
                () -> {
                  ThreadSignal.allow();
                  number.complete(ThreadSignal.thread());
                  while (enough.getCount() != 0) {
                    Thread.onSpinWait();
                  }
                });
    for (int i = 0; i < 1000; i++) {
      ThreadSignal.send(number.get(1, TimeUnit.MINUTES));
    }
    enough.countDown();
    thread.join();
  }

  /** The error number of a poll(2) of nothing that is sent signals until it ends; 0: it ended. */
  private static int errnoOfPoll(int millis, boolean blocked) throws Exception {
    var number = new CompletableFuture<Integer>();
    var result = new CompletableFuture<LibraryFunction.Result>();
    Thread thread =
        Thread.ofPlatform()
            .start(
                () -> {
                  if (blocked) {
                    ThreadSignal.block();
                  } else {
                    ThreadSignal.allow();
                  }
                  var poll = new LibraryFunction("poll");
                  number.complete(ThreadSignal.thread());
                  result.complete(poll.call(0, 0, millis, 0, 0, 0));
                  ThreadSignal.allow();
                });
    int receiver = number.get(1, TimeUnit.MINUTES);
    ThreadSignal.send(receiver);
    while (!blocked && !result.isDone()) {
      // The first may have come before the call.
      Thread.sleep(1);
      if (!result.isDone()) {
        ThreadSignal.send(receiver);
      }
    }
    LibraryFunction.Result ended = result.get(1, TimeUnit.MINUTES);
    thread.join();
    return ended.number() < 0 ? ended.errno() : 0;
  }
}
