package dev.bothy.net.user;

import dev.bothy.net.Frame;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * A window of a byte stream: the bytes between two positions, in chunks of a pool. Bytes are put at
 * any position within a limit and leave at the front. Guarded by the stack's lock, but for the
 * content of what {@link #views} gave out, which its user reads or writes without.
 */
final class StreamBuffer {
  private final ChunkPool pool;
  private final int limit;
  private MemorySegment[] chunks;
  private int firstSlot;
  private int held;

  /** Position of the first byte still wanted. */
  private long start;

  /** Position of the first chunk's first byte. */
  private long base;

  /** At most {@code limit} bytes, from position 0. */
  StreamBuffer(ChunkPool pool, int limit) {
    this.pool = pool;
    this.limit = limit;
    this.chunks = new MemorySegment[2];
  }

  long start() {
    return start;
  }

  /** Where the furthest byte that may be put comes before. */
  long end() {
    return start + limit;
  }

  /** Makes room for all positions before {@code end}; the position up to which there is room. */
  long reserve(long end) {
    long wanted = Math.min(end, end());
    while (base + (long) held * ChunkPool.CHUNK < wanted) {
      MemorySegment chunk = pool.take(held);
      if (chunk == null) {
        break;
      }
      if (held == chunks.length) {
        grow();
      }
      chunks[firstSlot + held & chunks.length - 1] = chunk;
      held++;
    }
    return Math.min(wanted, base + (long) held * ChunkPool.CHUNK);
  }

  private void grow() {
    MemorySegment[] larger = new MemorySegment[2 * chunks.length];
    for (int i = 0; i < held; i++) {
      larger[i] = chunks[firstSlot + i & chunks.length - 1];
    }
    chunks = larger;
    firstSlot = 0;
  }

  /** Puts bytes of a frame where room was made. */
  void put(long position, Frame frame, int from, int length) {
    long at = position;
    int done = 0;
    while (done < length) {
      int offset = (int) (at - base & ChunkPool.CHUNK - 1);
      int here = Math.min(length - done, ChunkPool.CHUNK - offset);
      frame.copyTo(from + done, chunkAt(at), offset, here);
      done += here;
      at += here;
    }
  }

  /** Puts bytes where room was made. */
  void put(long position, ByteBuffer bytes) {
    long at = position;
    while (bytes.hasRemaining()) {
      int offset = (int) (at - base & ChunkPool.CHUNK - 1);
      int here = Math.min(bytes.remaining(), ChunkPool.CHUNK - offset);
      chunkAt(at).asByteBuffer().put(offset, bytes, bytes.position(), here);
      bytes.position(bytes.position() + here);
      at += here;
    }
  }

  /** The memory of the bytes from {@code position}, as a few segments behind {@code before}. */
  MemorySegment[] slices(long position, int length, MemorySegment before) {
    int first = (int) (position - base & ChunkPool.CHUNK - 1);
    int count = length == 0 ? 0 : (first + length - 1) / ChunkPool.CHUNK + 1;
    MemorySegment[] slices = new MemorySegment[1 + count];
    slices[0] = before;
    int offset = first;
    int left = length;
    for (int i = 1; i <= count; i++) {
      int here = Math.min(left, ChunkPool.CHUNK - offset);
      slices[i] = chunkAt(position + (length - left)).asSlice(offset, here);
      left -= here;
      offset = 0;
    }
    return slices;
  }

  /** As buffers for the host's sockets. */
  ByteBuffer[] views(long position, int length) {
    MemorySegment[] slices = slices(position, length, MemorySegment.NULL);
    ByteBuffer[] views = new ByteBuffer[slices.length - 1];
    for (int i = 0; i < views.length; i++) {
      views[i] = slices[i + 1].asByteBuffer();
    }
    return views;
  }

  private MemorySegment chunkAt(long position) {
    int index = (int) ((position - base) / ChunkPool.CHUNK);
    return chunks[firstSlot + index & chunks.length - 1];
  }

  /** The bytes before {@code position} are not wanted any more; gives back their chunks. */
  void release(long position) {
    start = position;
    while (held > 0 && base + ChunkPool.CHUNK <= position) {
      dropFirst();
    }
  }

  /**
   * Gives back what is left if there is no byte before {@code end} and nobody uses the memory: an
   * idle connection holds no chunk.
   */
  void releaseIfEmpty(long end) {
    if (start == end) {
      clear();
    }
  }

  /** Gives back everything. */
  void clear() {
    while (held > 0) {
      dropFirst();
    }
    base = start;
  }

  private void dropFirst() {
    pool.giveBack(chunks[firstSlot]);
    chunks[firstSlot] = null;
    firstSlot = firstSlot + 1 & chunks.length - 1;
    held--;
    base += ChunkPool.CHUNK;
  }
}
