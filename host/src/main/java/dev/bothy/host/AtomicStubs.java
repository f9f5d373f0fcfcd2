package dev.bothy.host;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.HexFormat;

/**
 * Atomic operations that Java does not have, as generated functions of a few instructions:
 * compare-and-exchange of 1 and 2 bytes, of 16 bytes, and of any size at addresses that are not
 * aligned. On x86-64 Linux hosts only: ask {@link #available} first. All have full order, as a LOCK
 * prefix gives it. Thread-safe.
 *
 * <p>Addresses are not checked, as in {@link RawMemory}. Operations across a cache line are slow on
 * any host, and very slow where the kernel watches for split locks.
 */
public final class AtomicStubs {
  private AtomicStubs() {}

  /** True if this host has the stubs; constant. */
  public static boolean available() {
    return AVAILABLE;
  }

  private static final boolean AVAILABLE;
  private static final MethodHandle EXCHANGE_8;
  private static final MethodHandle EXCHANGE_16;
  private static final MethodHandle EXCHANGE_32;
  private static final MethodHandle EXCHANGE_64;
  private static final MethodHandle EXCHANGE_128;

  static {
    MethodHandle[] stubs = generate();
    AVAILABLE = stubs != null;
    EXCHANGE_8 = AVAILABLE ? stubs[0] : null;
    EXCHANGE_16 = AVAILABLE ? stubs[1] : null;
    EXCHANGE_32 = AVAILABLE ? stubs[2] : null;
    EXCHANGE_64 = AVAILABLE ? stubs[3] : null;
    EXCHANGE_128 = AVAILABLE ? stubs[4] : null;
  }

  // Arguments arrive in rdi, rsi, rdx, rcx, r8, r9; the result leaves in rax.
  private static final String MOV_EAX_ESI = "89f0";
  private static final String MOV_RAX_RSI = "4889f0";
  private static final String RET = "c3";

  private static MethodHandle[] generate() {
    String[] code = {
      MOV_EAX_ESI + "f00fb017" + RET, // lock cmpxchg [rdi], dl
      MOV_EAX_ESI + "66f00fb117" + RET, // lock cmpxchg [rdi], dx
      MOV_EAX_ESI + "f00fb117" + RET, // lock cmpxchg [rdi], edx
      MOV_RAX_RSI + "f0480fb117" + RET, // lock cmpxchg [rdi], rdx
      "53" // push rbx
          + MOV_RAX_RSI
          + "4889cb" // mov rbx, rcx
          + "4c89c1" // mov rcx, r8
          + "f0480fc70f" // lock cmpxchg16b [rdi]
          + "498901" // mov [r9], rax
          + "49895108" // mov [r9+8], rdx
          + "0f94c0" // sete al
          + "0fb6c0" // movzx eax, al
          + "5b" // pop rbx
          + RET
    };
    ExecutableMemory memory;
    try {
      // Never closed: the handles below live as long as the class.
      memory = ExecutableMemory.allocate(4096);
    } catch (IOException e) {
      return null;
    }
    ValueLayout[] sizes = {JAVA_BYTE, JAVA_SHORT, JAVA_INT, JAVA_LONG};
    MethodHandle[] stubs = new MethodHandle[code.length];
    for (int i = 0; i < code.length; i++) {
      long address = memory.put(64L * i, HexFormat.of().parseHex(code[i]));
      FunctionDescriptor descriptor =
          i < sizes.length
              ? FunctionDescriptor.of(sizes[i], JAVA_LONG, sizes[i], sizes[i])
              : FunctionDescriptor.of(
                  JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);
      stubs[i] = NativeFunction.leafAt(address, descriptor);
    }
    return stubs;
  }

  /** Stores {@code value} if {@code expected} is there; the value found. */
  public static byte compareAndExchange(long address, byte expected, byte value) {
    try {
      return (byte) EXCHANGE_8.invokeExact(address, expected, value);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Stores {@code value} if {@code expected} is there, at any alignment; the value found. */
  public static short compareAndExchange(long address, short expected, short value) {
    try {
      return (short) EXCHANGE_16.invokeExact(address, expected, value);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Stores {@code value} if {@code expected} is there, at any alignment; the value found. */
  public static int compareAndExchange(long address, int expected, int value) {
    try {
      return (int) EXCHANGE_32.invokeExact(address, expected, value);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Stores {@code value} if {@code expected} is there, at any alignment; the value found. */
  public static long compareAndExchange(long address, long expected, long value) {
    try {
      return (long) EXCHANGE_64.invokeExact(address, expected, value);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /**
   * CMPXCHG16B: stores the new 16 bytes if the expected ones are there.
   *
   * @param address a multiple of 16
   * @param resultAddress where the 16 bytes found are written
   * @return true if it stored
   */
  public static boolean compareAndExchange16(
      long address,
      long expectedLow,
      long expectedHigh,
      long newLow,
      long newHigh,
      long resultAddress) {
    if ((address & 15) != 0) {
      throw new IllegalArgumentException("not aligned: 0x" + Long.toHexString(address));
    }
    try {
      return (int)
              EXCHANGE_128.invokeExact(
                  address, expectedLow, expectedHigh, newLow, newHigh, resultAddress)
          != 0;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
