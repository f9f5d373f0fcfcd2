package dev.bothy.image;

import dev.bothy.image.ImageException.Trouble;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A disk in memory, gone when it is closed; for tests and for machines that need no more. A
 * subclass may note requests, or answer them otherwise.
 */
public class MemoryDevice implements BlockDevice {
  private static final int BLOCK = 512;

  private final MemorySegment content;
  private final boolean readOnly;

  /** A disk of {@code size} zero bytes, below 2 GiB. */
  public MemoryDevice(int size) {
    this(new byte[size], false);
  }

  /** A disk whose bytes are those of {@code content}, which it changes. */
  public MemoryDevice(byte[] content, boolean readOnly) {
    this.content = MemorySegment.ofArray(content);
    this.readOnly = readOnly;
  }

  @Override
  public long size() {
    return content.byteSize();
  }

  @Override
  public int blockSize() {
    return BLOCK;
  }

  @Override
  public int optimalSize() {
    return BLOCK;
  }

  @Override
  public boolean readOnly() {
    return readOnly;
  }

  @Override
  public void read(long offset, List<MemorySegment> targets) throws IOException {
    Ranges.check(offset, Ranges.length(targets), size());
    long at = offset;
    for (MemorySegment target : targets) {
      MemorySegment.copy(content, at, target, 0, target.byteSize());
      at += target.byteSize();
    }
  }

  @Override
  public void write(long offset, List<MemorySegment> sources) throws IOException {
    checkChange(offset, Ranges.length(sources));
    long at = offset;
    for (MemorySegment source : sources) {
      MemorySegment.copy(source, 0, content, at, source.byteSize());
      at += source.byteSize();
    }
  }

  @Override
  public void flush() {
    // Nothing is kept from it.
  }

  @Override
  public void discard(long offset, long length) throws IOException {
    zero(offset, length);
  }

  @Override
  public void writeZeroes(long offset, long length, boolean release) throws IOException {
    zero(offset, length);
  }

  private void zero(long offset, long length) throws ImageException {
    checkChange(offset, length);
    content.asSlice(offset, length).fill((byte) 0);
  }

  private void checkChange(long offset, long length) throws ImageException {
    if (readOnly) {
      throw new ImageException(Trouble.READ_ONLY, "this disk is read-only");
    }
    Ranges.check(offset, length, size());
  }

  @Override
  public void close() {
    // The collector's.
  }
}
