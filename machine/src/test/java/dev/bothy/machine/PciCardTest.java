package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class PciCardTest {
  private static Executor io(boolean reproducible) {
    return new PciCard.Host(null, null, 1, reproducible, () -> {}).io();
  }

  @Test
  void whatWaitsForTheHostKeepsNobodyElseWaiting() throws Exception {
    CyclicBarrier all = new CyclicBarrier(4);
    CompletableFuture<?>[] done = new CompletableFuture<?>[4];
    for (int i = 0; i < done.length; i++) {
      done[i] =
          CompletableFuture.runAsync(
              () -> {
                try {
                  // Each waits until the others are there, too.
                  all.await(240, TimeUnit.SECONDS);
                } catch (Exception e) {
                  throw new IllegalStateException(e);
                }
              },
              io(false));
    }
    CompletableFuture.allOf(done).get();
  }

  @Test
  void itsThreadsDoNotKeepTheProcessAlive() throws Exception {
    Thread thread = CompletableFuture.supplyAsync(Thread::currentThread, io(false)).get();
    assertNotEquals(Thread.currentThread(), thread);
    assertTrue(thread.isDaemon());
  }

  @Test
  void aReproducibleMachineHasNoThreadsOfItsDevices() throws Exception {
    Thread thread = CompletableFuture.supplyAsync(Thread::currentThread, io(true)).get();
    assertEquals(Thread.currentThread(), thread);
  }
}
