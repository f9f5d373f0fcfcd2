package dev.bothy.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Memory for generated code. The same pages are mapped twice, once writable and once executable, so
 * that no mapping is ever both. On x86-64 code written through {@link #writable} may be run at once
 * by the thread that wrote it.
 *
 * <p>Closed only when no thread can be inside the code.
 */
public final class ExecutableMemory implements AutoCloseable {
  private final Arena arena;
  private final MemorySegment writable;
  private final long executable;

  private ExecutableMemory(Arena arena, MemorySegment writable, long executable) {
    this.arena = arena;
    this.writable = writable;
    this.executable = executable;
  }

  /**
   * Reserves {@code size} bytes, resident when touched.
   *
   * @param size bytes, above 0
   * @throws IOException if this host does not let us run generated code; the message tells the
   *     reason
   */
  public static ExecutableMemory allocate(long size) throws IOException {
    if (size <= 0) {
      throw new IllegalArgumentException("code memory size must be above 0: " + size);
    }
    Optional<String> foreignHost = foreignHost();
    if (foreignHost.isPresent()) {
      throw new IOException(foreignHost.get());
    }
    // Anonymous, since perf(1) reads its map of generated code for such memory alone.
    long write = LinuxMemory.mapShared(size, LinuxMemory.PROT_READ | LinuxMemory.PROT_WRITE);
    long execute;
    try {
      execute = LinuxMemory.mapAgain(write, size, LinuxMemory.PROT_READ | LinuxMemory.PROT_EXEC);
    } catch (IOException e) {
      LinuxMemory.unmap(write, size);
      throw new IOException("the host forbids executable mappings: " + e.getMessage(), e);
    }
    Arena arena = Arena.ofShared();
    MemorySegment segment =
        MemorySegment.ofAddress(write)
            .reinterpret(
                size,
                arena,
                s -> {
                  LinuxMemory.unmap(write, size);
                  LinuxMemory.unmap(execute, size);
                });
    return new ExecutableMemory(arena, segment, execute);
  }

  /** Why generated code cannot run here, or empty if it can. */
  public static Optional<String> refusal() {
    try (ExecutableMemory _ = allocate(4096)) {
      return Optional.empty();
    } catch (IOException e) {
      return Optional.of(e.getMessage());
    }
  }

  private static Optional<String> foreignHost() {
    if ("off".equals(System.getProperty("bothy.native"))) {
      return Optional.of("native calls are switched off (bothy.native=off)");
    }
    if (!NativeAccess.allowed()) {
      return Optional.of("generated code needs Linux");
    }
    String architecture = System.getProperty("os.arch");
    return architecture.equals("amd64") || architecture.equals("x86_64")
        ? Optional.empty()
        : Optional.of("generated code needs an x86-64 host, this one is " + architecture);
  }

  /** The writable view. */
  public MemorySegment writable() {
    return writable;
  }

  /** Host address of the executable view's first byte, a multiple of 4096. */
  public long address() {
    return executable;
  }

  public long size() {
    return writable.byteSize();
  }

  /** Writes {@code code} at {@code offset}; the address where it runs. */
  public long put(long offset, byte[] code) {
    MemorySegment.copy(
        code, 0, writable, java.lang.foreign.ValueLayout.JAVA_BYTE, offset, code.length);
    return executable + offset;
  }

  @Override
  public void close() {
    arena.close();
  }
}
