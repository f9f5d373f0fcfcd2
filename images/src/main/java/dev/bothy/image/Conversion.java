package dev.bothy.image;

import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.qcow2.ClusterCompressor;
import dev.bothy.image.qcow2.Qcow2Image;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Copies what is on one disk to a new image, leaving out zeros: some threads read, and compress,
 * one writes in the disk's order. What is copied is not flushed: a copy that was interrupted is
 * worth nothing anyway, and the host writes a finished one in its own time.
 */
public final class Conversion {
  private static final int BUFFER = 1 << 20;

  // Some to wait for the host's disk; more do not make it faster: one thread has to write it all.
  private static final int FEWEST_THREADS = 4;
  private static final int MOST_THREADS = 8;

  /** Zeros of that length, and at multiples of it, are left out. */
  private static final int GRAIN = 4096;

  private static final MemorySegment ZEROS = MemorySegment.ofArray(new byte[GRAIN]).asReadOnly();

  /** What is to be written of a part of the disk, once it has been read. */
  private interface Content {
    void write() throws IOException;
  }

  /** Reads a part of the disk, on any thread; the buffer is its own until it is written. */
  private interface Reader {
    Content read(long offset, MemorySegment buffer) throws IOException;
  }

  /** A part that is being read. */
  private record Part(long end, MemorySegment buffer, Future<Content> content) {}

  private final BlockDevice source;
  private final Progress progress;
  private final int bufferSize;
  private final Reader reader;

  /** Parts in the disk's order. */
  private final Deque<Part> underWay = new ArrayDeque<>();

  private Conversion(BlockDevice source, Progress progress, int bufferSize, Reader reader) {
    this.source = source;
    this.progress = progress;
    this.bufferSize = bufferSize;
    this.reader = reader;
  }

  /**
   * Copies all of a disk to a new image, which is zeros and at least as large.
   *
   * @throws ImageException if one cannot be read or the other written; the target is worth nothing
   *     then
   */
  public static void plain(BlockDevice source, DiskImage target, Progress progress)
      throws IOException {
    target.setBarriers(false);
    new Conversion(
            source,
            progress,
            Math.max(BUFFER, source.optimalSize()),
            (offset, buffer) -> {
              source.read(offset, buffer);
              return () -> writeNonZero(target, offset, buffer);
            })
        .run();
  }

  private static void writeNonZero(DiskImage target, long offset, MemorySegment bytes)
      throws IOException {
    long length = bytes.byteSize();
    long from = 0;
    while (from < length) {
      while (from < length && isZero(bytes, from)) {
        from += GRAIN;
      }
      long end = from;
      while (end < length && !isZero(bytes, end)) {
        end += GRAIN;
      }
      if (from < length) {
        end = Math.min(end, length);
        target.write(offset + from, bytes.asSlice(from, end - from));
      }
      from = end;
    }
  }

  private static boolean isZero(MemorySegment bytes, long from) {
    long end = Math.min(from + GRAIN, bytes.byteSize());
    return MemorySegment.mismatch(bytes, from, end, ZEROS, 0, end - from) < 0;
  }

  /**
   * Copies all of a disk to a new qcow2 image with compressed clusters.
   *
   * @throws ImageException as {@link #plain}, or if the target is not qcow2
   */
  public static void compressed(BlockDevice source, DiskImage target, Progress progress)
      throws IOException {
    if (!(target instanceof Qcow2Image qcow2)) {
      throw new ImageException(Trouble.REFUSED, "only qcow2 images can be compressed");
    }
    qcow2.setBarriers(false);
    int buffer = Math.max(BUFFER / 4, Math.max(source.optimalSize(), qcow2.optimalSize()));
    new Conversion(source, progress, buffer, (at, bytes) -> pack(source, qcow2, at, bytes)).run();
  }

  /** Reads clusters and compresses those that are not zero. */
  private static Content pack(
      BlockDevice source, Qcow2Image target, long offset, MemorySegment buffer) throws IOException {
    source.read(offset, buffer);
    int clusterSize = target.optimalSize();
    List<Content> clusters = new ArrayList<>();
    byte[] cluster = new byte[clusterSize];
    try (ClusterCompressor compressor = target.compressor()) {
      for (long from = 0; from < buffer.byteSize(); from += clusterSize) {
        MemorySegment bytes = buffer.asSlice(from, Math.min(clusterSize, buffer.byteSize() - from));
        if (isZero(bytes)) {
          continue;
        }
        MemorySegment whole = MemorySegment.ofArray(cluster);
        whole.asSlice(bytes.byteSize()).fill((byte) 0);
        MemorySegment.copy(bytes, 0, whole, 0, bytes.byteSize());
        long at = offset + from;
        Optional<byte[]> packed = compressor.compress(cluster);
        clusters.add(
            packed.isPresent()
                ? () -> target.writeCompressed(at, packed.get())
                : () -> target.write(at, bytes));
      }
    }
    return () -> {
      for (Content content : clusters) {
        content.write();
      }
    };
  }

  private static boolean isZero(MemorySegment bytes) {
    for (long from = 0; from < bytes.byteSize(); from += GRAIN) {
      if (!isZero(bytes, from)) {
        return false;
      }
    }
    return true;
  }

  private void run() throws IOException {
    int threads =
        Math.clamp(2L * Runtime.getRuntime().availableProcessors(), FEWEST_THREADS, MOST_THREADS);
    // Closed when the threads have ended, whatever happens: they use the buffers.
    try (Arena arena = Arena.ofShared();
        ExecutorService pool =
            Executors.newFixedThreadPool(
                threads, Thread.ofPlatform().name("bothy-convert-", 1).daemon().factory())) {
      try {
        copy(pool, arena, 2 * threads);
      } finally {
        underWay.forEach(part -> part.content().cancel(false));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ImageException(Trouble.HOST_ERROR, "interrupted", e);
    }
  }

  private void copy(ExecutorService pool, Arena arena, int buffers)
      throws IOException, InterruptedException {
    Deque<MemorySegment> free = new ArrayDeque<>();
    for (int i = 0; i < buffers; i++) {
      free.add(arena.allocate(bufferSize, GRAIN));
    }
    long size = source.size();
    for (long at = 0; at < size; ) {
      long zero = wholeBuffers(source.zeroes(at, size - at), at, size);
      if (zero > 0) {
        at += zero;
        continue;
      }
      if (free.isEmpty()) {
        free.add(writeFirst());
      }
      long offset = at;
      MemorySegment buffer = free.remove();
      MemorySegment bytes = buffer.asSlice(0, Math.min(bufferSize, size - at));
      at += bytes.byteSize();
      underWay.add(new Part(at, buffer, pool.submit(() -> reader.read(offset, bytes))));
    }
    while (!underWay.isEmpty()) {
      writeFirst();
    }
    progress.update(size, size);
  }

  /** How much of known zeros to leave out: parts begin at multiples of their size. */
  private long wholeBuffers(long zero, long at, long size) {
    return at + zero == size ? zero : Ranges.roundDown(zero, bufferSize);
  }

  /** Writes the first of the parts that are under way; its buffer is free then. */
  private MemorySegment writeFirst() throws IOException, InterruptedException {
    Part part = underWay.remove();
    try {
      part.content().get().write();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof IOException io) {
        throw io;
      }
      throw new IllegalStateException(e.getCause());
    }
    progress.update(part.end(), source.size());
    return part.buffer();
  }
}
