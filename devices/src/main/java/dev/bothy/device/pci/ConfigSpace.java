package dev.bothy.device.pci;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.Arrays;

/**
 * The 256 bytes of a function's configuration space: values, which of their bits the guest may
 * write or clear, and the list of capabilities (PCI Local Bus specification 3.0, chapter 6). Not
 * thread-safe: guarded by its function.
 */
final class ConfigSpace {
  static final int SIZE = 256;

  static final int STATUS = 0x06;
  static final int CAPABILITIES = 0x34;

  /** Where the device's own part begins, and with it its capabilities. */
  static final int DEVICE_SPECIFIC = 0x40;

  private static final int STATUS_CAPABILITIES = 0x10;

  private final byte[] values = new byte[SIZE];
  private final byte[] writable = new byte[SIZE];
  private final byte[] clearedByOnes = new byte[SIZE];

  /** Bits that the device changes by itself. */
  private final byte[] changing = new byte[SIZE];

  private byte[] initial;
  private int nextCapability = DEVICE_SPECIFIC;
  private int lastLink = CAPABILITIES;

  void put(int at, int size, long value) {
    fill(values, at, size, value);
  }

  void setWritable(int at, int size, long mask) {
    fill(writable, at, size, mask);
  }

  void setClearedByOnes(int at, int size, long mask) {
    fill(clearedByOnes, at, size, mask);
  }

  /** Bits of {@code mask} belong to the state although the guest cannot write them. */
  void setChanging(int at, int size, long mask) {
    fill(changing, at, size, mask);
  }

  private static void fill(byte[] target, int at, int size, long value) {
    for (int i = 0; i < size; i++) {
      target[at + i] = (byte) (value >>> (8 * i));
    }
  }

  long get(int at, int size) {
    long value = 0;
    for (int i = 0; i < size; i++) {
      value |= (values[at + i] & 0xffL) << (8 * i);
    }
    return value;
  }

  /** Appends a capability, its first two bytes filled in; returns where it lies. */
  int addCapability(int id, int size) {
    int at = nextCapability;
    if (at + size > SIZE) {
      throw new IllegalArgumentException("no room for capability " + id);
    }
    put(lastLink, 1, at);
    lastLink = at + 1;
    nextCapability = at + size + 3 & ~3;
    put(at, 1, id);
    put(STATUS, 2, get(STATUS, 2) | STATUS_CAPABILITIES);
    return at;
  }

  /** A write of the guest. */
  void write(int at, int size, long value) {
    for (int i = 0; i < size; i++) {
      int b = (int) (value >>> (8 * i));
      int mask = writable[at + i];
      int kept = values[at + i] & ~mask & ~(b & clearedByOnes[at + i]);
      values[at + i] = (byte) (kept | b & mask);
    }
  }

  /** What it holds now is what it holds after power-on. */
  void settle() {
    initial = values.clone();
  }

  void reset() {
    System.arraycopy(initial, 0, values, 0, SIZE);
  }

  void save(StateWriter out) {
    out.putBytes(values);
  }

  void load(StateReader in) throws StateException {
    byte[] saved = in.getBytes(SIZE);
    if (saved.length != SIZE || !Arrays.equals(saved, 0, 4, values, 0, 4)) {
      throw in.damaged("not the configuration space of this device");
    }
    for (int i = 0; i < SIZE; i++) {
      int bits = writable[i] | clearedByOnes[i] | changing[i];
      values[i] = (byte) (values[i] & ~bits | saved[i] & bits);
    }
  }
}
