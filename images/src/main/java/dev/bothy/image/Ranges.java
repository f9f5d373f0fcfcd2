package dev.bothy.image;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** Arithmetic on byte ranges of disks and on lists of segments. */
public final class Ranges {
  private Ranges() {}

  /** Bytes of all segments together. */
  public static long length(List<MemorySegment> segments) {
    long sum = 0;
    for (int i = 0; i < segments.size(); i++) {
      sum += segments.get(i).byteSize();
    }
    return sum;
  }

  /**
   * Refuses what does not lie inside a disk.
   *
   * @throws ImageException if not
   */
  public static void check(long offset, long length, long size) throws ImageException {
    if (offset < 0 || length < 0 || offset > size - length) {
      throw new ImageException(
          ImageException.Trouble.OUT_OF_RANGE,
          "%d bytes at %d do not lie inside a disk of %d bytes".formatted(length, offset, size));
    }
  }

  /** The part of the segments from byte {@code from} on, {@code length} bytes long. */
  public static List<MemorySegment> slice(List<MemorySegment> segments, long from, long length) {
    if (segments.size() == 1) {
      MemorySegment only = segments.getFirst();
      return from == 0 && length == only.byteSize()
          ? segments
          : List.of(only.asSlice(from, length));
    }
    List<MemorySegment> slice = new ArrayList<>();
    long skip = from;
    long left = length;
    for (int i = 0; left > 0; i++) {
      MemorySegment segment = segments.get(i);
      if (skip >= segment.byteSize()) {
        skip -= segment.byteSize();
        continue;
      }
      long part = Math.min(segment.byteSize() - skip, left);
      slice.add(segment.asSlice(skip, part));
      skip = 0;
      left -= part;
    }
    return slice;
  }

  /** Zeros all bytes. */
  public static void clear(List<MemorySegment> segments) {
    for (int i = 0; i < segments.size(); i++) {
      segments.get(i).fill((byte) 0);
    }
  }

  public static long roundDown(long value, long powerOfTwo) {
    return value & -powerOfTwo;
  }

  /** Rounds up; the result overflows for values close to the largest. */
  public static long roundUp(long value, long powerOfTwo) {
    return value + powerOfTwo - 1 & -powerOfTwo;
  }
}
