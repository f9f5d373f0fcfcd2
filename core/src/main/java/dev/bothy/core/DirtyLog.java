package dev.bothy.core;

/**
 * Tells which pages of RAM an engine's vCPUs have stored to, for snapshots that copy what has
 * changed. Stores by devices are not in it: see {@link WrittenPages}. Calls come one at a time; the
 * vCPUs may run.
 */
public interface DirtyLog {
  /** Notes stores from now on; none so far. */
  void begin();

  /**
   * Adds the pages to {@code pages} that have been stored to since {@link #begin} or the last call.
   * A page that is stored to meanwhile is among them, or among those of the next call, or both;
   * what it holds may be older than the store, unless the vCPUs stand.
   */
  void collect(PageSet pages);

  /** Notes no more. */
  void end();
}
