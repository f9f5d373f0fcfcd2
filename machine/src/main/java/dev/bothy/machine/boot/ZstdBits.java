package dev.bothy.machine.boot;

import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * A bit stream of Zstandard that is read from its end to its start. Follows RFC 8878, section
 * 4.1.1. What lies before the start reads as zeros. Not thread-safe.
 */
final class ZstdBits {
  /**
   * Bytes that must precede a stream in its array, so that reading over the start stays in the
   * array.
   */
  static final int MARGIN = 16;

  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private byte[] bytes;
  private int start;

  /** Bits left; negative once reading went over the start. */
  private int left;

  /**
   * Starts at the end of {@code bytes[from..to)}; the array goes on for 8 bytes or more behind
   * {@code to}.
   */
  void open(byte[] source, int from, int to) throws IOException {
    if (to <= from || source[to - 1] == 0) {
      throw ZstdBlocks.damaged();
    }
    bytes = source;
    start = from;
    // The highest bit that is set marks the end.
    left = (to - from) * 8 - 1 - (Integer.numberOfLeadingZeros(source[to - 1] & 0xff) - 24);
  }

  /** The next {@code count} bits, 0 to 56. */
  long take(int count) throws IOException {
    left -= count;
    if (left < 0) {
      throw ZstdBlocks.damaged();
    }
    return bits(left, count);
  }

  /** The next {@code count} bits, 0 to 12, which stay; zeros where the stream is over. */
  int look(int count) {
    int from = left - count;
    if (from >= 0) {
      return (int) bits(from, count);
    }
    return left <= 0 ? 0 : (int) bits(0, left) << -from;
  }

  /** Passes over {@code count} bits. */
  void skip(int count) {
    left -= count;
  }

  int left() {
    return left;
  }

  private long bits(int from, int count) {
    long word = (long) LONG.get(bytes, start + (from >>> 3));
    return word >>> (from & 7) & (1L << count) - 1;
  }
}
