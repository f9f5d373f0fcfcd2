package dev.bothy.image;

import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.storage.FileStorage;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A disk whose file has its bytes one to one; what was never written is a hole in the file. An
 * image that is open for writing is locked against every other use, in this process too; one that
 * is open for reading against writers.
 */
public final class RawImage implements DiskImage {
  private static final int BLOCK = 4096;
  private static final int OPTIMAL = 1 << 16;
  private static final MemorySegment ZEROS = MemorySegment.ofArray(new byte[OPTIMAL]).asReadOnly();

  private final Storage storage;
  private volatile long size;
  private volatile boolean barriers = true;

  /** What a host could not make durable may be lost though the next sync succeeds. */
  private volatile boolean syncFailed;

  private boolean closed;

  /** The image in {@code storage}, which it closes. */
  private RawImage(Storage storage) throws IOException {
    this.storage = storage;
    this.size = storage.size();
  }

  /** The disk in {@code storage}, which it closes. */
  public static RawImage of(Storage storage) throws IOException {
    return new RawImage(storage);
  }

  /**
   * Opens an image, whatever it contains.
   *
   * @throws ImageException if it is not there, not permitted, or in use
   */
  public static RawImage open(Path path, boolean readOnly) throws IOException {
    return new RawImage(FileStorage.open(path, readOnly));
  }

  /**
   * Makes a new image of {@code size} zero bytes and opens it for writing.
   *
   * @throws ImageException if there is such a file already, or it cannot be made
   */
  public static RawImage create(Path path, long size) throws IOException {
    FileStorage storage = FileStorage.create(path);
    try {
      storage.resize(size);
      return new RawImage(storage);
    } catch (IOException e) {
      storage.close();
      java.nio.file.Files.deleteIfExists(path);
      throw e;
    }
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public int blockSize() {
    return BLOCK;
  }

  @Override
  public int optimalSize() {
    return OPTIMAL;
  }

  @Override
  public boolean readOnly() {
    return storage.readOnly();
  }

  @Override
  public void read(long offset, List<MemorySegment> targets) throws IOException {
    Ranges.check(offset, Ranges.length(targets), size);
    storage.read(offset, targets);
  }

  @Override
  public void write(long offset, List<MemorySegment> sources) throws IOException {
    checkChange(offset, Ranges.length(sources));
    storage.write(offset, sources);
  }

  @Override
  public long zeroes(long offset, long length) throws IOException {
    Ranges.check(offset, length, size);
    return length == 0 ? 0 : storage.hole(offset, length);
  }

  @Override
  public void setBarriers(boolean on) {
    barriers = on;
  }

  @Override
  public void flush() throws IOException {
    if (barriers && !storage.readOnly()) {
      sync();
    }
  }

  private void sync() throws IOException {
    try {
      if (!syncFailed) {
        storage.sync();
      }
    } catch (IOException e) {
      syncFailed = true;
      throw ImageException.lost(e);
    }
    if (syncFailed) {
      throw new ImageException(
          Trouble.LOST,
          storage.name() + ": an earlier flush failed, and what was written may be lost");
    }
  }

  @Override
  public void discard(long offset, long length) throws IOException {
    checkChange(offset, length);
    long first = Ranges.roundUp(offset, BLOCK);
    long end = Ranges.roundDown(offset + length, BLOCK);
    if (first < end) {
      storage.punch(first, end - first);
    }
  }

  @Override
  public void writeZeroes(long offset, long length, boolean release) throws IOException {
    checkChange(offset, length);
    if (length == 0 || (release ? storage.punch(offset, length) : storage.zero(offset, length))) {
      return;
    }
    for (long done = 0; done < length; ) {
      long part = Math.min(length - done, OPTIMAL);
      storage.write(offset + done, ZEROS.asSlice(0, part));
      done += part;
    }
  }

  @Override
  public ImageFormat format() {
    return ImageFormat.RAW;
  }

  @Override
  public ImageInfo info() throws IOException {
    return new ImageInfo(
        format(), size, storage.size(), storage.allocated(), "", "", Map.of(), List.of());
  }

  /** There is nothing to check: any file will do. */
  @Override
  public CheckReport check(boolean repair, Progress progress) throws IOException {
    throw new ImageException(Trouble.REFUSED, "raw images have nothing that can be checked");
  }

  @Override
  public void resize(long newSize) throws IOException {
    checkChange(0, 0);
    if (newSize < 0) {
      throw new ImageException(Trouble.REFUSED, "a disk cannot have " + newSize + " bytes");
    }
    storage.resize(newSize);
    sync();
    size = newSize;
  }

  @Override
  public List<Snapshot> snapshots() {
    return List.of();
  }

  @Override
  public void createSnapshot(String name) throws IOException {
    throw noSnapshots();
  }

  @Override
  public void applySnapshot(String nameOrId) throws IOException {
    throw noSnapshots();
  }

  @Override
  public void deleteSnapshot(String nameOrId) throws IOException {
    throw noSnapshots();
  }

  private static ImageException noSnapshots() {
    return new ImageException(
        Trouble.REFUSED, "raw images have no snapshots: convert it to qcow2 first");
  }

  @Override
  public void commit(Progress progress) throws IOException {
    throw new ImageException(Trouble.REFUSED, "raw images have no backing file to commit to");
  }

  private void checkChange(long offset, long length) throws ImageException {
    if (storage.readOnly()) {
      throw new ImageException(Trouble.READ_ONLY, storage.name() + " is open for reading only");
    }
    Ranges.check(offset, length, size);
  }

  @Override
  public synchronized void close() throws IOException {
    if (closed) {
      return;
    }
    closed = true;
    try {
      flush();
    } finally {
      storage.close();
    }
  }
}
