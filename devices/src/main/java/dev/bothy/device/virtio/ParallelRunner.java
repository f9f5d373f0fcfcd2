package dev.bothy.device.virtio;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * Has the requests of a queue worked on by several threads at once, as far as that is worth a
 * thread. Waking one costs ten microseconds, and many requests take less: so one thread does all,
 * one after the other, while they are quick. While they are slow, a thread that takes a request has
 * another one look for the next before it begins, and the driver notifies of those that come later.
 * So that no request waits for a slow one that nobody expected, the queue is looked at every few
 * milliseconds while there is work.
 */
final class ParallelRunner implements QueueRunner, Runnable {
  /** A request that takes longer is slow. */
  private static final long SLOW_NANOS = 60_000;

  /** Quick requests in a row after which they are expected to be quick. */
  private static final int CALM = 16;

  private static final long WATCH_MILLIS = 3;

  private final VirtioDevice device;
  private final Virtqueue queue;
  private final Executor executor;
  private final int limit;
  private final VirtioDevice.Work work = this::serve;
  private final Runnable gone = this::endBroken;

  // Guarded by this.

  /** Threads that serve the queue, or will once they have started. */
  private int workers;

  /** Those of them that work on a request; the others will look for one before they end. */
  private int busy;

  /** Requests may have come since a thread has last looked. */
  private boolean asked;

  /** Above 0 while requests are expected to be slow. */
  private int slow;

  /** Requests done, and how many they were when the queue was last looked at. */
  private long done;

  private long doneBefore;
  private boolean watched;

  /**
   * @param limit requests that may be under way at once
   */
  ParallelRunner(VirtioDevice device, Virtqueue queue, Executor executor, int limit) {
    this.device = device;
    this.queue = queue;
    this.executor = executor;
    this.limit = limit;
  }

  @Override
  public void kick() {
    boolean watch;
    synchronized (this) {
      asked = true;
      if (!addWorker()) {
        return;
      }
      watch = !watched;
      watched = true;
    }
    try {
      start();
    } finally {
      if (watch) {
        watchLater();
      }
    }
  }

  /** True if one more thread is to be started: it counts already. This is locked. */
  private boolean addWorker() {
    if (workers == limit || workers > busy) {
      return false;
    }
    workers++;
    return true;
  }

  private void start() {
    boolean started = false;
    try {
      executor.execute(this);
      started = true;
    } finally {
      if (!started) {
        // After a reset, the queue is served again.
        gone.run();
        device.fail();
      }
    }
  }

  /** A thread that was to serve the queue does not, or not any more. */
  private synchronized void endBroken() {
    workers--;
  }

  @Override
  public void run() {
    do {
      synchronized (this) {
        asked = false;
      }
      if (device.enter()) {
        device.workAndLeave(work, gone);
      }
    } while (!endWorker());
  }

  /** Ends this thread's work, unless requests may have come. */
  private synchronized boolean endWorker() {
    if (asked) {
      return false;
    }
    workers--;
    return true;
  }

  private void serve() throws VirtqueueException {
    do {
      queue.wantNotifications(false);
      if (!serveThoseThere()) {
        break;
      }
      queue.wantNotifications(true);
    } while (!device.yielding() && queue.hasRequest());
  }

  /** Works until there is nothing to take; false if requests cannot be done now. */
  private boolean serveThoseThere() throws VirtqueueException {
    int unpublished = 0;
    int turn = 0;
    boolean more = true;
    while (more && !device.yielding()) {
      DescriptorChain chain = queue.poll();
      if (chain == null) {
        break;
      }
      boolean isSlow = begin();
      more = work(chain, isSlow);
      if (isSlow || ++unpublished == VirtioDevice.BATCH) {
        device.publish(queue);
        unpublished = 0;
      }
      if (++turn % VirtioDevice.TURN == 0 && Thread.currentThread().isVirtual()) {
        Thread.yield();
      }
    }
    device.publish(queue);
    return more;
  }

  private boolean work(DescriptorChain chain, boolean isSlow) throws VirtqueueException {
    long start = System.nanoTime();
    try {
      if (isSlow) {
        share();
        start = System.nanoTime();
      }
      return device.handle(queue, chain);
    } finally {
      end(System.nanoTime() - start);
    }
  }

  private synchronized boolean begin() {
    busy++;
    return slow > 0;
  }

  private synchronized void end(long nanos) {
    busy--;
    done++;
    slow = nanos > SLOW_NANOS ? CALM : Math.max(0, slow - 1);
  }

  /** Sees to it that somebody takes the next request while this thread is busy. */
  private void share() {
    try {
      if (!queue.hasRequest()) {
        queue.wantNotifications(true);
        if (!queue.hasRequest()) {
          return;
        }
      }
    } catch (VirtqueueException e) {
      // Found once more by whoever takes it.
    }
    boolean add;
    synchronized (this) {
      add = addWorker();
    }
    if (add) {
      start();
    }
  }

  private void watchLater() {
    execute(
        CompletableFuture.delayedExecutor(
            WATCH_MILLIS, TimeUnit.MILLISECONDS, task -> execute(executor, task)),
        this::watch);
  }

  /** If there is no thread to watch on, the next one that is started for requests begins anew. */
  private void execute(Executor by, Runnable watch) {
    boolean started = false;
    try {
      by.execute(watch);
      started = true;
    } finally {
      if (!started) {
        synchronized (this) {
          watched = false;
        }
      }
    }
  }

  /** If nothing has been done lately, all threads wait for slow requests. */
  private void watch() {
    boolean stuck;
    synchronized (this) {
      if (workers == 0) {
        watched = false;
        return;
      }
      stuck = workers == busy && done == doneBefore;
      doneBefore = done;
      slow = stuck ? CALM : slow;
    }
    try {
      if (stuck && device.enter()) {
        try {
          device.publish(queue);
          share();
        } finally {
          device.leave();
        }
      }
    } finally {
      watchLater();
    }
  }
}
