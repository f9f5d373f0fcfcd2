package dev.bothy.host;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/**
 * Loads and stores at host addresses, for code whose addresses were checked before: CPU state,
 * guest RAM behind a software TLB. One constant segment over all of memory lets C2 turn each call
 * into one machine instruction.
 *
 * <p>There is no bounds check: an address outside a live {@link HostMemory} ends the process. Only
 * {@code core} and the engines may use this class. Values are little-endian as on x86; plain
 * accesses are atomic when aligned.
 */
public final class RawMemory {
  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
  private static final boolean HOST_IS_TSO =
      java.util.Set.of("amd64", "x86_64").contains(System.getProperty("os.arch"));
  private static final VarHandle BYTE = ValueLayout.JAVA_BYTE.varHandle();
  private static final VarHandle SHORT = ValueLayout.JAVA_SHORT.varHandle();
  private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();
  private static final VarHandle LONG = ValueLayout.JAVA_LONG.varHandle();

  private RawMemory() {}

  public static byte getByte(long address) {
    return ALL.get(JAVA_BYTE, address);
  }

  public static short getShort(long address) {
    return ALL.get(JAVA_SHORT_UNALIGNED, address);
  }

  public static int getInt(long address) {
    return ALL.get(JAVA_INT_UNALIGNED, address);
  }

  public static long getLong(long address) {
    return ALL.get(JAVA_LONG_UNALIGNED, address);
  }

  public static void putByte(long address, byte value) {
    ALL.set(JAVA_BYTE, address, value);
  }

  public static void putShort(long address, short value) {
    ALL.set(JAVA_SHORT_UNALIGNED, address, value);
  }

  public static void putInt(long address, int value) {
    ALL.set(JAVA_INT_UNALIGNED, address, value);
  }

  public static void putLong(long address, long value) {
    ALL.set(JAVA_LONG_UNALIGNED, address, value);
  }

  // Guest RAM in the guest's memory order, which is TSO: loads are not reordered with loads, nor
  // stores with stores or earlier loads. An
  // x86-64 host gives that for nothing; elsewhere aligned accesses are acquires and releases and
  // misaligned ones are fenced.

  public static byte loadByte(long address) {
    return HOST_IS_TSO ? getByte(address) : (byte) BYTE.getAcquire(ALL, address);
  }

  public static short loadShort(long address) {
    if (HOST_IS_TSO) {
      return getShort(address);
    }
    if ((address & 1) == 0) {
      return (short) SHORT.getAcquire(ALL, address);
    }
    short value = getShort(address);
    VarHandle.acquireFence();
    return value;
  }

  public static int loadInt(long address) {
    if (HOST_IS_TSO) {
      return getInt(address);
    }
    if ((address & 3) == 0) {
      return (int) INT.getAcquire(ALL, address);
    }
    int value = getInt(address);
    VarHandle.acquireFence();
    return value;
  }

  public static long loadLong(long address) {
    if (HOST_IS_TSO) {
      return getLong(address);
    }
    if ((address & 7) == 0) {
      return (long) LONG.getAcquire(ALL, address);
    }
    long value = getLong(address);
    VarHandle.acquireFence();
    return value;
  }

  public static void storeByte(long address, byte value) {
    if (HOST_IS_TSO) {
      putByte(address, value);
    } else {
      BYTE.setRelease(ALL, address, value);
    }
  }

  public static void storeShort(long address, short value) {
    if (HOST_IS_TSO) {
      putShort(address, value);
    } else if ((address & 1) == 0) {
      SHORT.setRelease(ALL, address, value);
    } else {
      VarHandle.releaseFence();
      putShort(address, value);
    }
  }

  public static void storeInt(long address, int value) {
    if (HOST_IS_TSO) {
      putInt(address, value);
    } else if ((address & 3) == 0) {
      INT.setRelease(ALL, address, value);
    } else {
      VarHandle.releaseFence();
      putInt(address, value);
    }
  }

  public static void storeLong(long address, long value) {
    if (HOST_IS_TSO) {
      putLong(address, value);
    } else if ((address & 7) == 0) {
      LONG.setRelease(ALL, address, value);
    } else {
      VarHandle.releaseFence();
      putLong(address, value);
    }
  }

  /** Aligned load with acquire order. */
  public static int getIntAcquire(long address) {
    return (int) INT.getAcquire(ALL, address);
  }

  /** Aligned atomic OR with full order; returns the value before. */
  public static int getAndBitwiseOrInt(long address, int mask) {
    return (int) INT.getAndBitwiseOr(ALL, address, mask);
  }

  /** Aligned atomic AND with full order; returns the value before. */
  public static int getAndBitwiseAndInt(long address, int mask) {
    return (int) INT.getAndBitwiseAnd(ALL, address, mask);
  }

  /** Aligned compare-and-exchange with full order; returns the value found. */
  public static int compareAndExchangeInt(long address, int expected, int value) {
    return (int) INT.compareAndExchange(ALL, address, expected, value);
  }

  /** Aligned compare-and-exchange with full order; returns the value found. */
  public static long compareAndExchangeLong(long address, long expected, long value) {
    return (long) LONG.compareAndExchange(ALL, address, expected, value);
  }

  /**
   * The {@code length} bytes at {@code address} as a segment whose bounds are checked from then on.
   */
  public static MemorySegment segment(long address, long length) {
    return ALL.asSlice(address, length);
  }
}
