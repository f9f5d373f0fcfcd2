package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;
import static dev.bothy.image.ImageException.Trouble.READ_ONLY;
import static dev.bothy.image.ImageException.Trouble.REFUSED;

import dev.bothy.image.CheckReport;
import dev.bothy.image.DiskImage;
import dev.bothy.image.ImageException;
import dev.bothy.image.ImageFormat;
import dev.bothy.image.ImageInfo;
import dev.bothy.image.Progress;
import dev.bothy.image.Ranges;
import dev.bothy.image.Snapshot;
import dev.bothy.image.qcow2.ClusterMap.Kind;
import dev.bothy.image.qcow2.ClusterMap.Run;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * An image of the QCOW2 format, versions 2 and 3, as the QCOW2 specification (docs/interop/qcow2 of
 * QEMU) has it, without encryption and external data files.
 *
 * <p>Reads, and writes to clusters that are there and nobody else's, run side by side; what changes
 * tables goes one by one. {@link Metadata} says how a power cut is survived.
 */
public final class Qcow2Image implements DiskImage {
  private static final int BLOCK = 4096;

  /** Bytes written or zeroed with the exclusive lock held once. */
  private static final long AT_ONCE = 2 << 20;

  private static final int COPY_BYTES = 1 << 20;

  private final Storage storage;
  private final Header header;
  private final Geometry geometry;
  private final Metadata metadata;
  private final Backing backing;
  private final ClusterIo io;
  private volatile long size;

  /** False while the counts of references are those of a crash. */
  private boolean countsKnown;

  private boolean closed;

  private Qcow2Image(Storage storage, Header header, Backing backing) throws IOException {
    this.storage = storage;
    this.header = header;
    this.geometry = header.geometry();
    this.metadata = new Metadata(storage, header);
    this.backing = backing;
    this.io = new ClusterIo(metadata, backing);
    this.size = header.size();
    this.countsKnown = !header.dirty();
  }

  /** Opens the backing file of an image. */
  @FunctionalInterface
  public interface BackingOpener {
    /**
     * The backing file of that name.
     *
     * @param format as in the image; empty: to be detected
     */
    Backing open(String name, String format) throws IOException;
  }

  /**
   * Opens the image in {@code storage}, which it then closes; on failure the caller does. An image
   * that was not closed when it was last written is mended, if it is opened for writing.
   *
   * @param backing null: leave the backing file alone; what comes from there reads as zeros
   * @param evenCorrupt open for writing what is marked as corrupt, for a check that repairs
   * @throws ImageException if it is none, damaged or not supported; the message does not name it
   */
  public static Qcow2Image open(Storage storage, BackingOpener backing, boolean evenCorrupt)
      throws IOException {
    Header header = Header.read(storage);
    if (header.markedCorrupt() && !storage.readOnly() && !evenCorrupt) {
      throw new ImageException(
          CORRUPT, "it is marked as corrupt: mend it with 'bothy disk check --repair'");
    }
    Backing opened =
        header.backingName().isEmpty() || backing == null
            ? null
            : backing.open(header.backingName(), header.backingFormat());
    try {
      Qcow2Image image = new Qcow2Image(storage, header, opened);
      if (!storage.readOnly()) {
        image.startWriting(evenCorrupt);
      }
      return image;
    } catch (IOException | RuntimeException e) {
      if (opened != null) {
        opened.close();
      }
      throw e;
    }
  }

  private void startWriting(boolean evenCorrupt) throws IOException {
    if (header.autoclear() != 0) {
      // Bitmaps and the like do not follow what is written from now on.
      header.clearAutoclear();
      header.write();
      storage.sync();
    }
    if (header.dirty() && !evenCorrupt && !check(true, Progress.NONE).sound()) {
      throw new ImageException(CORRUPT, "it is damaged: look at it with 'bothy disk check'");
    }
  }

  @Override
  public ImageFormat format() {
    return ImageFormat.QCOW2;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public int blockSize() {
    return Math.min(BLOCK, geometry.unitSize());
  }

  @Override
  public int optimalSize() {
    return geometry.clusterSize();
  }

  @Override
  public boolean readOnly() {
    return storage.readOnly();
  }

  @Override
  public void setBarriers(boolean on) {
    metadata.setBarriers(on);
  }

  @Override
  public void read(long offset, List<MemorySegment> targets) throws IOException {
    Ranges.check(offset, Ranges.length(targets), size);
    metadata.shared().lock();
    try {
      io.read(offset, targets);
    } finally {
      metadata.shared().unlock();
    }
  }

  @Override
  public long zeroes(long offset, long length) throws IOException {
    Ranges.check(offset, length, size);
    metadata.shared().lock();
    try {
      return io.zeroes(offset, length);
    } finally {
      metadata.shared().unlock();
    }
  }

  private void checkChange(long offset, long length) throws ImageException {
    checkWritable();
    Ranges.check(offset, length, size);
  }

  private void checkWritable() throws ImageException {
    if (storage.readOnly()) {
      throw new ImageException(READ_ONLY, "it is open for reading only");
    }
    metadata.checkAlive();
  }

  @Override
  public void write(long offset, List<MemorySegment> sources) throws IOException {
    long length = Ranges.length(sources);
    checkChange(offset, length);
    long done = 0;
    while (done < length) {
      metadata.shared().lock();
      try {
        done += io.writeInPlace(offset, sources, done, length);
      } finally {
        metadata.shared().unlock();
      }
      if (done < length) {
        long part = chunk(offset + done, length - done);
        long from = done;
        exclusively(() -> io.write(offset, sources, from, part));
        done += part;
      }
    }
  }

  private interface Change {
    void run() throws IOException;
  }

  private void exclusively(Change change) throws IOException {
    if (metadata.full()) {
      metadata.flush(false);
    }
    metadata.exclusive().lock();
    try {
      change.run();
    } finally {
      metadata.exclusive().unlock();
    }
  }

  /** Alone with the image, and nothing of it only in memory. */
  private void alone(Change change) throws IOException {
    metadata.flushing().lock();
    metadata.exclusive().lock();
    try {
      settle();
      io.endCompressed();
      change.run();
    } finally {
      metadata.exclusive().unlock();
      metadata.flushing().unlock();
    }
  }

  /** Brings the file up to date with memory. */
  private void settle() throws IOException {
    if (storage.readOnly()) {
      return;
    }
    if (countsKnown) {
      metadata.settle();
    } else {
      metadata.flush(true);
    }
  }

  /** How much of a range to do at once: to where a cluster ends, if that is not all. */
  private long chunk(long offset, long length) {
    long most = Math.max(AT_ONCE, geometry.clusterSize());
    return length <= most ? length : most - (offset & geometry.clusterSize() - 1);
  }

  @Override
  public void flush() throws IOException {
    if (!storage.readOnly()) {
      metadata.flush(true);
    }
  }

  @Override
  public void discard(long offset, long length) throws IOException {
    checkChange(offset, length);
    // The last cluster of the disk may be cut off.
    long end =
        offset + length == size ? Ranges.roundUp(size, geometry.clusterSize()) : offset + length;
    inChunks(offset, end, io::discard);
  }

  @Override
  public void writeZeroes(long offset, long length, boolean release) throws IOException {
    checkChange(offset, length);
    inChunks(offset, offset + length, (from, part) -> io.writeZeroes(from, part, release));
  }

  private interface RangeChange {
    void run(long offset, long length) throws IOException;
  }

  /** Much at once, as it is fast; but not so much that others wait for long. */
  private void inChunks(long offset, long end, RangeChange change) throws IOException {
    long most = Math.max(1L << 26, 64L * geometry.clusterSize());
    for (long at = offset; at < end; ) {
      long from = at;
      long part = Math.min(end - from, most - (from & geometry.clusterSize() - 1));
      exclusively(() -> change.run(from, part));
      at += part;
    }
  }

  /**
   * Writes whole clusters compressed, for those who make images: later writes to them cost a copy.
   *
   * @param packed the content as {@link ClusterCompressor} made it
   */
  public void writeCompressed(long offset, byte[] packed) throws IOException {
    checkChange(offset, 1);
    exclusively(() -> io.writeCompressed(geometry.clusterOf(offset), packed));
  }

  /** Makes compressed clusters of this image's kind. */
  public ClusterCompressor compressor() {
    return new ClusterCompressor(header.compression(), geometry.clusterSize());
  }

  @Override
  public ImageInfo info() throws IOException {
    Map<String, Object> details = new LinkedHashMap<>();
    details.put("version", header.version());
    details.put("clusterSize", geometry.clusterSize());
    details.put("compression", header.compression() == CompressedClusters.ZSTD ? "zstd" : "zlib");
    details.put("lazyRefcounts", header.lazyRefcounts());
    details.put("refcountBits", 1 << geometry.refcountOrder());
    details.put("extendedL2", geometry.extended());
    details.put("dirty", header.dirty());
    details.put("corrupt", header.markedCorrupt());
    return new ImageInfo(
        format(),
        size,
        storage.size(),
        storage.allocated(),
        header.backingName(),
        header.backingFormat(),
        details,
        snapshots());
  }

  @Override
  public CheckReport check(boolean repair, Progress progress) throws IOException {
    if (repair) {
      checkWritable();
    }
    CheckReport[] report = new CheckReport[1];
    metadata.flushing().lock();
    metadata.exclusive().lock();
    try {
      settle();
      report[0] = new Checker(metadata, io.compressedFormat(), repair, progress).run();
      if (repair && report[0].sound()) {
        if (header.markedCorrupt()) {
          header.setIncompatible(Header.MARKED_CORRUPT, false);
          header.write();
        }
        countsKnown = true;
        settle();
      }
    } finally {
      metadata.exclusive().unlock();
      metadata.flushing().unlock();
    }
    return report[0];
  }

  @Override
  public void resize(long newSize) throws IOException {
    checkWritable();
    if (newSize < 0 || geometry.l1Entries(newSize) > Header.MOST_L1_ENTRIES) {
      throw new ImageException(
          REFUSED,
          "with clusters of %d bytes a disk can have at most %d bytes"
              .formatted(
                  geometry.clusterSize(), (long) Header.MOST_L1_ENTRIES << geometry.l1Bits()));
    }
    alone(
        () -> {
          new DiskSize(metadata, io, backing).change(newSize);
          size = newSize;
        });
  }

  @Override
  public List<Snapshot> snapshots() throws IOException {
    return SnapshotTable.read(storage, header).stream().map(SnapshotTable.Entry::snapshot).toList();
  }

  private interface SnapshotChange {
    void run(Snapshots snapshots) throws IOException;
  }

  /** What breaks off leaves counts that are too high: then the image stays dirty. */
  private void changeSnapshots(SnapshotChange change) throws IOException {
    checkWritable();
    alone(
        () -> {
          try {
            change.run(new Snapshots(metadata, io.compressedFormat()));
          } catch (IOException | RuntimeException e) {
            countsKnown &= !header.dirty();
            throw e;
          } finally {
            size = header.size();
          }
        });
  }

  @Override
  public void createSnapshot(String name) throws IOException {
    changeSnapshots(snapshots -> snapshots.create(name));
  }

  @Override
  public void applySnapshot(String nameOrId) throws IOException {
    changeSnapshots(snapshots -> snapshots.apply(nameOrId));
  }

  @Override
  public void deleteSnapshot(String nameOrId) throws IOException {
    changeSnapshots(snapshots -> snapshots.delete(nameOrId));
  }

  @Override
  public void commit(Progress progress) throws IOException {
    checkWritable();
    if (backing == null) {
      throw new ImageException(REFUSED, "it has no backing file to commit to");
    }
    alone(
        () -> {
          backing.reopen(false);
          try {
            copyToBacking(progress);
            backing.image().flush();
          } finally {
            backing.reopen(true);
          }
          io.dropAll(0, Ranges.roundUp(size, geometry.clusterSize()), progress);
          metadata.settle();
        });
  }

  private void copyToBacking(Progress progress) throws IOException {
    DiskImage base = backing.image();
    if (base.size() < size) {
      base.resize(size);
    }
    MemorySegment buffer = MemorySegment.ofArray(new byte[COPY_BYTES]);
    for (long at = 0; at < size; ) {
      Run run = metadata.map().find(at, size - at);
      long length = run.length();
      if (run.kind() == Kind.ZERO) {
        base.writeZeroes(at, length, true);
      } else if (run.kind() != Kind.UNALLOCATED) {
        length = Math.min(length, COPY_BYTES);
        MemorySegment part = buffer.asSlice(0, length);
        io.read(at, List.of(part));
        base.write(at, part);
      }
      at += length;
      progress.update(at, size);
    }
  }

  @Override
  public synchronized void close() throws IOException {
    if (closed) {
      return;
    }
    closed = true;
    try (storage;
        backing) {
      settle();
    }
  }
}
