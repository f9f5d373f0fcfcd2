package dev.bothy.core;

/**
 * Which pages of RAM are written to from now on, by vCPUs ({@link DirtyLog}) and by devices ({@link
 * GuestMemory#observeWrites}), until it is closed. One thread at a time.
 */
public final class WrittenPages implements AutoCloseable {
  private final GuestMemory memory;
  private final DirtyLog vcpus;
  private final PageSet byDevices;
  private final WriteObserver observer = this::written;

  /** Begins; whatever the machine does meanwhile. */
  public WrittenPages(GuestMemory memory, DirtyLog vcpus) {
    this.memory = memory;
    this.vcpus = vcpus;
    byDevices = empty();
    vcpus.begin();
    memory.observeWrites(observer);
  }

  private PageSet empty() {
    return new PageSet(memory.size() / PageSet.PAGE);
  }

  private void written(long address, long length) {
    long first = memory.offsetOf(address);
    long last = memory.offsetOf(address + length - 1);
    if (first >= 0 && last >= first) {
      byDevices.add(first / PageSet.PAGE, last / PageSet.PAGE - first / PageSet.PAGE);
    }
  }

  /**
   * Those that have been written to since the last call, or since it began. While the machine runs,
   * a page may be written to again, or only just now, and is then in the next answer as well.
   */
  public PageSet take() {
    PageSet taken = empty();
    byDevices.drainTo(taken);
    vcpus.collect(taken);
    return taken;
  }

  @Override
  public void close() {
    memory.ignoreWrites(observer);
    vcpus.end();
  }
}
