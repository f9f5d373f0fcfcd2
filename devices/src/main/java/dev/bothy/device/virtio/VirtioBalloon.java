package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.EnumMap;
import java.util.Map;

/**
 * Memory balloon: Virtual I/O Device (VIRTIO) 1.2, section 5.5. The guest gives pages back, as many
 * as {@link #setTarget} asks it for, and reports pages that it does not use; both are given back to
 * the host, and read as zeros when the guest uses them again. It also says how it uses its memory.
 *
 * <p>Any thread.
 */
public final class VirtioBalloon extends VirtioDevice {
  private static final int DEVICE = 5;
  private static final int QUEUE_SIZE = 128;
  private static final int PAGE = 4096;

  // Features (5.5.3).
  private static final long F_STATS_VQ = 1L << 1;
  private static final long F_DEFLATE_ON_OOM = 1L << 2;
  private static final long F_PAGE_REPORTING = 1L << 5;

  // Queues (5.5.2): reporting is the fourth if there is no queue for hints, by others the fifth.
  private static final int INFLATE = 0;
  private static final int DEFLATE = 1;
  private static final int STATISTICS = 2;
  private static final int QUEUES = 5;

  // Configuration space (5.5.4).
  private static final int NUM_PAGES = 0;
  private static final int ACTUAL = 4;
  private static final int CONFIG_SIZE = 8;

  /** Pages in one request. A vCPU waits until it is done; drivers send 1024 at most. */
  private static final int INFLATE_LIMIT = 1 << 16;

  private static final int STATISTIC_SIZE = 10;
  private static final int STATISTICS_LIMIT = 64;

  /** What a guest may say about its memory (5.5.6.3), by its number there; bytes or counts. */
  public enum Statistic {
    SWAP_IN,
    SWAP_OUT,
    MAJOR_FAULTS,
    MINOR_FAULTS,
    FREE_MEMORY,
    TOTAL_MEMORY,
    AVAILABLE_MEMORY,
    DISK_CACHES,
    HUGE_PAGES_ALLOCATED,
    HUGE_PAGES_FAILED
  }

  // Guarded by the lock.
  private final Object lock = new Object();
  private int targetPages;
  private int actualPages;
  private long released;
  private final Map<Statistic, Long> statistics = new EnumMap<>(Statistic.class);

  public VirtioBalloon(GuestMemory memory) {
    super(
        "virtio-balloon",
        DEVICE,
        SPLIT_RINGS | F_STATS_VQ | F_DEFLATE_ON_OOM | F_PAGE_REPORTING,
        QUEUES,
        QUEUE_SIZE,
        memory,
        AT_ONCE);
  }

  // The host's side.

  /**
   * Asks the guest to give back memory, or to take it again; it does so when it can.
   *
   * @param bytes that the guest is to do without
   */
  public void setTarget(long bytes) {
    if (bytes < 0 || bytes > memory().size()) {
      throw new IllegalArgumentException("a balloon of " + bytes + " bytes");
    }
    synchronized (lock) {
      targetPages = (int) (bytes / PAGE);
    }
    configChanged();
  }

  /** Bytes that the guest says it does without. */
  public long actual() {
    synchronized (lock) {
      return (actualPages & 0xffff_ffffL) * PAGE;
    }
  }

  /** Bytes that went back to the host, all in all; some of them may be in use again. */
  public long released() {
    synchronized (lock) {
      return released;
    }
  }

  /** What the guest said last about its memory, before a reset too; it need not be true. */
  public Map<Statistic, Long> statistics() {
    synchronized (lock) {
      return Map.copyOf(statistics);
    }
  }

  /** Asks for new statistics; false if the guest has no driver, or not answered the last time. */
  public boolean askForStatistics() {
    if (!enter()) {
      return false;
    }
    Virtqueue queue = queue(STATISTICS);
    try {
      DescriptorChain chain = queue.poll();
      if (chain == null) {
        return false;
      }
      queue.wantNotifications(true);
      queue.complete(chain, 0);
      publish(queue);
      return true;
    } catch (VirtqueueException e) {
      fail();
      return false;
    } finally {
      leave();
    }
  }

  // The guest's side.

  @Override
  protected int configSize() {
    return CONFIG_SIZE;
  }

  @Override
  protected int readConfig(int at) {
    synchronized (lock) {
      return at < ACTUAL ? targetPages >>> 8 * (at - NUM_PAGES) : actualPages >>> 8 * (at - ACTUAL);
    }
  }

  @Override
  protected void writeConfig(int at, int value) {
    synchronized (lock) {
      if (at >= ACTUAL) {
        int shift = 8 * (at - ACTUAL);
        actualPages = actualPages & ~(0xff << shift) | value << shift;
      }
    }
  }

  @Override
  protected boolean handle(Virtqueue queue, DescriptorChain chain) throws VirtqueueException {
    switch (queue.index()) {
      case INFLATE -> {
        inflate(chain.readable());
        queue.complete(chain, 0);
      }
      case DEFLATE -> queue.complete(chain, 0);
      case STATISTICS -> {
        // The buffer stays in the queue: completed, it is the question for new statistics.
        note(chain.readable());
        queue.undo(chain);
        return false;
      }
      default -> {
        countReleased(chain.releaseWritable(memory()));
        queue.complete(chain, 0);
      }
    }
    return true;
  }

  /** Page frame numbers, 4 bytes each, of what the guest does without. Others are ignored. */
  private void inflate(Buffers frames) throws VirtqueueException {
    if (frames.length() > 4L * INFLATE_LIMIT) {
      throw new VirtqueueException("a balloon of " + frames.length() / 4 + " pages at once");
    }
    int count = (int) (frames.length() / 4);
    ByteBuffer numbers = ByteBuffer.wrap(frames.read(0, 4 * count)).order(ByteOrder.LITTLE_ENDIAN);
    long start = 0;
    long length = 0;
    for (int i = 0; i < count; i++) {
      long address = (numbers.getInt(4 * i) & 0xffff_ffffL) * PAGE;
      if (address == start + length) {
        length += PAGE;
      } else if (address == start - PAGE) {
        start = address;
        length += PAGE;
      } else {
        countReleased(memory().release(start, length));
        start = address;
        length = PAGE;
      }
    }
    countReleased(memory().release(start, length));
  }

  private void countReleased(long length) {
    synchronized (lock) {
      released += length;
    }
  }

  private void note(Buffers values) {
    int count = (int) Math.min(values.length() / STATISTIC_SIZE, STATISTICS_LIMIT);
    synchronized (lock) {
      statistics.clear();
      for (int i = 0; i < count; i++) {
        int tag = values.getShort((long) STATISTIC_SIZE * i);
        if (tag < Statistic.values().length) {
          statistics.put(Statistic.values()[tag], values.getLong((long) STATISTIC_SIZE * i + 2));
        }
      }
    }
  }

  @Override
  protected void resetDevice() {
    synchronized (lock) {
      actualPages = 0;
    }
  }

  @Override
  protected void saveDevice(StateWriter out) {
    synchronized (lock) {
      out.putInt(targetPages).putInt(actualPages);
    }
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    synchronized (lock) {
      targetPages = in.getInt();
      actualPages = in.getInt();
    }
  }
}
