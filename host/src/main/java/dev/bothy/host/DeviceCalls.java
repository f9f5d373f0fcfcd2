package dev.bothy.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * System calls of Linux on devices, named by a descriptor from {@link FileCalls#open}, or on what
 * such a device has made. As with {@link FileCalls}, a descriptor is nobody's, and what fails
 * returns <b>the negative error number</b>. All throw {@link UnsupportedOperationException} where
 * {@link FileCalls#available} says no. Thread-safe.
 *
 * <p>There are no checks behind an argument that is an address: the kernel reads and writes there.
 */
public final class DeviceCalls {
  private static final class Calls {
    static final LibraryFunction IOCTL = LibraryFunction.variadic("ioctl");
  }

  private DeviceCalls() {}

  /**
   * ioctl(2), made once: a signal ends it with {@code -EINTR}.
   *
   * @param argument a number or the address of native memory, as the request wants
   */
  public static int ioctl(int descriptor, long request, long argument) {
    LibraryFunction.Result result = Calls.IOCTL.call(descriptor, request, argument, 0, 0, 0);
    return result.number() != -1 ? result.number() : -result.errno();
  }

  /** One ioctl(2) that is made millions of times, by one thread at a time. */
  public static final class Repeated {
    // Collected with this object: a call may be the last thing that a thread does with it.
    private final MemorySegment state = LibraryFunction.callState(Arena.ofAuto());
    private final int descriptor;
    private final long request;
    private final long argument;

    public Repeated(int descriptor, long request, long argument) {
      this.descriptor = descriptor;
      this.request = request;
      this.argument = argument;
    }

    /** As {@link DeviceCalls#ioctl}. */
    public int call() {
      return Calls.IOCTL.intInto(state, descriptor, request, argument, 0, 0, 0);
    }
  }

  /**
   * Maps the first bytes of what {@code descriptor} names, shared with the kernel, to be read and
   * written.
   *
   * @return the address
   */
  public static long map(int descriptor, long size) throws IOException {
    return LinuxMemory.mapDevice(descriptor, size);
  }

  /** Undoes {@link #map}. No thread may use the memory. */
  public static void unmap(long address, long size) {
    LinuxMemory.unmap(address, size);
  }
}
