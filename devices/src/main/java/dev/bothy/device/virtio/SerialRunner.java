package dev.bothy.device.virtio;

import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Has a queue served by one thread at a time, by {@link VirtioDevice#serve}; whoever asks meanwhile
 * has it done once more.
 */
final class SerialRunner implements QueueRunner, Runnable {
  private final VirtioDevice device;
  private final Virtqueue queue;
  private final Executor executor;
  private final AtomicInteger turns = new AtomicInteger();
  private final VirtioDevice.Work work = this::serve;
  private final Runnable broken = this::endTurns;

  /** Who has asked the executor for a thread, until that has begun. */
  private volatile Thread starting;

  SerialRunner(VirtioDevice device, Virtqueue queue, Executor executor) {
    this.device = device;
    this.queue = queue;
    this.executor = executor;
  }

  @Override
  public void kick() {
    if (turns.getAndIncrement() == 0) {
      start();
    }
  }

  private void start() {
    Thread self = Thread.currentThread();
    starting = self;
    boolean started = false;
    try {
      executor.execute(this);
      started = true;
    } finally {
      // What has begun and broke has ended its turns already, and may be served again by now.
      if (!started && starting == self) {
        endTurns();
        device.fail();
      }
    }
  }

  @Override
  public void run() {
    starting = null;
    int seen;
    do {
      seen = turns.get();
      if (device.enter()) {
        device.workAndLeave(work, broken);
      }
    } while (turns.addAndGet(-seen) != 0);
  }

  private void serve() throws VirtqueueException {
    device.serve(queue);
  }

  /** After a reset, the queue is served again. */
  private void endTurns() {
    turns.set(0);
  }
}
