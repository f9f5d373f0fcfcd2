package dev.bothy.image.storage;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.List;

/** A file of the host, or a block device. Opening it locks it: one writer, or readers. */
public final class FileStorage implements Storage {
  /** Of one call; a buffer's length is an {@code int}. */
  private static final long MOST_AT_ONCE = 1 << 30;

  private final Path path;
  private final OpenFiles.Shared file;
  private final FileChannel channel;
  private final boolean readOnly;
  private boolean closed;

  private FileStorage(Path path, OpenFiles.Shared file, boolean readOnly) {
    this.path = path;
    this.file = file;
    this.channel = file.channel;
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
    boolean interrupted = Thread.interrupted();
    try {
      return channel.size();
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    } finally {
      restore(interrupted);
    }
  }

  @Override
  public boolean readOnly() {
    return readOnly;
  }

  @Override
  public void read(long position, List<MemorySegment> targets) throws IOException {
    long at = position;
    boolean interrupted = Thread.interrupted();
    try {
      for (int i = 0; i < targets.size(); i++) {
        MemorySegment target = targets.get(i);
        long length = target.byteSize();
        for (long done = 0; done < length; ) {
          long part = Math.min(length - done, MOST_AT_ONCE);
          int count = channel.read(buffer(target, done, part), at);
          if (count < 0) {
            target.asSlice(done).fill((byte) 0);
            count = Math.toIntExact(part);
          }
          done += count;
          at += count;
        }
      }
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    } finally {
      restore(interrupted);
    }
  }

  @Override
  public void write(long position, List<MemorySegment> sources) throws IOException {
    long at = position;
    boolean interrupted = Thread.interrupted();
    try {
      for (int i = 0; i < sources.size(); i++) {
        MemorySegment source = sources.get(i);
        long length = source.byteSize();
        for (long done = 0; done < length; ) {
          int count =
              channel.write(buffer(source, done, Math.min(length - done, MOST_AT_ONCE)), at);
          done += count;
          at += count;
        }
      }
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    } finally {
      restore(interrupted);
    }
  }

  /** An interrupt from before is put off until the call is over: it would close the channel. */
  private static void restore(boolean interrupted) {
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private static ByteBuffer buffer(MemorySegment segment, long from, long length) {
    return (from == 0 && length == segment.byteSize() ? segment : segment.asSlice(from, length))
        .asByteBuffer();
  }

  @Override
  public void sync() throws IOException {
    boolean interrupted = Thread.interrupted();
    try {
      channel.force(false);
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    } finally {
      restore(interrupted);
    }
  }

  @Override
  public void resize(long size) throws IOException {
    boolean interrupted = Thread.interrupted();
    try {
      long now = channel.size();
      if (size < now) {
        channel.truncate(size);
      } else if (size > now) {
        // Java can only grow a file by writing its last byte.
        channel.write(ByteBuffer.wrap(new byte[1]), size - 1);
      }
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    } finally {
      restore(interrupted);
    }
  }

  @Override
  public boolean punch(long position, long length) {
    return false;
  }

  @Override
  public synchronized void close() throws IOException {
    if (closed) {
      return;
    }
    closed = true;
    try {
      file.release();
    } catch (IOException e) {
      throw OpenFiles.failure(path, e);
    }
  }
}
