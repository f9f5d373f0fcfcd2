package dev.bothy.share;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * A request as it was when it came, in memory that the guest cannot change (struct fuse_in_header
 * of linux/fuse.h and what follows it). Used by one thread.
 */
final class FuseMessage {
  /** sizeof(struct fuse_in_header). */
  static final int HEADER = 40;

  /** Bytes of a request that are copied; only the data of WRITE can lie beyond. */
  private static final int COPIED = 128 << 10;

  /** Bytes of a name (NAME_MAX). */
  private static final int NAME_MAX = 255;

  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  private final List<MemorySegment> pieces;
  private final MemorySegment copy;
  private final long length;

  private FuseMessage(List<MemorySegment> pieces, MemorySegment copy, long length) {
    this.pieces = pieces;
    this.copy = copy;
    this.length = length;
  }

  /**
   * Copies a request.
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
    // A data block is not copied: its request is a header's piece and the rest.
    long copied = Math.min(there, COPIED);
    if (request.getFirst().byteSize() >= HEADER && request.getFirst().get(INT, 4) == Opcode.WRITE) {
      copied = Math.min(there, HEADER + WRITE_HEADER);
    }
    MemorySegment copy = arena.allocate(copied, 8);
    long at = 0;
    for (MemorySegment piece : request) {
      long count = Math.min(piece.byteSize(), copied - at);
      MemorySegment.copy(piece, 0, copy, at, count);
      at += count;
    }
    long length = copy.get(INT, 0) & 0xffff_ffffL;
    return length < HEADER || length > there ? null : new FuseMessage(request, copy, length);
  }

  /** sizeof(struct fuse_write_in). */
  static final int WRITE_HEADER = 40;

  int opcode() {
    return copy.get(INT, 4);
  }

  long unique() {
    return copy.get(LONG, 8);
  }

  long node() {
    return copy.get(LONG, 16);
  }

  int uid() {
    return copy.get(INT, 24);
  }

  int gid() {
    return copy.get(INT, 28);
  }

  /** Bytes behind the header that were copied. */
  private long size() {
    return Math.min(length, copy.byteSize()) - HEADER;
  }

  /**
   * Makes sure of arguments.
   *
   * @throws FuseException EINVAL if the request has fewer bytes behind its header
   */
  void needs(long bytes) throws FuseException {
    if (size() < bytes) {
      throw new FuseException(Errno.EINVAL);
    }
  }

  /** The four bytes at {@code offset} behind the header. */
  int getInt(long offset) throws FuseException {
    needs(offset + 4);
    return copy.get(INT, HEADER + offset);
  }

  long getLong(long offset) throws FuseException {
    needs(offset + 8);
    return copy.get(LONG, HEADER + offset);
  }

  /** The {@code count} bytes at {@code offset} behind the header. */
  MemorySegment bytes(long offset, long count) throws FuseException {
    needs(offset + count);
    return copy.asSlice(HEADER + offset, count);
  }

  /** A text at {@code offset} behind the header, with the 0 that ends it. */
  MemorySegment text(long offset) throws FuseException {
    for (long at = offset; at < size(); at++) {
      if (copy.get(JAVA_BYTE, HEADER + at) == 0) {
        return copy.asSlice(HEADER + offset, at + 1 - offset);
      }
    }
    throw new FuseException(Errno.EINVAL);
  }

  /**
   * A text that may be the name of something in a folder: not empty, without a slash, neither "."
   * nor "..".
   */
  MemorySegment name(long offset) throws FuseException {
    MemorySegment name = text(offset);
    long count = name.byteSize() - 1;
    if (count > NAME_MAX) {
      throw new FuseException(Errno.ENAMETOOLONG);
    }
    if (count == 0 || isDots(name)) {
      throw new FuseException(Errno.EINVAL);
    }
    for (long i = 0; i < count; i++) {
      if (name.get(JAVA_BYTE, i) == '/') {
        throw new FuseException(Errno.EINVAL);
      }
    }
    return name;
  }

  /** True of "." and "..". */
  static boolean isDots(MemorySegment name) {
    long count = name.byteSize() - 1;
    return count <= 2
        && count > 0
        && name.get(JAVA_BYTE, 0) == '.'
        && name.get(JAVA_BYTE, count - 1) == '.';
  }

  /** A name's bytes, without the 0. */
  static byte[] bytesOf(MemorySegment name) {
    return name.asSlice(0, name.byteSize() - 1).toArray(JAVA_BYTE);
  }

  /** The {@code count} bytes at {@code offset} behind the header, in the guest's own memory. */
  List<MemorySegment> data(long offset, long count) throws FuseException {
    if (count > length - HEADER - offset) {
      throw new FuseException(Errno.EINVAL);
    }
    return slice(pieces, HEADER + offset, count);
  }

  /** Those of the bytes in {@code pieces} that begin at {@code offset}; fewer if it has fewer. */
  static List<MemorySegment> slice(List<MemorySegment> pieces, long offset, long count) {
    List<MemorySegment> slices = new ArrayList<>(pieces.size());
    long skip = offset;
    long left = count;
    for (MemorySegment piece : pieces) {
      long size = piece.byteSize();
      if (skip >= size) {
        skip -= size;
        continue;
      }
      long taken = Math.min(size - skip, left);
      if (taken > 0) {
        slices.add(piece.asSlice(skip, taken));
      }
      skip = 0;
      left -= taken;
    }
    return slices;
  }
}
