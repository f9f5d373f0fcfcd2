package dev.bothy.device.interrupt;

import static dev.bothy.device.interrupt.ApicRegisters.LVT_ERROR;
import static dev.bothy.device.interrupt.ApicRegisters.LVT_LEVEL;
import static dev.bothy.device.interrupt.ApicRegisters.LVT_LINT0;
import static dev.bothy.device.interrupt.ApicRegisters.LVT_MASKED;
import static dev.bothy.device.interrupt.ApicRegisters.LVT_REMOTE_IRR;
import static dev.bothy.device.interrupt.ApicRegisters.LVT_TIMER;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.Arrays;

/**
 * The local vector table (Intel SDM volume 3, 11.5.1), by register number. Guarded by its local
 * APIC.
 */
final class LocalVectorTable {
  private final int[] entries = new int[LVT_ERROR - LVT_TIMER + 1];

  int get(int register) {
    return entries[register - LVT_TIMER];
  }

  /**
   * A write by software, while the APIC is enabled or not; a disabled one keeps every entry masked.
   */
  void write(int register, int value, boolean enabled) {
    int entry = value & ApicRegisters.lvtWritable(register) | (enabled ? 0 : LVT_MASKED);
    if ((entry & LVT_LEVEL) != 0) {
      entry |= get(register) & LVT_REMOTE_IRR;
    }
    entries[register - LVT_TIMER] = entry;
  }

  /** Takes over an entry of another local APIC, remote IRR and all. */
  void set(int register, int entry) {
    entries[register - LVT_TIMER] = entry & (ApicRegisters.lvtWritable(register) | LVT_REMOTE_IRR);
  }

  void maskAll() {
    for (int i = 0; i < entries.length; i++) {
      entries[i] |= LVT_MASKED;
    }
  }

  void reset() {
    Arrays.fill(entries, LVT_MASKED);
  }

  boolean masked(int register) {
    return (get(register) & LVT_MASKED) != 0;
  }

  int vector(int register) {
    return get(register) & 0xff;
  }

  /** The timer and the error entry have no choice. */
  DeliveryMode mode(int register) {
    return register == LVT_TIMER || register == LVT_ERROR
        ? DeliveryMode.FIXED
        : DeliveryMode.ofWord(get(register));
  }

  /** True if LINT pin {@code pin} is a fixed level-triggered interrupt, masked or not. */
  boolean isLevel(int pin) {
    int entry = get(LVT_LINT0 + pin);
    return (entry & LVT_LEVEL) != 0 && DeliveryMode.ofWord(entry) == DeliveryMode.FIXED;
  }

  /** A level has been accepted, or ended: remote IRR of LINT pin {@code pin}. */
  boolean remoteIrr(int pin) {
    return (get(LVT_LINT0 + pin) & LVT_REMOTE_IRR) != 0;
  }

  void setRemoteIrr(int pin, boolean on) {
    int at = LVT_LINT0 + pin - LVT_TIMER;
    entries[at] = on ? entries[at] | LVT_REMOTE_IRR : entries[at] & ~LVT_REMOTE_IRR;
  }

  void save(StateWriter out) {
    for (int entry : entries) {
      out.putInt(entry);
    }
  }

  void load(StateReader in) throws StateException {
    for (int i = 0; i < entries.length; i++) {
      entries[i] = in.getInt();
    }
  }
}
