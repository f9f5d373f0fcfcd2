package dev.bothy.image.storage;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/** A file as Java knows it: without holes, and with locks that belong to the process. */
final class ChannelFile implements HostFile {
  /** Of one call; a buffer's length is an {@code int}. */
  private static final long MOST_AT_ONCE = 1 << 30;

  private final FileChannel channel;

  private ChannelFile(FileChannel channel) {
    this.channel = channel;
  }

  static ChannelFile open(Path path, boolean writing, boolean make) throws IOException {
    List<OpenOption> options = new ArrayList<>(List.of(StandardOpenOption.READ));
    if (writing) {
      options.add(StandardOpenOption.WRITE);
    }
    if (make) {
      options.add(StandardOpenOption.CREATE_NEW);
    }
    return new ChannelFile(FileChannel.open(path, options.toArray(OpenOption[]::new)));
  }

  @Override
  public boolean lock(long position, long size, boolean shared) throws IOException {
    try {
      return channel.tryLock(position, size, shared) != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  /** Java cannot look for locks. */
  @Override
  public boolean lockedByOthers(long position) {
    return false;
  }

  private interface Call<T> {
    T run() throws IOException;
  }

  /** An interrupt from before is put off until the call is over: it would close the channel. */
  private static <T> T uninterrupted(Call<T> call) throws IOException {
    boolean interrupted = Thread.interrupted();
    try {
      return call.run();
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public long size() throws IOException {
    return uninterrupted(channel::size);
  }

  @Override
  public void read(long position, List<MemorySegment> targets) throws IOException {
    uninterrupted(
        () -> {
          long at = position;
          for (MemorySegment target : targets) {
            readAll(at, target);
            at += target.byteSize();
          }
          return null;
        });
  }

  private void readAll(long position, MemorySegment target) throws IOException {
    long length = target.byteSize();
    for (long done = 0; done < length; ) {
      int count = channel.read(buffer(target, done, length), position + done);
      if (count < 0) {
        target.asSlice(done).fill((byte) 0);
        return;
      }
      done += count;
    }
  }

  @Override
  public void write(long position, List<MemorySegment> sources) throws IOException {
    uninterrupted(
        () -> {
          long at = position;
          for (MemorySegment source : sources) {
            long length = source.byteSize();
            for (long done = 0; done < length; ) {
              done += channel.write(buffer(source, done, length), at + done);
            }
            at += length;
          }
          return null;
        });
  }

  private static ByteBuffer buffer(MemorySegment segment, long from, long end) {
    long length = Math.min(end - from, MOST_AT_ONCE);
    return (from == 0 && length == segment.byteSize() ? segment : segment.asSlice(from, length))
        .asByteBuffer();
  }

  @Override
  public void sync() throws IOException {
    uninterrupted(
        () -> {
          channel.force(false);
          return null;
        });
  }

  @Override
  public void resize(long size) throws IOException {
    uninterrupted(
        () -> {
          long now = channel.size();
          if (size < now) {
            channel.truncate(size);
          } else if (size > now) {
            // Java can only grow a file by writing its last byte.
            channel.write(ByteBuffer.wrap(new byte[1]), size - 1);
          }
          return null;
        });
  }

  @Override
  public boolean punch(long position, long length) {
    return false;
  }

  @Override
  public boolean zero(long position, long length) {
    return false;
  }

  @Override
  public long hole(long position, long length) throws IOException {
    return position >= size() ? length : 0;
  }

  @Override
  public long allocated() {
    return -1;
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
