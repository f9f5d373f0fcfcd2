package dev.bothy.image;

import java.util.List;

/**
 * What a check found.
 *
 * @param corruptions contradictions that can lose content
 * @param leaks clusters of the file that nothing refers to, and flags that only cost time
 * @param repaired how many of both were mended
 * @param findings the first of both, a line each
 * @param allocated clusters of the disk that have a place in the file
 * @param compressed how many of those are compressed
 * @param total clusters of the disk
 * @param fileEnd where the last cluster that is in use ends, in bytes
 */
public record CheckReport(
    long corruptions,
    long leaks,
    long repaired,
    List<String> findings,
    long allocated,
    long compressed,
    long total,
    long fileEnd) {
  /** True if nothing is left to mend. */
  public boolean sound() {
    return corruptions + leaks == repaired;
  }
}
