package dev.bothy.host;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Set;

/**
 * A function of the C library whose arguments are integers and addresses, six at most. All of them
 * are called in one way, with six {@code long}s: each other shape of arguments would cost a start
 * some hundredths of a second. The calling conventions of Linux on 64-bit processors allow it: such
 * arguments are in registers, of which a function takes those that are its own, as wide as they are
 * declared. That need not hold for arguments without a declaration, those of functions with a
 * variable number of them: {@link #variadic} asks the processor. Thread-safe.
 */
final class LibraryFunction {
  private static final StructLayout STATE = Linker.Option.captureStateLayout();

  private static final long ERRNO = errnoOffset();

  private static final MethodHandle CALL =
      Linker.nativeLinker()
          .downcallHandle(NativeFunction.longs(6), Linker.Option.captureCallState("errno"));

  /**
   * Processors on which Linux passes integers without a declaration as it does those with one. (On
   * x86-64 the number of vector registers goes with them, which the linker sets for every call.)
   */
  private static final Set<String> VARIADIC_AS_OTHERS =
      Set.of("amd64", "x86_64", "aarch64", "riscv64");

  private final MemorySegment address;

  /**
   * @throws UnsupportedOperationException if calls are not allowed or there is no such function
   */
  LibraryFunction(String name) {
    address = NativeFunction.address(name);
  }

  /** By hand, as a path through a layout costs a start milliseconds. */
  private static long errnoOffset() {
    long offset = 0;
    for (MemoryLayout member : STATE.memberLayouts()) {
      if (member.name().filter("errno"::equals).isPresent()) {
        return offset;
      }
      offset += member.byteSize();
    }
    throw new AssertionError("no errno in " + STATE);
  }

  /** True if functions with a variable number of arguments can be called here. */
  static boolean variadicAllowed() {
    return NativeAccess.allowed() && VARIADIC_AS_OTHERS.contains(System.getProperty("os.arch"));
  }

  /**
   * A function with a variable number of arguments, such as fcntl(2).
   *
   * @throws UnsupportedOperationException unless {@link #variadicAllowed}, or if there is none
   */
  static LibraryFunction variadic(String name) {
    if (!variadicAllowed()) {
      throw new UnsupportedOperationException("no calls of " + name + " on this processor");
    }
    return new LibraryFunction(name);
  }

  /** Memory that {@link #longInto} leaves error numbers in. */
  static MemorySegment callState(Arena arena) {
    return arena.allocate(STATE);
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

  /**
   * As {@link #call}, for functions that return a {@code long} and calls that come thousands of
   * times a second.
   *
   * @param state from {@link #callState}, no other thread's meanwhile
   * @return what the function has returned; if that is -1, the negative error number
   */
  long longInto(MemorySegment state, long a, long b, long c, long d, long e, long f) {
    try {
      long value = (long) CALL.invokeExact(address, state, a, b, c, d, e, f);
      return value != -1 ? value : -state.get(ValueLayout.JAVA_INT, ERRNO);
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }

  /** As {@link #longInto}, for functions that return an {@code int}. */
  int intInto(MemorySegment state, long a, long b, long c, long d, long e, long f) {
    int value = (int) longInto(state, a, b, c, d, e, f);
    return value != -1 ? value : -state.get(ValueLayout.JAVA_INT, ERRNO);
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
