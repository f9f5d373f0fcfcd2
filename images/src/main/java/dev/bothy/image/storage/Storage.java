package dev.bothy.image.storage;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The bytes of an image's file. Thread-safe as a {@link dev.bothy.image.BlockDevice} is; unlike
 * that it grows when written behind its end, what was never written reads as zeros, and so does
 * what lies behind the end.
 */
public interface Storage extends AutoCloseable {
  /** Bytes in the file now. */
  long size() throws IOException;

  boolean readOnly();

  /** How messages call it: a path, as given. */
  String name();

  /** Fills the segments; zeros behind the end. */
  void read(long position, List<MemorySegment> targets) throws IOException;

  void write(long position, List<MemorySegment> sources) throws IOException;

  default void read(long position, MemorySegment target) throws IOException {
    read(position, List.of(target));
  }

  default void write(long position, MemorySegment source) throws IOException {
    write(position, List.of(source));
  }

  /** What was written before is on stable storage when this returns. */
  void sync() throws IOException;

  /** Makes the file that long; new bytes are zeros. */
  void resize(long size) throws IOException;

  /**
   * Gives the room of these bytes back to the host; they read as zeros afterwards.
   *
   * @return false if the host cannot do that: then they may be zeros or as they were
   */
  boolean punch(long position, long length) throws IOException;

  /**
   * Makes these bytes zeros without writing them, and keeps room for them; the file grows as when
   * they are written.
   *
   * @return false if the host cannot do that: then they may be zeros or as they were
   */
  default boolean zero(long position, long length) throws IOException {
    return false;
  }

  /**
   * How many bytes from {@code position} on are in a hole, or behind the end, and so zeros: at most
   * {@code length}; 0 if that is not known.
   */
  default long hole(long position, long length) throws IOException {
    return 0;
  }

  /** Bytes that the file takes on the host's disk; -1 if that is not known. */
  default long allocated() throws IOException {
    return -1;
  }

  @Override
  void close() throws IOException;
}
