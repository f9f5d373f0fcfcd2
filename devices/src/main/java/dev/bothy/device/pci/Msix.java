package dev.bothy.device.pci;

import dev.bothy.core.BusDevice;
import dev.bothy.core.MsiSink;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The MSI-X capability of a function (PCI Local Bus specification 3.0, 6.8.2): a table of messages
 * and the array of pending bits, both in one memory range, the table first. Accesses of any size
 * and alignment are served.
 *
 * <p>A message that is masked waits in its pending bit and is sent when the mask goes. Messages are
 * sent without a lock held. Any thread.
 */
public final class Msix implements BusDevice {
  /** Most vectors of a function. */
  public static final int MAX_VECTORS = 2048;

  static final int CAPABILITY = 0x11;
  static final int CAPABILITY_SIZE = 12;

  // Registers, from the capability's start.
  static final int CONTROL = 2;
  static final int TABLE = 4;
  static final int PENDING = 8;

  static final int CONTROL_ENABLE = 0x8000;
  static final int CONTROL_MASK = 0x4000;

  private static final int ENTRY = 16;
  private static final int ENTRY_DATA = 8;
  private static final int ENTRY_CONTROL = 12;
  private static final int VECTOR_MASKED = 1;

  /** What the guest may write in an entry, by bytes: messages are aligned, one bit is control. */
  private static final byte[] ENTRY_WRITABLE = {
    (byte) 0xfc, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, VECTOR_MASKED, 0, 0, 0
  };

  private static final int SMALLEST_RANGE = 4096;

  private final int vectors;
  private final ByteBuffer table;
  private final long[] pending;
  private MsiSink sink = (address, data) -> {};

  private volatile boolean enabled;
  private boolean blocked = true;

  Msix(int vectors) {
    if (vectors < 1 || vectors > MAX_VECTORS) {
      throw new IllegalArgumentException("number of MSI-X vectors: " + vectors);
    }
    this.vectors = vectors;
    table = ByteBuffer.allocate(vectors * ENTRY).order(ByteOrder.LITTLE_ENDIAN);
    pending = new long[(vectors + 63) / 64];
    reset();
  }

  /** How many messages the function has. */
  public int vectors() {
    return vectors;
  }

  /** True while the guest wants messages instead of the interrupt pin. */
  public boolean enabled() {
    return enabled;
  }

  /** Offset of the pending bits in the range. */
  int pendingOffset() {
    return rangeSize() / 2;
  }

  /** Bytes of the range with table and pending bits. */
  int rangeSize() {
    return Math.max(SMALLEST_RANGE, 2 * Integer.highestOneBit(2 * table.capacity() - 1));
  }

  void connect(MsiSink target) {
    sink = target;
  }

  /**
   * Sends message {@code vector}, at once or when it is no longer masked. Nothing happens if there
   * is no such message, or while MSI-X is off.
   */
  public void signal(int vector) {
    if (vector < 0 || vector >= vectors) {
      return;
    }
    long address;
    int data;
    synchronized (this) {
      if (!enabled) {
        return;
      }
      if (blocked || isMasked(vector)) {
        pending[vector >> 6] |= 1L << vector;
        return;
      }
      address = table.getLong(vector * ENTRY);
      data = table.getInt(vector * ENTRY + ENTRY_DATA);
    }
    sink.send(address, data);
  }

  private boolean isMasked(int vector) {
    return (table.get(vector * ENTRY + ENTRY_CONTROL) & VECTOR_MASKED) != 0;
  }

  /**
   * Takes over what the function's registers say; {@link #flush} is to follow.
   *
   * @param on the enable bit
   * @param stopped the function mask is set, or the function must not master the bus
   */
  synchronized void configure(boolean on, boolean stopped) {
    if (!on) {
      Arrays.fill(pending, 0);
    }
    enabled = on;
    blocked = stopped;
  }

  /** Sends what is pending and no longer masked. Call it without locks. */
  void flush() {
    for (int vector = nextUnmasked(0); vector >= 0; vector = nextUnmasked(vector + 1)) {
      signal(vector);
    }
  }

  /** Takes the first pending bit from {@code from} on that need not wait, or gives -1. */
  private synchronized int nextUnmasked(int from) {
    if (!enabled || blocked) {
      return -1;
    }
    for (int word = from >> 6; word < pending.length; word++) {
      for (long bits = pending[word]; bits != 0; bits &= bits - 1) {
        int vector = word * 64 + Long.numberOfTrailingZeros(bits);
        if (vector >= from && !isMasked(vector)) {
          pending[word] &= ~(1L << vector);
          return vector;
        }
      }
    }
    return -1;
  }

  @Override
  public synchronized long read(long offset, int size) {
    long value = 0;
    for (int i = 0; i < size; i++) {
      value |= (readByte((int) offset + i) & 0xffL) << (8 * i);
    }
    return value;
  }

  private int readByte(int at) {
    if (at < table.capacity()) {
      return table.get(at);
    }
    int bit = (at - pendingOffset()) * 8;
    return bit >= 0 && bit < vectors ? (int) (pending[bit >> 6] >>> bit) : 0;
  }

  @Override
  public void write(long offset, int size, long value) {
    synchronized (this) {
      for (int i = 0; i < size && offset + i < table.capacity(); i++) {
        int at = (int) offset + i;
        table.put(at, (byte) (value >>> (8 * i) & ENTRY_WRITABLE[at % ENTRY]));
      }
    }
    flush();
  }

  synchronized void reset() {
    for (int vector = 0; vector < vectors; vector++) {
      table.putLong(vector * ENTRY, 0);
      table.putLong(vector * ENTRY + ENTRY_DATA, (long) VECTOR_MASKED << 32);
    }
    Arrays.fill(pending, 0);
  }

  synchronized void save(StateWriter out) {
    out.putBytes(table.array());
    for (long word : pending) {
      out.putLong(word);
    }
  }

  synchronized void load(StateReader in) throws StateException {
    byte[] saved = in.getBytes(table.capacity());
    if (saved.length != table.capacity()) {
      throw in.damaged("an MSI-X table of " + saved.length + " bytes");
    }
    for (int at = 0; at < saved.length; at++) {
      table.put(at, (byte) (saved[at] & ENTRY_WRITABLE[at % ENTRY]));
    }
    for (int word = 0; word < pending.length; word++) {
      int used = Math.min(64, vectors - word * 64);
      pending[word] = in.getLong() & -1L >>> 64 - used;
    }
  }
}
