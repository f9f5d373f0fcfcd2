package dev.bothy.image;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A disk as its user sees it: a fixed number of bytes that can be read and written anywhere.
 *
 * <p>Offsets and lengths are in bytes and need no alignment, though what is aligned to {@link
 * #blockSize} is cheaper. Data comes from and goes to lists of segments, in order, as guests
 * describe their buffers: native ones (guest RAM, direct buffers) are handed to the host without a
 * copy, segments of {@code byte[]} work too. Segments are not kept after the call.
 *
 * <p><b>Threads.</b> All methods may be called from any number of threads at once and block the
 * caller. A call sees everything that calls which had returned before it wrote. What concurrent
 * calls do to the same bytes is some mixture of both. Do not interrupt a thread that is in a call:
 * that may cost the file its channel; an interrupt from before is put off. {@link #close} waits for
 * nobody: no other call may be under way, and none may follow except another {@code close}.
 *
 * <p><b>Durability.</b> What writes, discards and write-zeroes that had returned before a call of
 * {@link #flush} did is on stable storage when the flush returns; before that, a power cut leaves
 * each sector of 512 bytes as it was or as a write made it.
 *
 * <p><b>Errors</b> are {@link ImageException}s, whose {@link ImageException#trouble} says of what
 * kind; the device stays usable. After an error the content of the range of that call is undefined,
 * but only of that range.
 */
public interface BlockDevice extends AutoCloseable {
  /** The smallest unit that hosts write as one: 512 bytes. */
  int SECTOR = 512;

  /** Bytes, at least 0; usually but not always a multiple of 512. */
  long size();

  /** Bytes that are best not written in part: a power of two from 512 on. */
  int blockSize();

  /** Bytes that are best written at once, and discarded together: a multiple of blockSize. */
  int optimalSize();

  /** True if everything that changes content is refused. */
  boolean readOnly();

  /**
   * Fills the segments, one after the other, with what is at {@code offset}.
   *
   * @throws IOException if the range does not lie inside the disk, or the host cannot read it
   */
  void read(long offset, List<MemorySegment> targets) throws IOException;

  /** Fills one segment. */
  default void read(long offset, MemorySegment target) throws IOException {
    read(offset, List.of(target));
  }

  /**
   * Writes the segments, one after the other, to {@code offset}.
   *
   * @throws IOException if the range does not lie inside the disk, the disk is read-only, or the
   *     host cannot write it
   */
  void write(long offset, List<MemorySegment> sources) throws IOException;

  /** Writes one segment. */
  default void write(long offset, MemorySegment source) throws IOException {
    write(offset, List.of(source));
  }

  /**
   * Makes what was written last.
   *
   * @throws IOException if the host cannot; then nothing is known of writes since the last flush
   */
  void flush() throws IOException;

  /**
   * Says that nobody needs these bytes any more. They read as they were or as zeros afterwards,
   * block by block; their room on the host is given back as far as the format allows.
   *
   * @throws IOException as {@link #write}
   */
  void discard(long offset, long length) throws IOException;

  /**
   * Makes these bytes zero, without writing them where the format can.
   *
   * @param release their room on the host may be given back; otherwise it is kept where there is
   *     any, so that later writes find it
   * @throws IOException as {@link #write}
   */
  void writeZeroes(long offset, long length, boolean release) throws IOException;

  /**
   * How many bytes from {@code offset} on are known to be zero without reading them: at most {@code
   * length}; 0 if nothing is known. For those who copy disks.
   *
   * @throws IOException as {@link #read}
   */
  default long zeroes(long offset, long length) throws IOException {
    return 0;
  }

  /**
   * Flushes, unless read-only, and gives the file back. Does nothing the second time.
   *
   * @throws IOException if the host cannot flush; the file is given back nevertheless
   */
  @Override
  void close() throws IOException;
}
