package dev.bothy.share;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** Where a request's answer goes (struct fuse_out_header of linux/fuse.h). Used by one thread. */
final class FuseReply {
  /** sizeof(struct fuse_out_header). */
  static final int HEADER = 16;

  private final List<MemorySegment> pieces;
  private final long room;

  FuseReply(List<MemorySegment> pieces) {
    this.pieces = pieces;
    long all = 0;
    for (MemorySegment piece : pieces) {
      all += piece.byteSize();
    }
    room = all - HEADER;
  }

  /** Bytes there may be behind the header. */
  long room() {
    return room;
  }

  /**
   * Makes sure of room before anything is changed.
   *
   * @throws FuseException EIO if there is less behind the header
   */
  void needs(long bytes) throws FuseException {
    if (room < bytes) {
      throw new FuseException(Errno.EIO);
    }
  }

  /** Answers with an error; the bytes written, 0 if there is no room for that. */
  int error(long unique, int errno) {
    return header(unique, 0, errno);
  }

  /** Answers with {@code content}. */
  int send(long unique, MemorySegment content) throws FuseException {
    needs(content.byteSize());
    write(HEADER, content);
    return header(unique, content.byteSize(), 0);
  }

  /** Answers that it is done. */
  int done(long unique) {
    return header(unique, 0, 0);
  }

  /** Where {@code most} bytes behind the header go; fewer if there is less room. */
  List<MemorySegment> data(long most) {
    return FuseMessage.slice(pieces, HEADER, most);
  }

  /** Answers with {@code size} bytes that were written to {@link #data}. */
  int sent(long unique, long size) {
    return header(unique, size, 0);
  }

  private int header(long unique, long size, int errno) {
    if (room < 0) {
      return 0;
    }
    MemorySegment header = MemorySegment.ofArray(new byte[HEADER]);
    header.set(ValueLayout.JAVA_INT_UNALIGNED, 0, (int) (HEADER + size));
    header.set(ValueLayout.JAVA_INT_UNALIGNED, 4, -errno);
    header.set(ValueLayout.JAVA_LONG_UNALIGNED, 8, unique);
    write(0, header);
    return (int) (HEADER + size);
  }

  private void write(long offset, MemorySegment content) {
    long at = 0;
    for (MemorySegment piece : FuseMessage.slice(pieces, offset, content.byteSize())) {
      MemorySegment.copy(content, at, piece, 0, piece.byteSize());
      at += piece.byteSize();
    }
  }
}
