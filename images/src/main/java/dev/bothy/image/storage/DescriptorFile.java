package dev.bothy.image.storage;

import dev.bothy.host.FileCalls;
import dev.bothy.image.ImageException;
import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.Ranges;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A file through Linux' own calls. */
final class DescriptorFile implements HostFile {
  private static final int RIGHTS_OF_NEW = 0666;

  private final Path path;
  private final int descriptor;

  /** What the file system has refused is not tried again. */
  private volatile boolean punches = true;

  private volatile boolean zeroes = true;

  private DescriptorFile(Path path, int descriptor) {
    this.path = path;
    this.descriptor = descriptor;
  }

  static boolean possible() {
    return FileCalls.available();
  }

  static DescriptorFile open(Path path, boolean writing, boolean make) throws ImageException {
    int flags = writing ? FileCalls.O_RDWR : FileCalls.O_RDONLY;
    flags |= make ? FileCalls.O_CREAT | FileCalls.O_EXCL : 0;
    int descriptor = FileCalls.open(path, flags | FileCalls.O_CLOEXEC, RIGHTS_OF_NEW);
    if (descriptor < 0) {
      throw failure(path, descriptor);
    }
    return new DescriptorFile(path, descriptor);
  }

  /** The error whose negative number a call has returned. */
  private static ImageException failure(Path path, long result) {
    return switch ((int) -result) {
      case FileCalls.ENOENT -> new ImageException(Trouble.NOT_FOUND, "there is no file " + path);
      case FileCalls.EEXIST -> new ImageException(Trouble.REFUSED, path + " exists already");
      case FileCalls.EACCES, FileCalls.EPERM ->
          new ImageException(Trouble.NOT_PERMITTED, "no permission for " + path);
      case FileCalls.EROFS ->
          new ImageException(
              Trouble.NOT_PERMITTED, path + " is on a file system that is mounted read-only");
      case FileCalls.ENOSPC, FileCalls.EDQUOT ->
          new ImageException(Trouble.NO_SPACE, text(path, result));
      default -> new ImageException(Trouble.HOST_ERROR, text(path, result));
    };
  }

  private static String text(Path path, long result) {
    return path + ": " + FileCalls.message((int) -result);
  }

  private long checked(long result) throws ImageException {
    if (result < 0) {
      throw failure(path, result);
    }
    return result;
  }

  @Override
  public boolean lock(long position, long size, boolean shared) throws IOException {
    int result = FileCalls.lock(descriptor, position, size, !shared);
    if (result == -FileCalls.EAGAIN || result == -FileCalls.EACCES) {
      return false;
    }
    checked(result);
    return true;
  }

  @Override
  public boolean lockedByOthers(long position) throws IOException {
    return checked(FileCalls.lockedByOthers(descriptor, position, 1)) != 0;
  }

  @Override
  public long size() throws IOException {
    return checked(FileCalls.size(descriptor));
  }

  /** The kernel reads and writes memory outside the heap alone. */
  private static boolean isNative(List<MemorySegment> segments) {
    for (int i = 0; i < segments.size(); i++) {
      if (!segments.get(i).isNative()) {
        return false;
      }
    }
    return true;
  }

  /** The same segments, those of the heap replaced by such that are not. */
  private static List<MemorySegment> outside(Arena arena, List<MemorySegment> segments) {
    List<MemorySegment> all = new ArrayList<>(segments.size());
    for (MemorySegment segment : segments) {
      all.add(segment.isNative() ? segment : arena.allocate(segment.byteSize()));
    }
    return all;
  }

  @Override
  public void read(long position, List<MemorySegment> targets) throws IOException {
    if (isNative(targets)) {
      readOutside(position, targets);
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      List<MemorySegment> copies = outside(arena, targets);
      readOutside(position, copies);
      copy(copies, targets, targets);
    }
  }

  @Override
  public void write(long position, List<MemorySegment> sources) throws IOException {
    if (isNative(sources)) {
      writeOutside(position, sources);
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      List<MemorySegment> copies = outside(arena, sources);
      copy(sources, copies, sources);
      writeOutside(position, copies);
    }
  }

  /** Copies what has another place in the two lists: those of {@code all} that are in the heap. */
  private static void copy(
      List<MemorySegment> from, List<MemorySegment> to, List<MemorySegment> all) {
    for (int i = 0; i < all.size(); i++) {
      if (!all.get(i).isNative()) {
        to.get(i).copyFrom(from.get(i));
      }
    }
  }

  private void readOutside(long position, List<MemorySegment> targets) throws IOException {
    long length = Ranges.length(targets);
    for (long done = 0; done < length; ) {
      List<MemorySegment> rest = Ranges.slice(targets, done, length - done);
      long count = checked(FileCalls.read(descriptor, position + done, rest));
      if (count == 0) {
        Ranges.clear(rest);
        return;
      }
      done += count;
    }
  }

  private void writeOutside(long position, List<MemorySegment> sources) throws IOException {
    long length = Ranges.length(sources);
    for (long done = 0; done < length; ) {
      List<MemorySegment> rest = Ranges.slice(sources, done, length - done);
      long count = checked(FileCalls.write(descriptor, position + done, rest));
      if (count == 0) {
        throw failure(path, -FileCalls.EIO);
      }
      done += count;
    }
  }

  @Override
  public void sync() throws IOException {
    checked(FileCalls.syncData(descriptor));
  }

  @Override
  public void resize(long size) throws IOException {
    checked(FileCalls.truncate(descriptor, size));
  }

  @Override
  public boolean punch(long position, long length) {
    if (!punches) {
      return false;
    }
    int mode = FileCalls.FALLOC_PUNCH_HOLE | FileCalls.FALLOC_KEEP_SIZE;
    int result = FileCalls.allocate(descriptor, mode, position, length);
    punches = result != -FileCalls.EOPNOTSUPP;
    return result == 0;
  }

  @Override
  public boolean zero(long position, long length) {
    if (!zeroes) {
      return false;
    }
    int result = FileCalls.allocate(descriptor, FileCalls.FALLOC_ZERO_RANGE, position, length);
    zeroes = result != -FileCalls.EOPNOTSUPP;
    return result == 0;
  }

  @Override
  public long hole(long position, long length) {
    long data = FileCalls.nextData(descriptor, position);
    if (data == -FileCalls.ENXIO) {
      return length;
    }
    return Math.clamp(data - position, 0, length);
  }

  @Override
  public long allocated() throws IOException {
    return checked(FileCalls.allocated(descriptor));
  }

  @Override
  public void close() throws IOException {
    checked(FileCalls.close(descriptor));
  }
}
