package dev.bothy.core;

/**
 * A register of a {@link BusDevice} that tells the device to look at something, whatever is written
 * to it. An engine may let the guest go on and {@link #ring} on another thread, soon, and once for
 * several writes, instead of calling {@link BusDevice#write}; or it may not, or only for writes of
 * some sizes. Two of them are the same if they are one object.
 */
public final class Doorbell {
  private final long offset;
  private final int size;
  private final Runnable action;

  /**
   * @param offset from the start of the registered range
   * @param size bytes that drivers write, for engines that must know: 1, 2, 4 or 8
   * @param action what a write does. Any thread, also after the range has gone; while the device is
   *     paused, it must do no more than remember
   */
  public Doorbell(long offset, int size, Runnable action) {
    this.offset = offset;
    this.size = size;
    this.action = action;
  }

  public long offset() {
    return offset;
  }

  public int size() {
    return size;
  }

  /** Does what a write does. */
  public void ring() {
    action.run();
  }
}
