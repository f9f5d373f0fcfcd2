package dev.bothy.image.storage;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/**
 * A file of the host that is open: as {@link DescriptorFile} where Bothy may make Linux' own calls,
 * which know of holes, and else as {@link ChannelFile}. The methods are those of {@link Storage}.
 */
sealed interface HostFile permits ChannelFile, DescriptorFile {
  /** Opens a file that exists, or makes one, which is an error if there is one. */
  static HostFile open(Path path, boolean writing, boolean make) throws IOException {
    return DescriptorFile.possible()
        ? DescriptorFile.open(path, writing, make)
        : ChannelFile.open(path, writing, make);
  }

  /**
   * Locks bytes against others, with a shared lock or an exclusive one; what is not locked any more
   * when this is closed.
   *
   * @return false if somebody else has them
   */
  boolean lock(long position, long size, boolean shared) throws IOException;

  /** True if somebody else is known to have locked the byte, with a shared lock at least. */
  boolean lockedByOthers(long position) throws IOException;

  long size() throws IOException;

  void read(long position, List<MemorySegment> targets) throws IOException;

  void write(long position, List<MemorySegment> sources) throws IOException;

  void sync() throws IOException;

  void resize(long size) throws IOException;

  boolean punch(long position, long length);

  boolean zero(long position, long length);

  long hole(long position, long length) throws IOException;

  long allocated() throws IOException;

  void close() throws IOException;
}
