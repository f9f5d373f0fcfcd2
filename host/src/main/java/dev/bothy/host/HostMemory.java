package dev.bothy.host;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Zero-filled, page-aligned memory outside the Java heap whose pages the host provides when they
 * are first touched: an anonymous mapping on Linux, a sparse file without a name elsewhere.
 *
 * <p>Not closed while any thread may still use its addresses: a vCPU thread is joined before its
 * machine's memory goes.
 */
public final class HostMemory implements AutoCloseable {
  private static final long HUGE_PAGE = 2 << 20;

  private final Arena arena;
  private final MemorySegment segment;
  private final boolean anonymous;

  private HostMemory(Arena arena, MemorySegment segment, boolean anonymous) {
    this.arena = arena;
    this.segment = segment;
    this.anonymous = anonymous;
  }

  /**
   * Reserves {@code size} bytes.
   *
   * @param size bytes, above 0
   * @throws UncheckedIOException if the host has no room; the message is one line for people
   */
  public static HostMemory allocate(long size) {
    if (size <= 0) {
      throw new IllegalArgumentException("memory size must be above 0: " + size);
    }
    long capacity = HostCapacity.bytes();
    if (size > capacity) {
      throw noRoom(size, new IOException("this host has " + capacity + " bytes"));
    }
    boolean anonymous = NativeAccess.allowed();
    Arena arena = Arena.ofShared();
    try {
      MemorySegment segment = anonymous ? mapAnonymous(arena, size) : mapSparseFile(arena, size);
      return new HostMemory(arena, segment, anonymous);
    } catch (IOException e) {
      arena.close();
      throw noRoom(size, e);
    }
  }

  private static UncheckedIOException noRoom(long size, IOException cause) {
    return new UncheckedIOException(
        "the host has no room for " + size + " bytes of memory: " + cause.getMessage(), cause);
  }

  /**
   * A private anonymous mapping, no memory file: hosts as they come give files no huge pages,
   * without which a guest's memory costs a walk of the host's page tables for every access that
   * jumps about.
   */
  private static MemorySegment mapAnonymous(Arena arena, long size) throws IOException {
    long address = LinuxMemory.mapAnonymous(size);
    if (size >= HUGE_PAGE) {
      LinuxMemory.advise(address, size, LinuxMemory.MADV_HUGEPAGE);
    }
    LinuxMemory.advise(address, size, LinuxMemory.MADV_DONTDUMP);
    return MemorySegment.ofAddress(address)
        .reinterpret(size, arena, s -> LinuxMemory.unmap(s.address(), size));
  }

  /** A sparse file without a name: pages appear on first touch and vanish with the mapping. */
  private static MemorySegment mapSparseFile(Arena arena, long size) throws IOException {
    Path shared = Path.of("/dev/shm");
    // A page without room behind it ends the process when it is touched, so look before.
    Path file =
        Files.isWritable(shared) && Files.getFileStore(shared).getUsableSpace() >= size
            ? Files.createTempFile(shared, "bothy-", ".ram")
            : Files.createTempFile("bothy-", ".ram");
    try {
      if (Files.getFileStore(file).getUsableSpace() < size) {
        throw new IOException("no space left in " + file.getParent());
      }
      try (FileChannel channel =
          FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
        return channel.map(FileChannel.MapMode.READ_WRITE, 0, size, arena);
      }
    } finally {
      deleteNow(file);
    }
  }

  private static void deleteNow(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      // Hosts that cannot delete a mapped file do it when the process ends.
      file.toFile().deleteOnExit();
    }
  }

  /** All of it; accesses through the segment are bounds-checked. */
  public MemorySegment segment() {
    return segment;
  }

  /** Host address of the first byte, a multiple of 4096. */
  public long address() {
    return segment.address();
  }

  public long size() {
    return segment.byteSize();
  }

  /**
   * Makes every byte zero and gives the pages back to the host where it takes them. No thread may
   * use the memory.
   */
  public void clear() {
    if (!anonymous || !LinuxMemory.advise(address(), size(), LinuxMemory.MADV_DONTNEED)) {
      segment.fill((byte) 0);
    }
  }

  /**
   * Gives pages back to the host, which are zeros afterwards; false, and they stay as they are, if
   * it does not take them.
   *
   * @param offset of the first byte, a multiple of 4096
   * @param length bytes, a multiple of 4096
   */
  public boolean release(long offset, long length) {
    java.util.Objects.checkFromIndexSize(offset, length, size());
    return anonymous && LinuxMemory.advise(address() + offset, length, LinuxMemory.MADV_DONTNEED);
  }

  @Override
  public void close() {
    arena.close();
  }
}
