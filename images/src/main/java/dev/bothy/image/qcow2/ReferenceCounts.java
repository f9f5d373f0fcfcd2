package dev.bothy.image.qcow2;

import dev.bothy.image.ImageException;
import java.util.HashMap;
import java.util.Map;

/**
 * References of clusters as a check counts them, up to 65,535 each. Memory goes with what the
 * tables refer to, up to a quarter of the heap.
 */
final class ReferenceCounts {
  private static final int CHUNK_BITS = 12;

  private final Map<Long, char[]> chunks = new HashMap<>();
  private final long mostChunks = Runtime.getRuntime().maxMemory() / 4 / (2 << CHUNK_BITS);
  private long end;

  /** The chunk that was looked at last. */
  private long lastIndex = -1;

  private char[] last;

  /** Counts one more reference; returns how many there are now. */
  int add(long cluster) throws ImageException {
    long index = cluster >>> CHUNK_BITS;
    if (index != lastIndex || last == null) {
      last = chunks.computeIfAbsent(index, _ -> new char[1 << CHUNK_BITS]);
      lastIndex = index;
    }
    char[] chunk = last;
    if (chunks.size() > mostChunks) {
      throw new ImageException(
          ImageException.Trouble.REFUSED,
          "checking it takes more memory than Java has here: give it more with -Xmx");
    }
    end = Math.max(end, cluster + 1);
    int at = (int) cluster & (1 << CHUNK_BITS) - 1;
    if (chunk[at] != Character.MAX_VALUE) {
      chunk[at]++;
    }
    return chunk[at];
  }

  int get(long cluster) {
    if (cluster >>> CHUNK_BITS != lastIndex) {
      lastIndex = cluster >>> CHUNK_BITS;
      last = chunks.get(lastIndex);
    }
    return last == null ? 0 : last[(int) cluster & (1 << CHUNK_BITS) - 1];
  }

  /** Behind the last cluster that is referred to. */
  long end() {
    return end;
  }
}
