package dev.bothy.host;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * A function of the C library whose arguments are integers and addresses, six at most. All of them
 * are called in one way, with six {@code long}s: each other shape of arguments would cost a start
 * some hundredths of a second. The calling conventions of Linux on 64-bit processors allow it: such
 * arguments are in registers, of which a function takes those that are its own, as wide as they are
 * declared. That does not hold for arguments without a declaration, those of functions with a
 * variable number of them. Thread-safe.
 */
final class LibraryFunction {
  private static final StructLayout STATE = Linker.Option.captureStateLayout();
  private static final long ERRNO =
      STATE.byteOffset(java.lang.foreign.MemoryLayout.PathElement.groupElement("errno"));

  private static final MethodHandle CALL =
      Linker.nativeLinker()
          .downcallHandle(NativeFunction.longs(6), Linker.Option.captureCallState("errno"));

  private final MemorySegment address;

  /**
   * @throws UnsupportedOperationException if calls are not allowed or there is no such function
   */
  LibraryFunction(String name) {
    address = NativeFunction.address(name);
  }

  /**
   * What a call has returned.
   *
   * @param value the result, of which a function that returns an {@code int} has set the lower half
   *     only
   * @param errno the error number, of meaning only after a call that failed
   */
  record Result(long value, int errno) {
    /** The result of a function that returns an {@code int}. */
    int number() {
      return (int) value;
    }
  }

  Result call(long a, long b, long c, long d, long e, long f) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = arena.allocate(STATE);
      long value = (long) CALL.invokeExact(address, state, a, b, c, d, e, f);
      return new Result(value, state.get(ValueLayout.JAVA_INT, ERRNO));
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }

  Result call(long a) {
    return call(a, 0, 0, 0, 0, 0);
  }

  Result call(long a, long b) {
    return call(a, b, 0, 0, 0, 0);
  }

  Result call(long a, long b, long c) {
    return call(a, b, c, 0, 0, 0);
  }

  /** What the C library says of an error number. */
  static String message(int errno) {
    try {
      MethodHandle strerror =
          NativeFunction.library(
              "strerror", FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
      MemorySegment text = (MemorySegment) strerror.invokeExact(errno);
      return text.reinterpret(256).getString(0);
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }
}
