package dev.bothy.machine.boot;

import dev.bothy.host.HostMemory;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/**
 * Zstandard data, unpacked as a whole into memory outside the heap, to be read in order. Not
 * thread-safe.
 */
final class ZstdStream extends InputStream {
  private final HostMemory memory;
  private final MemorySegment plain;
  private final long length;
  private long position;

  /**
   * Unpacks {@code packed} and closes it.
   *
   * @param limit bytes that it may unpack to, at most
   */
  ZstdStream(InputStream packed, long limit) throws IOException {
    try {
      memory = HostMemory.allocate(Math.max(limit, 1));
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    plain = memory.segment();
    try (packed) {
      length = ZstdBlocks.unpack(packed, plain.asSlice(0, limit));
    } catch (IOException | RuntimeException e) {
      memory.close();
      throw e;
    }
  }

  @Override
  public int read() {
    return position < length ? plain.get(ValueLayout.JAVA_BYTE, position++) & 0xff : -1;
  }

  @Override
  public int read(byte[] target, int from, int count) {
    Objects.checkFromIndexSize(from, count, target.length);
    if (count > 0 && position == length) {
      return -1;
    }
    int available = (int) Math.min(count, length - position);
    MemorySegment.copy(plain, ValueLayout.JAVA_BYTE, position, target, from, available);
    position += available;
    return available;
  }

  @Override
  public long skip(long count) {
    long skipped = Math.clamp(count, 0, length - position);
    position += skipped;
    return skipped;
  }

  @Override
  public void close() {
    memory.close();
  }
}
