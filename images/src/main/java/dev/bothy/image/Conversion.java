package dev.bothy.image;

import dev.bothy.host.Uninterrupted;
import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.qcow2.ClusterCompressor;
import dev.bothy.image.qcow2.Qcow2Image;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Copies what is on one disk to a new image, leaving out zeros. Some threads do it, each a part of
 * the disk at a time, which it reads, compresses and, in its turn, writes: so the image has the
 * disk's order, and what is written still lies in that processor's cache. What is copied is not
 * flushed: a copy that was interrupted is worth nothing anyway, and the host writes a finished one
 * in its own time.
 */
public final class Conversion {
  /** Large, so that little is done for a byte. */
  private static final int BUFFER = 2 << 20;

  /** Of clusters that are compressed, which takes much longer than to hand them on. */
  private static final int BUFFER_TO_COMPRESS = 1 << 18;

  // Some to wait for the host's disk; more do not make it faster: what is written goes one by one.
  private static final int FEWEST_THREADS = 3;
  private static final int MOST_THREADS = 8;

  private static final Duration BETWEEN_PROGRESS = Duration.ofMillis(50);

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

  /** A part of the disk; they are numbered in the disk's order. */
  private record Part(long number, long offset, long end) {}

  private final BlockDevice source;
  private final Progress progress;
  private final int bufferSize;
  private final Reader reader;
  private final Object taking = new Object();

  // Guarded by the above.
  private long taken;
  private long next;

  // Guarded by this.
  private long turn;
  private long done;
  private Throwable failure;

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
              List<MemorySegment> data = data(buffer);
              return () -> {
                for (MemorySegment part : data) {
                  target.write(offset + (part.address() - buffer.address()), part);
                }
              };
            })
        .run();
  }

  /** What of a buffer is not to be left out. */
  private static List<MemorySegment> data(MemorySegment bytes) {
    List<MemorySegment> parts = new ArrayList<>();
    // Looks at bytes in fewer steps than a segment, which counts until this has been compiled.
    ByteBuffer buffer = bytes.asByteBuffer();
    int length = buffer.limit();
    int from = -1;
    for (int at = 0; at < length; at += GRAIN) {
      // Most of what is not zero shows it at once.
      boolean zero = buffer.get(at) == 0 && isZero(bytes, at);
      if (zero && from >= 0) {
        parts.add(bytes.asSlice(from, at - from));
        from = -1;
      } else if (!zero && from < 0) {
        from = at;
      }
    }
    if (from >= 0) {
      parts.add(bytes.asSlice(from));
    }
    return parts;
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
    int buffer = Math.max(BUFFER_TO_COMPRESS, Math.max(source.optimalSize(), qcow2.optimalSize()));
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
    int count =
        Math.clamp(Runtime.getRuntime().availableProcessors() + 1L, FEWEST_THREADS, MOST_THREADS);
    List<Thread> threads = new ArrayList<>();
    for (int i = 1; i <= count; i++) {
      threads.add(Thread.ofPlatform().name("bothy-convert-" + i).daemon().start(this::work));
    }
    try {
      for (Thread thread : threads) {
        while (!thread.join(BETWEEN_PROGRESS)) {
          progress.update(done(), source.size());
        }
      }
    } catch (InterruptedException e) {
      fail(new ImageException(Trouble.HOST_ERROR, "interrupted", e));
      threads.forEach(Uninterrupted::join);
      Thread.currentThread().interrupt();
    }
    end();
    progress.update(source.size(), source.size());
  }

  private synchronized long done() {
    return done;
  }

  private synchronized void end() throws IOException {
    switch (failure) {
      case null -> {}
      case IOException e -> throw e;
      default -> throw new IllegalStateException(failure);
    }
  }

  /** What each thread does. */
  private void work() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(bufferSize, GRAIN);
      for (Part part = take(); part != null; part = take()) {
        Content content = reader.read(part.offset(), buffer.asSlice(0, part.end() - part.offset()));
        if (!isTurnOf(part)) {
          return;
        }
        content.write();
        passTurn(part);
      }
    } catch (IOException | RuntimeException | Error e) {
      fail(e);
    }
  }

  /** The next part that is not known to be zero; null if there is none. */
  private Part take() throws IOException {
    synchronized (taking) {
      long size = source.size();
      while (next < size) {
        long offset = next;
        long zero = wholeBuffers(source.zeroes(offset, size - offset), offset, size);
        next = zero > 0 ? offset + zero : Math.min(offset + bufferSize, size);
        if (zero == 0) {
          return new Part(taken++, offset, next);
        }
      }
      return null;
    }
  }

  /** How much of known zeros to leave out: parts begin at multiples of their size. */
  private long wholeBuffers(long zero, long at, long size) {
    return at + zero == size ? zero : Ranges.roundDown(zero, bufferSize);
  }

  /** Waits until all parts before have been written; false if they cannot be. */
  private boolean isTurnOf(Part part) {
    Uninterrupted.awaitWhile(this, () -> failure == null && turn != part.number());
    synchronized (this) {
      return failure == null;
    }
  }

  private synchronized void passTurn(Part written) {
    turn++;
    done = written.end();
    notifyAll();
  }

  private synchronized void fail(Throwable e) {
    failure = failure == null ? e : failure;
    notifyAll();
  }
}
