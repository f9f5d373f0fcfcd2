package dev.bothy.host;

import java.io.IOException;

/** The memory system calls of Linux: mmap(2) and what goes with them. Thread-safe. */
final class LinuxMemory {
  static final int PROT_READ = 1;
  static final int PROT_WRITE = 2;
  static final int PROT_EXEC = 4;
  private static final int MAP_SHARED = 1;
  private static final int MAP_PRIVATE = 2;
  private static final int MAP_ANONYMOUS = 0x20;
  private static final int MAP_NORESERVE = 0x4000;
  private static final int MREMAP_MAYMOVE = 1;
  static final int MADV_DONTNEED = 4;
  static final int MADV_HUGEPAGE = 14;
  static final int MADV_DONTDUMP = 16;

  private static final LibraryFunction MMAP = new LibraryFunction("mmap");
  private static final LibraryFunction MREMAP = new LibraryFunction("mremap");
  private static final LibraryFunction MPROTECT = new LibraryFunction("mprotect");
  private static final LibraryFunction MUNMAP = new LibraryFunction("munmap");
  private static final LibraryFunction MADVISE = new LibraryFunction("madvise");

  private LinuxMemory() {}

  /** Maps zero bytes that belong to this process alone, to be read and written; the address. */
  static long mapAnonymous(long size) throws IOException {
    return map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  }

  /** Maps zero bytes that can be mapped again by {@link #mapAgain}; the address. */
  static long mapShared(long size, int protection) throws IOException {
    return map(size, protection, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE);
  }

  /** Maps the pages of a mapping from {@link #mapShared} once more; the second address. */
  static long mapAgain(long mapping, long size, int protection) throws IOException {
    // An old size of 0 copies the mapping instead of moving it.
    var again = MREMAP.call(mapping, 0, size, MREMAP_MAYMOVE, 0, 0);
    if (again.value() == -1) {
      throw failure("mremap", again);
    }
    var allowed = MPROTECT.call(again.value(), size, protection);
    if (allowed.number() != 0) {
      unmap(again.value(), size);
      throw failure("mprotect", allowed);
    }
    return again.value();
  }

  /** Maps the first bytes of a device, to be read and written; the address. */
  static long mapDevice(int descriptor, long size) throws IOException {
    return map(size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor);
  }

  private static long map(long size, int protection, int flags) throws IOException {
    return map(size, protection, flags, -1);
  }

  private static long map(long size, int protection, int flags, int descriptor) throws IOException {
    var mapping = MMAP.call(0, size, protection, flags, descriptor, 0);
    if (mapping.value() == -1) {
      throw failure("mmap", mapping);
    }
    return mapping.value();
  }

  static void unmap(long address, long size) {
    MUNMAP.call(address, size);
  }

  /** True if the kernel took the advice. */
  static boolean advise(long address, long size, int advice) {
    return MADVISE.call(address, size, advice).number() == 0;
  }

  private static IOException failure(String call, LibraryFunction.Result result) {
    return new IOException(call + ": " + LibraryFunction.message(result.errno()));
  }
}
