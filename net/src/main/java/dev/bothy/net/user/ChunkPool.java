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

  private final int limit;
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
      chunk = Arena.ofAuto().allocate(CHUNK);
      made++;
    }
    return chunk;
  }

  void giveBack(MemorySegment chunk) {
    free.addLast(chunk);
  }

  /** Chunks that somebody has. */
  int inUse() {
    return made - free.size();
  }
}
