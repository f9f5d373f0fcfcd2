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

  SerialRunner(VirtioDevice device, Virtqueue queue, Executor executor) {
    this.device = device;
    this.queue = queue;
    this.executor = executor;
  }

  @Override
  public void kick() {
    if (turns.getAndIncrement() == 0) {
      executor.execute(this);
    }
  }

  @Override
  public void run() {
    boolean broken = true;
    try {
      int seen;
      do {
        seen = turns.get();
        if (device.enter()) {
          work();
        }
      } while (turns.addAndGet(-seen) != 0);
      broken = false;
    } finally {
      if (broken) {
        // The host's mistake, or out of memory: after a reset, the queue is served again.
        turns.set(0);
        device.fail();
      }
    }
  }

  private void work() {
    try {
      device.serve(queue);
    } catch (VirtqueueException e) {
      device.fail();
    } finally {
      device.leave();
    }
  }
}
