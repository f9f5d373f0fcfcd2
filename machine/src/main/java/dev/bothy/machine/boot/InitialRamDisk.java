package dev.bothy.machine.boot;

import dev.bothy.core.GuestMemory;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * An initrd in RAM.
 *
 * @param address where it starts, page-aligned; 0 without one
 * @param size bytes; 0 without one
 */
record InitialRamDisk(long address, long size) {
  static final InitialRamDisk NONE = new InitialRamDisk(0, 0);

  private static final int CHUNK = 1 << 16;

  /**
   * Loads {@code path} as high as it goes.
   *
   * @param lowest first address that it may take: behind the kernel
   * @param limit first address that it may not take
   * @throws BootException if there is no room, or the file is missing or cannot be read
   */
  static InitialRamDisk load(Optional<Path> path, GuestMemory memory, long lowest, long limit)
      throws BootException {
    if (path.isEmpty()) {
      return NONE;
    }
    try (KernelFile file = KernelFile.open("initrd", path.get())) {
      long top = Math.min(limit, Math.min(memory.size(), GuestMemory.LOW_LIMIT));
      long start = top - file.size() & -4096L;
      if (file.size() > top || start < lowest) {
        throw new BootException(
            file.name()
                + " ("
                + (file.size() + 0xf_ffff >> 20)
                + " MiB) does not fit into the machine's memory ("
                + (memory.size() >> 20)
                + " MiB) beside the kernel: give the machine more memory");
      }
      byte[] chunk = new byte[CHUNK];
      for (long done = 0; done < file.size(); ) {
        int count = (int) Math.min(chunk.length, file.size() - done);
        file.read(done, chunk, count);
        memory.write(start + done, chunk, 0, count);
        done += count;
      }
      return new InitialRamDisk(start, file.size());
    } catch (IOException e) {
      throw new BootException("initrd " + path.get() + " cannot be read: " + e.getMessage(), e);
    }
  }
}
