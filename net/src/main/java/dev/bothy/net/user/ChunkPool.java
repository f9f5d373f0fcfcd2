package dev.bothy.net.user;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;

/**
 * The memory that all TCP connections of a network share for data on its way: chunks outside the
 * heap, so that the host's sockets read and write them without another copy. Guarded by the stack's
 * lock.
 */
final class ChunkPool {
  /** Bytes of a chunk, a power of two. */
  static final int CHUNK = 1 << 16;

  /** Unused chunks that are kept; more go back to the host. */
  private static final int SPARE = 128;

  private int limit;
  private final ArrayDeque<MemorySegment> free = new ArrayDeque<>();
  private int made;

  /** At most {@code limit} chunks. */
  ChunkPool(int limit) {
    this.limit = limit;
  }

  /**
   * A chunk with any content.
   *
   * @param held how many the asker has: who has some gets no more when little is left
   * @return null if there is none for the asker
   */
  MemorySegment take(int held) {
    int left = limit - made + free.size();
    if (left == 0 || held > 0 && left <= limit / 4) {
      return null;
    }
    MemorySegment chunk = free.pollLast();
    if (chunk == null) {
      try {
        chunk = Arena.ofAuto().allocate(CHUNK);
      } catch (OutOfMemoryError e) {
        // The process may have less memory outside the heap: what there is must do.
        limit = made;
        return null;
      }
      made++;
    }
    return chunk;
  }

  void giveBack(MemorySegment chunk) {
    if (free.size() < SPARE) {
      free.addLast(chunk);
    } else {
      made--;
    }
  }

  /** Chunks that somebody has. */
  int inUse() {
    return made - free.size();
  }
}
