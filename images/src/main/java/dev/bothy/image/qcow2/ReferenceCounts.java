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

  /** Counts one more reference; returns how many there are now. */
  int add(long cluster) throws ImageException {
    char[] chunk = chunks.computeIfAbsent(cluster >>> CHUNK_BITS, _ -> new char[1 << CHUNK_BITS]);
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
    char[] chunk = chunks.get(cluster >>> CHUNK_BITS);
    return chunk == null ? 0 : chunk[(int) cluster & (1 << CHUNK_BITS) - 1];
  }

  /** Behind the last cluster that is referred to. */
  long end() {
    return end;
  }
}
