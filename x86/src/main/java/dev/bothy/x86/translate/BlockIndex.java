package dev.bothy.x86.translate;

import dev.bothy.host.HostMemory;
import dev.bothy.host.RawMemory;
import java.lang.invoke.VarHandle;

/**
 * Where translations are, by the host address of their first byte of guest code and their mode: a
 * hash table off the heap, for generated code to find a block whose linear address the jump cache
 * does not know.
 *
 * <p>Written by one thread at a time and read by all without a lock: an entry never becomes another
 * block's, it only leads to a block's successor, until {@link #clear} while no vCPU is inside
 * generated code. Each block takes one entry at most, so that they are bounded as blocks are.
 */
final class BlockIndex implements AutoCloseable {
  /** Entries looked at for a key: 16 bytes each, a line of the host's cache together. */
  static final int WAYS = 4;

  static final int ENTRY = 16;

  /** Offsets in an entry: {@link #key}, and where to enter. */
  static final int KEY = 0;

  static final int CODE = 8;

  private static final int BUCKET = WAYS * ENTRY;

  /** The key multiplied by it and shifted, masked, is the offset of the bucket. */
  static final int FACTOR = 0x61c8_8647;

  static final int SHIFT = 25;
  static final int MASK = 0xffff * BUCKET;

  /** Where a key has the mode; host addresses end below. */
  private static final int MODE_SHIFT = 48;

  private final HostMemory table = HostMemory.allocate((MASK + BUCKET) & 0xffff_ffffL);

  /** Xored with a host address: its key in {@code mode}. */
  static long key(int mode) {
    return (long) mode << MODE_SHIFT;
  }

  long address() {
    return table.address();
  }

  /** Whoever looks for code at host address {@code host} in {@code mode} gets to {@code code}. */
  void put(long host, int mode, long code) {
    long key = host ^ key(mode);
    long entry = table.address() + (key * FACTOR >>> SHIFT & MASK);
    for (int i = 0; i < WAYS; i++, entry += ENTRY) {
      long there = RawMemory.getLong(entry + KEY);
      if (there == key || there == 0) {
        // The code first, whose bytes are written already, then the key that leads to it.
        RawMemory.putLong(entry + CODE, code);
        VarHandle.storeStoreFence();
        RawMemory.putLong(entry + KEY, key);
        return;
      }
    }
    // No room: the block is found by Java.
  }

  /** Forgets all. */
  void clear() {
    table.clear();
  }

  @Override
  public void close() {
    table.close();
  }
}
