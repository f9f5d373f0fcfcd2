package dev.bothy.image;

import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.qcow2.ClusterCompressor;
import dev.bothy.image.qcow2.Qcow2Image;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/**
 * Copies what is on one disk to a new image, leaving out zeros: one thread reads, one writes. What
 * is copied is not flushed: a copy that was interrupted is worth nothing anyway, and the host
 * writes a finished one in its own time.
 */
public final class Conversion {
  private static final int BUFFER = 2 << 20;
  private static final int BUFFERS = 4;

  /** Zeros of that length, and at multiples of it, are left out. */
  private static final int GRAIN = 4096;

  private static final MemorySegment ZEROS = MemorySegment.ofArray(new byte[GRAIN]).asReadOnly();

  /** A part of the disk; without bytes it is zeros, and after the last comes one of length 0. */
  private record Part(long offset, long length, MemorySegment bytes, Throwable failure) {
    private static final Part END = new Part(0, 0, null, null);
  }

  private final BlockDevice source;
  private final BlockDevice target;
  private final Progress progress;
  private final BlockingQueue<MemorySegment> free = new ArrayBlockingQueue<>(BUFFERS);
  private final BlockingQueue<Part> full = new ArrayBlockingQueue<>(BUFFERS + 1);
  private volatile boolean stopped;

  private Conversion(BlockDevice source, BlockDevice target, Progress progress) {
    this.source = source;
    this.target = target;
    this.progress = progress;
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
    new Conversion(source, target, progress).run();
  }

  private void run() throws IOException {
    try (Arena arena = Arena.ofShared()) {
      for (int i = 0; i < BUFFERS; i++) {
        free.add(arena.allocate(BUFFER, GRAIN));
      }
      Thread reader = Thread.ofPlatform().name("bothy-convert").start(this::read);
      try {
        write();
      } finally {
        stop(reader);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ImageException(Trouble.HOST_ERROR, "interrupted", e);
    }
  }

  /** Not by an interrupt, which would close the file that it reads. */
  private void stop(Thread reader) throws InterruptedException {
    stopped = true;
    while (reader.isAlive()) {
      for (Part part = full.poll(); part != null; part = full.poll()) {
        if (part.bytes() != null) {
          free.add(part.bytes());
        }
      }
      reader.join(10);
    }
  }

  private void read() {
    try {
      long size = source.size();
      for (long at = 0; at < size && !stopped; ) {
        long zero = source.zeroes(at, size - at);
        if (zero > 0) {
          full.put(new Part(at, zero, null, null));
          at += zero;
          continue;
        }
        MemorySegment buffer = free.take();
        long length = Math.min(BUFFER, size - at);
        source.read(at, buffer.asSlice(0, length));
        full.put(new Part(at, length, buffer, null));
        at += length;
      }
      full.put(Part.END);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException | RuntimeException | Error e) {
      // Whatever it is: the other thread waits for a word.
      put(new Part(0, 0, null, e));
    }
  }

  private void put(Part part) {
    try {
      full.put(part);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void write() throws IOException, InterruptedException {
    for (Part part = full.take(); part.length() > 0 || part.failure() != null; part = full.take()) {
      if (part.failure() != null) {
        if (part.failure() instanceof IOException e) {
          throw e;
        }
        throw new IllegalStateException(part.failure());
      }
      if (part.bytes() != null) {
        writeNonZero(part.offset(), part.bytes().asSlice(0, part.length()));
        free.add(part.bytes());
      }
      progress.update(part.offset() + part.length(), source.size());
    }
  }

  private void writeNonZero(long offset, MemorySegment bytes) throws IOException {
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
    int clusterSize = qcow2.optimalSize();
    byte[] cluster = new byte[clusterSize];
    MemorySegment segment = MemorySegment.ofArray(cluster);
    try (ClusterCompressor compressor = qcow2.compressor()) {
      for (long at = 0; at < source.size(); at += clusterSize) {
        long length = Math.min(clusterSize, source.size() - at);
        progress.update(at, source.size());
        if (source.zeroes(at, length) == length) {
          continue;
        }
        segment.asSlice(length).fill((byte) 0);
        source.read(at, segment.asSlice(0, length));
        if (isZero(segment)) {
          continue;
        }
        Optional<byte[]> packed = compressor.compress(cluster);
        if (packed.isPresent()) {
          qcow2.writeCompressed(at, packed.get());
        } else {
          qcow2.write(at, segment.asSlice(0, length));
        }
      }
    }
    progress.update(source.size(), source.size());
  }

  private static boolean isZero(MemorySegment bytes) {
    for (long from = 0; from < bytes.byteSize(); from += GRAIN) {
      if (!isZero(bytes, from)) {
        return false;
      }
    }
    return true;
  }
}
