package dev.bothy.host;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

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

  private static final MethodHandle MMAP =
      NativeFunction.libraryWithErrno(
          "mmap",
          FunctionDescriptor.of(
              JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
  private static final MethodHandle MREMAP =
      NativeFunction.libraryWithErrno(
          "mremap", FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT));
  private static final MethodHandle MPROTECT =
      NativeFunction.libraryWithErrno(
          "mprotect", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
  private static final MethodHandle MUNMAP =
      NativeFunction.library("munmap", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
  private static final MethodHandle MADVISE =
      NativeFunction.library(
          "madvise", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
  private static final MethodHandle STRERROR =
      NativeFunction.library("strerror", FunctionDescriptor.of(ADDRESS, JAVA_INT));

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
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = NativeFunction.callState(arena);
      // An old size of 0 copies the mapping instead of moving it.
      long again = (long) MREMAP.invokeExact(state, mapping, 0L, size, MREMAP_MAYMOVE);
      if (again == -1) {
        throw failure("mremap", state);
      }
      if ((int) MPROTECT.invokeExact(state, again, size, protection) != 0) {
        IOException failure = failure("mprotect", state);
        unmap(again, size);
        throw failure;
      }
      return again;
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private static long map(long size, int protection, int flags) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = NativeFunction.callState(arena);
      long address = (long) MMAP.invokeExact(state, 0L, size, protection, flags, -1, 0L);
      if (address == -1) {
        throw failure("mmap", state);
      }
      return address;
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  static void unmap(long address, long size) {
    try {
      int _ = (int) MUNMAP.invokeExact(address, size);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** True if the kernel took the advice. */
  static boolean advise(long address, long size, int advice) {
    try {
      return (int) MADVISE.invokeExact(address, size, advice) == 0;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private static IOException failure(String call, MemorySegment state) throws Throwable {
    MemorySegment text = (MemorySegment) STRERROR.invokeExact(NativeFunction.errno(state));
    return new IOException(call + ": " + text.reinterpret(256).getString(0));
  }
}
