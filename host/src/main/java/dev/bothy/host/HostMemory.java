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
 * Zero-filled, page-aligned memory outside the Java heap whose pages the host provides when they are first touched.
 *
 * <p>Not closed while any thread may still use its addresses: a vCPU thread is joined before its machine's memory goes.
 */
public final class HostMemory implements AutoCloseable {
  private final Arena arena;
  private final MemorySegment segment;

  private HostMemory(Arena arena, MemorySegment segment) {
    this.arena = arena;
    this.segment = segment;
  }

  /**
   * Reserves {@code size} bytes.
   *
   * @param size bytes, above 0
   * @throws UncheckedIOException if the host has no room
   */
  public static HostMemory allocate(long size) {
    if (size <= 0) {
      throw new IllegalArgumentException("memory size must be above 0: " + size);
    }
    Arena arena = Arena.ofShared();
    try {
      return new HostMemory(arena, mapSparseFile(arena, size));
    } catch (IOException e) {
      arena.close();
      throw new UncheckedIOException("the host has no room for " + size + " bytes of memory", e);
    }
  }

  /** A sparse file without a name: pages appear on first touch and vanish with the mapping. */
  private static MemorySegment mapSparseFile(Arena arena, long size) throws IOException {
    Path folder = Path.of("/dev/shm");
    Path file =
        Files.isWritable(folder)
            ? Files.createTempFile(folder, "bothy-", ".ram")
            : Files.createTempFile("bothy-", ".ram");
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      return channel.map(FileChannel.MapMode.READ_WRITE, 0, size, arena);
    } finally {
      Files.deleteIfExists(file);
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

  @Override
  public void close() {
    arena.close();
  }
}
