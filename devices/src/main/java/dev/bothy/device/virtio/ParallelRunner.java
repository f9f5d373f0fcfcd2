package dev.bothy.device.virtio;

import java.util.concurrent.Executor;

/**
 * Has the requests of a queue worked on by several threads at once. One of them at a time, the
 * taker, takes requests from the ring: each that it takes it works on itself, after it has made
 * somebody else the taker if there are more. So a queue with one request under way needs one
 * thread, which is never waited for by requests that come later; and whoever is done with a request
 * takes the next, so that a full queue costs no thread a request.
 */
final class ParallelRunner implements QueueRunner, Runnable {
  private final VirtioDevice device;
  private final Virtqueue queue;
  private final Executor executor;
  private final int limit;

  // Guarded by this.

  /** Threads that work on a request, the taker among them or not. */
  private int working;

  /** There is a taker, or will be as soon as it has its thread. */
  private boolean taking;

  /** Requests may have come since the taker has last looked. */
  private boolean asked;

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
    synchronized (this) {
      asked = true;
      if (taking || working == limit) {
        return;
      }
      taking = true;
    }
    startTaker();
  }

  private void startTaker() {
    boolean started = false;
    try {
      executor.execute(this);
      started = true;
    } finally {
      if (!started) {
        // The host has no thread left: after a reset, the queue is served again.
        stopTaking();
        device.fail();
      }
    }
  }

  private synchronized void stopTaking() {
    taking = false;
  }

  /** As the taker, works until there is nothing left, or somebody else is the taker. */
  @Override
  public void run() {
    int done = 0;
    while (takeAndWork()) {
      if (++done % VirtioDevice.TURN == 0 && Thread.currentThread().isVirtual()) {
        Thread.yield();
      }
    }
  }

  /** Takes a request as the taker and works on it; true if this thread is to go on as the taker. */
  private boolean takeAndWork() {
    if (!enter()) {
      return false;
    }
    try {
      DescriptorChain chain = take();
      if (chain == null) {
        return false;
      }
      work(chain);
    } finally {
      device.leave();
    }
    return takeUp();
  }

  /** Begins work; if there is to be none now, this thread is not the taker any more. */
  private boolean enter() {
    do {
      synchronized (this) {
        asked = false;
      }
      if (device.enter()) {
        return true;
      }
      // Whoever lets work begin again has the queue looked at, perhaps just now.
    } while (!doneTaking());
    return false;
  }

  /** Stops being the taker, unless there may be something to take. */
  private synchronized boolean doneTaking() {
    taking = asked;
    return !asked;
  }

  /** The next request; or null, and then this thread is not the taker any more. */
  private DescriptorChain take() {
    try {
      do {
        synchronized (this) {
          asked = false;
        }
        DescriptorChain chain = next();
        if (chain != null) {
          synchronized (this) {
            working++;
          }
          return chain;
        }
      } while (!doneTaking());
    } catch (VirtqueueException e) {
      stopTaking();
      device.fail();
    }
    return null;
  }

  private DescriptorChain next() throws VirtqueueException {
    if (device.yielding()) {
      return null;
    }
    DescriptorChain chain = queue.poll();
    if (chain == null) {
      queue.wantNotifications(true);
      // One may have come before the driver knew that it has to notify.
      chain = queue.poll();
    }
    return chain;
  }

  private void work(DescriptorChain chain) {
    boolean broken = true;
    try {
      if (passOn()) {
        startTaker();
      }
      device.handle(queue, chain);
      device.publish(queue);
      broken = false;
    } catch (VirtqueueException e) {
      broken = false;
      device.fail();
    } finally {
      synchronized (this) {
        working--;
      }
      if (broken) {
        // The host's mistake, or out of memory: after a reset, the queue is served again.
        device.fail();
      }
    }
  }

  /** Settles who takes requests while this thread works on its own: true if that needs a thread. */
  private boolean passOn() {
    boolean more;
    try {
      queue.wantNotifications(true);
      more = queue.hasRequest();
    } catch (VirtqueueException e) {
      // Found once more by whoever takes next.
      more = true;
    }
    synchronized (this) {
      taking = (more || asked) && working < limit;
      return taking;
    }
  }

  /** Done with a request: true if this thread is the taker from now on. */
  private synchronized boolean takeUp() {
    boolean mine = !taking;
    taking = true;
    return mine;
  }
}
