package dev.bothy.machine;

import dev.bothy.core.Timer;
import java.util.ArrayList;
import java.util.List;
import java.util.PriorityQueue;

/**
 * The timers of one machine, by deadline; equal deadlines fire in the order of the timers' names,
 * so that the order is the same after loading a saved machine. Thread-safe. The queue calls nobody
 * while it is locked.
 */
final class TimerQueue {
  private final PriorityQueue<QueuedTimer> queue = new PriorityQueue<>(TimerQueue::compare);
  private final Runnable onEarlier;
  private long nextSequence;

  /**
   * @param onEarlier called when the first deadline has become an earlier one
   */
  TimerQueue(Runnable onEarlier) {
    this.onEarlier = onEarlier;
  }

  private static int compare(QueuedTimer a, QueuedTimer b) {
    if (a.deadline != b.deadline) {
      return Long.compare(a.deadline, b.deadline);
    }
    int names = a.name.compareTo(b.name);
    return names != 0 ? names : Long.compare(a.sequence, b.sequence);
  }

  private final class QueuedTimer implements Timer {
    private final String name;
    private final Runnable onExpiry;
    private long deadline;
    private long sequence;
    private boolean armed;

    QueuedTimer(String name, Runnable onExpiry) {
      this.name = name;
      this.onExpiry = onExpiry;
    }

    @Override
    public void armAt(long nanos) {
      boolean first;
      synchronized (queue) {
        if (armed) {
          queue.remove(this);
        }
        deadline = nanos;
        sequence = nextSequence++;
        armed = true;
        queue.add(this);
        first = queue.peek() == this;
      }
      if (first) {
        onEarlier.run();
      }
    }

    @Override
    public void cancel() {
      synchronized (queue) {
        if (armed) {
          queue.remove(this);
          armed = false;
        }
      }
    }

    @Override
    public boolean armed() {
      synchronized (queue) {
        return armed;
      }
    }

    @Override
    public long deadline() {
      synchronized (queue) {
        return deadline;
      }
    }

    @Override
    public String toString() {
      return name;
    }
  }

  Timer newTimer(String name, Runnable onExpiry) {
    return new QueuedTimer(name, onExpiry);
  }

  /** The first deadline, or Long.MAX_VALUE if nothing is armed. */
  long firstDeadline() {
    synchronized (queue) {
      QueuedTimer first = queue.peek();
      return first == null ? Long.MAX_VALUE : first.deadline;
    }
  }

  /**
   * Fires what is due at {@code now}, each timer at most once: one that is armed anew for the past
   * waits for the next call, so that no device can keep the caller here.
   *
   * @return true if anything fired
   */
  boolean fire(long now) {
    List<QueuedTimer> due = null;
    synchronized (queue) {
      for (QueuedTimer first; (first = queue.peek()) != null && first.deadline <= now; ) {
        queue.poll();
        first.armed = false;
        if (due == null) {
          due = new ArrayList<>(2);
        }
        due.add(first);
      }
    }
    if (due == null) {
      return false;
    }
    for (QueuedTimer timer : due) {
      timer.onExpiry.run();
    }
    return true;
  }
}
