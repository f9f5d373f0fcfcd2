package dev.bothy.core;

import java.util.List;

/**
 * Registers that a guest reaches through ports or guest-physical addresses.
 *
 * <p>Called from any vCPU thread; a device guards its own state and holds no lock while it calls
 * another device. A guest may use any offset in the registered range with any size: the answer is a
 * defined value, never an exception.
 */
public interface BusDevice {
  /**
   * Reads {@code size} bytes.
   *
   * @param offset from the start of the registered range
   * @param size 1, 2, 4 or 8 (ports: 1, 2 or 4)
   * @return the value, zero-extended; bits above {@code size} are ignored
   */
  long read(long offset, int size);

  /**
   * Writes {@code size} bytes.
   *
   * @param value its low {@code size} bytes count
   */
  void write(long offset, int size, long value);

  /** Registers in memory that only notify, always the same ones; none as a rule. */
  default List<Doorbell> doorbells() {
    return List.of();
  }
}
