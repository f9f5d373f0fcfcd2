package dev.bothy.host;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/**
 * Method handles for machine code: functions of the C library and code that Bothy generated. Keep a
 * handle in a {@code static final} field and call it with {@code invokeExact}; each new shape of
 * arguments costs milliseconds once.
 *
 * <p>There are no checks behind these calls: a wrong address or descriptor ends the process.
 */
public final class NativeFunction {
  private static final StructLayout CALL_STATE = Linker.Option.captureStateLayout();

  /** Apart, as a path through a layout costs a start milliseconds. */
  private static final class ErrorNumber {
    static final VarHandle IN =
        CALL_STATE.varHandle(java.lang.foreign.MemoryLayout.PathElement.groupElement("errno"));
  }

  private NativeFunction() {}

  /**
   * A function of the C library.
   *
   * @throws UnsupportedOperationException if calls are not allowed or there is no such function
   */
  public static MethodHandle library(String name, FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(address(name), descriptor);
  }

  /**
   * A function of the C library whose errno is kept: the handle's first argument is a segment from
   * {@link #callState}, from which {@link #errno} reads it after a failed call.
   */
  public static MethodHandle libraryWithErrno(String name, FunctionDescriptor descriptor) {
    return Linker.nativeLinker()
        .downcallHandle(address(name), descriptor, Linker.Option.captureCallState("errno"));
  }

  /**
   * As {@link #libraryWithErrno}, for a function with a variable list of arguments that begins
   * behind the first {@code fixed} ones.
   */
  public static MethodHandle variadicWithErrno(
      String name, int fixed, FunctionDescriptor descriptor) {
    return Linker.nativeLinker()
        .downcallHandle(
            address(name),
            descriptor,
            Linker.Option.captureCallState("errno"),
            Linker.Option.firstVariadicArg(fixed));
  }

  /** Where a function of the C library starts. */
  public static MemorySegment address(String name) {
    if (!NativeAccess.allowed()) {
      throw new UnsupportedOperationException("calls into the C library are switched off");
    }
    return Linker.nativeLinker()
        .defaultLookup()
        .find(name)
        .orElseThrow(
            () -> new UnsupportedOperationException("the C library has no function " + name));
  }

  /** Room for the error number of a call. */
  public static MemorySegment callState(Arena arena) {
    return arena.allocate(CALL_STATE);
  }

  public static int errno(MemorySegment callState) {
    return (int) ErrorNumber.IN.get(callState, 0L);
  }

  /** Generated code at {@code address}, which follows the host's calling convention. */
  public static MethodHandle at(long address, FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(MemorySegment.ofAddress(address), descriptor);
  }

  /**
   * Generated code that follows the host's calling convention; its address is the handle's first
   * argument, a segment.
   */
  public static MethodHandle unbound(FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(descriptor);
  }

  /**
   * Generated code that always returns within nanoseconds and never faults: the call skips the
   * thread state transition, so the garbage collector waits for it.
   */
  public static MethodHandle leafAt(long address, FunctionDescriptor descriptor) {
    return Linker.nativeLinker()
        .downcallHandle(
            MemorySegment.ofAddress(address), descriptor, Linker.Option.critical(false));
  }

  /** A descriptor with a {@code long} result and {@code arguments} {@code long}s. */
  public static FunctionDescriptor longs(int arguments) {
    ValueLayout[] layouts = new ValueLayout[arguments];
    java.util.Arrays.fill(layouts, ValueLayout.JAVA_LONG);
    return FunctionDescriptor.of(ValueLayout.JAVA_LONG, layouts);
  }
}
