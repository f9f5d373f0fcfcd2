package dev.bothy.image.storage;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/** A file of the host, or a block device. Opening it locks it: one writer, or readers. */
public final class FileStorage implements Storage {
  private final Path path;
  private final OpenFiles.Shared shared;
  private final HostFile file;
  private final boolean readOnly;
  private boolean closed;

  private FileStorage(Path path, OpenFiles.Shared shared, boolean readOnly) {
    this.path = path;
    this.shared = shared;
    this.file = shared.file;
    this.readOnly = readOnly;
  }

  /**
   * Opens a file that exists.
   *
   * @throws dev.bothy.image.ImageException if it is not there, not permitted, or in use
   */
  public static FileStorage open(Path path, boolean readOnly) throws IOException {
    return new FileStorage(path, OpenFiles.open(path, !readOnly), readOnly);
  }

  /**
   * Makes an empty file.
   *
   * @throws dev.bothy.image.ImageException if there is one already, or it cannot be made
   */
  public static FileStorage create(Path path) throws IOException {
    return new FileStorage(path, OpenFiles.create(path), false);
  }

  public Path path() {
    return path;
  }

  @Override
  public String name() {
    return path.toString();
  }

  @Override
  public long size() throws IOException {
    try {
      return file.size();
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    }
  }

  @Override
  public boolean readOnly() {
    return readOnly;
  }

  @Override
  public void read(long position, List<MemorySegment> targets) throws IOException {
    try {
      file.read(position, targets);
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    }
  }

  @Override
  public void write(long position, List<MemorySegment> sources) throws IOException {
    try {
      file.write(position, sources);
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    }
  }

  @Override
  public void sync() throws IOException {
    try {
      file.sync();
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    }
  }

  @Override
  public void resize(long size) throws IOException {
    try {
      file.resize(size);
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    }
  }

  @Override
  public boolean punch(long position, long length) {
    return file.punch(position, length);
  }

  @Override
  public boolean zero(long position, long length) {
    return file.zero(position, length);
  }

  @Override
  public long hole(long position, long length) throws IOException {
    try {
      return file.hole(position, length);
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    }
  }

  @Override
  public long allocated() throws IOException {
    try {
      return file.allocated();
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    }
  }

  @Override
  public synchronized void close() throws IOException {
    if (closed) {
      return;
    }
    closed = true;
    try {
      shared.release();
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    }
  }
}
