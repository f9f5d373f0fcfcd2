package dev.bothy.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;

/** Several threads that do what is to be done, in its order. */
final class Workers {
  private Workers() {}

  /** Something to do. */
  interface Work<T> {
    /**
     * @return false: nothing more is begun
     */
    boolean on(T task) throws InterruptedException;
  }

  /** Returns when all is done, or all that was begun when one had enough. */
  static <T> void run(int threads, List<T> tasks, Work<T> work) throws InterruptedException {
    var waiting = new ConcurrentLinkedQueue<T>(tasks);
    List<Thread> workers = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      workers.add(Thread.ofPlatform().start(() -> work(waiting, work)));
    }
    for (Thread worker : workers) {
      worker.join();
    }
  }

  private static <T> void work(ConcurrentLinkedQueue<T> waiting, Work<T> work) {
    try {
      for (T task; (task = waiting.poll()) != null; ) {
        if (!work.on(task)) {
          waiting.clear();
        }
      }
    } catch (InterruptedException e) {
      waiting.clear();
    }
  }
}
