package dev.bothy.share;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * A request as it was when it came, in memory that the guest cannot change (struct fuse_in_header
 * of linux/fuse.h and what follows it). Used by one thread.
 */
final class FuseMessage {
  /** sizeof(struct fuse_in_header). */
  static final int HEADER = 40;

  /** sizeof(struct fuse_out_header). */
  static final int REPLY_HEADER = 16;

  /** Bytes of a request that are copied; only the data of WRITE lie beyond. */
  static final int COPIED = 128 << 10;

  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  private final MemorySegment copy;
  private final long length;

  private FuseMessage(MemorySegment copy, long length) {
    this.copy = copy;
    this.length = length;
  }

  /**
   * Copies a request, one byte more than which is 0.
   *
   * @return null if it is shorter than a header, or than it says it is
   */
  static FuseMessage read(List<MemorySegment> request, Arena arena) {
    long there = 0;
    for (MemorySegment piece : request) {
      there += piece.byteSize();
    }
    if (there < HEADER) {
      return null;
    }
    long copied = Math.min(there, COPIED);
    MemorySegment copy = arena.allocate(copied + 1, 8);
    copyTo(copy, copied, request);
    long length = copy.get(INT, 0) & 0xffff_ffffL;
    return length < HEADER || length > there ? null : new FuseMessage(copy, length);
  }

  private static void copyTo(MemorySegment copy, long limit, List<MemorySegment> request) {
    long at = 0;
    for (MemorySegment piece : request) {
      long count = Math.min(piece.byteSize(), limit - at);
      MemorySegment.copy(piece, 0, copy, at, count);
      at += count;
    }
    copy.set(JAVA_BYTE, limit, (byte) 0);
  }

  int opcode() {
    return copy.get(INT, 4);
  }

  long unique() {
    return copy.get(LONG, 8);
  }

  long node() {
    return copy.get(LONG, 16);
  }

  /** Bytes behind the header. */
  long size() {
    return length - HEADER;
  }

  /** The four bytes at {@code offset} behind the header. */
  int getInt(int offset) {
    return copy.get(INT, HEADER + offset);
  }

  long getLong(int offset) {
    return copy.get(LONG, HEADER + offset);
  }
}
