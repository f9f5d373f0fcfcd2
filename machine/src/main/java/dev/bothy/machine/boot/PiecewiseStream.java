package dev.bothy.machine.boot;

import java.io.IOException;
import java.io.InputStream;
import java.util.Objects;

/** Bytes that come in pieces. Not thread-safe. */
abstract class PiecewiseStream extends InputStream {
  private byte[] piece = {};
  private int position;
  private int limit;

  /** Gives the next piece to {@link #put}; false at the end, also when asked again. */
  abstract boolean nextPiece() throws IOException;

  /** The first {@code length} of {@code bytes}, which may be 0, are what is read next. */
  final void put(byte[] bytes, int length) {
    piece = bytes;
    position = 0;
    limit = length;
  }

  /** True if there is a byte to be read. */
  private boolean fill() throws IOException {
    while (position == limit) {
      if (!nextPiece()) {
        return false;
      }
    }
    return true;
  }

  @Override
  public final int read() throws IOException {
    return fill() ? piece[position++] & 0xff : -1;
  }

  @Override
  public final int read(byte[] target, int from, int most) throws IOException {
    Objects.checkFromIndexSize(from, most, target.length);
    if (most == 0) {
      return 0;
    }
    if (!fill()) {
      return -1;
    }
    int count = Math.min(most, limit - position);
    System.arraycopy(piece, position, target, from, count);
    position += count;
    return count;
  }

  @Override
  public final long skip(long count) throws IOException {
    if (count <= 0 || !fill()) {
      return 0;
    }
    int skipped = (int) Math.min(count, limit - position);
    position += skipped;
    return skipped;
  }

  @Override
  public final int available() {
    return limit - position;
  }
}
