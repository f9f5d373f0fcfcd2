package dev.bothy.x86.oracle;

import static dev.bothy.x86.oracle.Layout.*;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.bothy.host.NativeFunction;
import dev.bothy.host.RawMemory;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * The host side of the oracle: memory at the fixed addresses of {@link Layout}, the trampoline that
 * runs one instruction with a given state, and the handler that turns the signals it causes into
 * results. One per process, which should do nothing else; {@link #run} belongs to the thread that
 * made it.
 */
final class HostProcess {
  private static final int MAP_PRIVATE = 2;
  private static final int MAP_ANONYMOUS = 0x20;
  private static final int MAP_FIXED_NOREPLACE = 0x100000;
  private static final int READ = 1;
  private static final int WRITE = 2;
  private static final int EXECUTE = 4;

  private static final int SIGILL = 4;
  private static final int SIGTRAP = 5;
  private static final int SIGBUS = 7;
  private static final int SIGFPE = 8;
  private static final int SIGSEGV = 11;
  private static final int SA_SIGINFO = 4;
  private static final int SA_ONSTACK = 0x0800_0000;
  private static final int SA_NODEFER = 0x4000_0000;

  /** sizeof(struct sigaction) in glibc: handler 8, mask 128, flags 4 (+4), restorer 8. */
  private static final int SIGACTION_SIZE = 152;

  private static final int SIGACTION_FLAGS = 136;

  private static final MethodHandle MMAP =
      NativeFunction.library(
          "mmap",
          FunctionDescriptor.of(
              JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
  private static final MethodHandle MPROTECT =
      NativeFunction.library(
          "mprotect", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
  private static final MethodHandle SIGACTION =
      NativeFunction.library(
          "sigaction", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));
  private static final MethodHandle SIGALTSTACK =
      NativeFunction.library("sigaltstack", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));

  private final Trampoline trampoline;
  private final MethodHandle enter;
  private final MethodHandle enter32;

  HostProcess() {
    map(CODE, CODE_SIZE, READ | WRITE | EXECUTE);
    map(DATA, DATA_SIZE, READ | WRITE);
    map(READ_ONLY, PAGE, READ | WRITE);
    map(STUBS, PAGE, READ | WRITE);
    map(BLOCK, BLOCK_SIZE, READ | WRITE);
    map(SIGNAL_STACK, SIGNAL_STACK_SIZE, READ | WRITE);
    trampoline = new Trampoline(Coverage.hostHasAvx());
    write(STUBS, trampoline.code());
    protect(STUBS, PAGE, READ | EXECUTE);
    enter = NativeFunction.at(trampoline.enter(), FunctionDescriptor.ofVoid());
    enter32 = NativeFunction.at(trampoline.enter32(), FunctionDescriptor.ofVoid());
    useSignalStack();
    for (int signal : new int[] {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV}) {
      handle(signal);
    }
  }

  private static void map(long address, long size, int protection) {
    try {
      int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
      long got = (long) MMAP.invokeExact(address, size, protection, flags, -1, 0L);
      if (got != address) {
        throw new IllegalStateException("cannot map 0x" + Long.toHexString(address));
      }
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
    // Present from now on: a first touch under test should not depend on the kernel.
    if ((protection & WRITE) != 0) {
      RawMemory.segment(address, size).fill((byte) 0);
    }
  }

  private static void protect(long address, long size, int protection) {
    try {
      check((int) MPROTECT.invokeExact(address, size, protection), "mprotect");
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private static void check(int result, String call) {
    if (result != 0) {
      throw new IllegalStateException(call + " failed");
    }
  }

  /** {@link Layout#READ_ONLY} gets these bytes for good. */
  void fillReadOnlyPage(byte[] bytes) {
    protect(READ_ONLY, PAGE, READ | WRITE);
    write(READ_ONLY, bytes);
    protect(READ_ONLY, PAGE, READ);
  }

  static void write(long address, byte[] bytes) {
    MemorySegment.copy(
        bytes, 0, RawMemory.segment(address, bytes.length), JAVA_BYTE, 0, bytes.length);
  }

  private static void useSignalStack() {
    // struct sigaltstack: address 8, flags 4 (+4), size 8.
    long stack = CONTROL + 0x100;
    RawMemory.putLong(stack, SIGNAL_STACK);
    RawMemory.putLong(stack + 8, 0);
    RawMemory.putLong(stack + 16, SIGNAL_STACK_SIZE);
    try {
      check((int) SIGALTSTACK.invokeExact(stack, 0L), "sigaltstack");
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private void handle(int signal) {
    long action = CONTROL + 0x100;
    long old = CONTROL + 0x200;
    RawMemory.segment(action, 0x200).fill((byte) 0);
    RawMemory.putLong(action, trampoline.handler());
    RawMemory.putInt(action + SIGACTION_FLAGS, SA_SIGINFO | SA_ONSTACK | SA_NODEFER);
    try {
      // Twice: the handler must know the one before it when it is first called.
      check((int) SIGACTION.invokeExact(signal, 0L, old), "sigaction");
      RawMemory.putLong(Trampoline.previousHandler(signal), RawMemory.getLong(old));
      check((int) SIGACTION.invokeExact(signal, action, 0L), "sigaction");
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /**
   * Runs the instruction at RIP of {@link Layout#INPUT} with the state there; fills {@link
   * Layout#NATIVE}.
   *
   * @param mode 32 or 64
   */
  void run(int mode) {
    RawMemory.putLong(NATIVE + VECTOR, -1);
    RawMemory.putLong(NATIVE + ERROR_CODE, 0);
    RawMemory.putLong(NATIVE + CR2, 0);
    try {
      if (mode == 32) {
        RawMemory.putInt(Trampoline.FAR_POINTER, RawMemory.getInt(INPUT + RIP));
        RawMemory.putShort(Trampoline.FAR_POINTER + 4, (short) USER_CODE32);
        enter32.invokeExact();
        return;
      }
      enter.invokeExact();
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** The thread's FS base, which the C library needs: guests get the same. */
  long fsBase() {
    RawMemory.segment(INPUT, RECORD_SIZE).fill((byte) 0);
    RawMemory.putLong(INPUT + RIP, trampoline.exit(Trampoline.EXIT_NEXT));
    run(64);
    return RawMemory.getLong(Trampoline.HOST_FS);
  }

  /** Code that leaves the test: what a slot's landing places jump to. */
  long exit(int landing) {
    return trampoline.exit(landing);
  }
}
