package dev.bothy.device.pci;

import dev.bothy.core.MsiSink;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;

/**
 * The MSI capability of a function (PCI Local Bus specification 3.0, 6.8.1), with 64-bit addresses
 * and a mask for each message. The guest may allow fewer messages than there are: the numbers then
 * fold over.
 *
 * <p>A message that is masked waits in its pending bit and is sent when the mask goes. Messages are
 * sent without a lock held. Any thread.
 */
public final class Msi {
  /** Most messages of a function. */
  public static final int MAX_MESSAGES = 32;

  static final int CAPABILITY = 0x05;
  static final int CAPABILITY_SIZE = 24;

  // Registers, from the capability's start.
  private static final int CONTROL = 2;
  private static final int ADDRESS = 4;
  private static final int DATA = 12;
  private static final int MASK = 16;
  private static final int PENDING = 20;

  private static final int CONTROL_ENABLE = 1;
  private static final int CONTROL_CAPABLE_SHIFT = 1;
  private static final int CONTROL_ALLOWED_SHIFT = 4;
  private static final int CONTROL_ALLOWED = 7 << CONTROL_ALLOWED_SHIFT;
  private static final int CONTROL_64_BIT = 0x80;
  private static final int CONTROL_MASKABLE = 0x100;

  private final int messages;
  private final int at;
  private MsiSink sink = (address, data) -> {};

  private volatile boolean enabled;
  private boolean blocked = true;
  private int allowed = 1;
  private long address;
  private int data;
  private int mask;
  private int pending;

  /**
   * Adds the capability to {@code config}.
   *
   * @param messages a power of two up to {@link #MAX_MESSAGES}
   */
  Msi(ConfigSpace config, int messages) {
    if (messages < 1 || messages > MAX_MESSAGES || Integer.bitCount(messages) != 1) {
      throw new IllegalArgumentException("number of MSI messages: " + messages);
    }
    this.messages = messages;
    at = config.addCapability(CAPABILITY, CAPABILITY_SIZE);
    int capable = Integer.numberOfTrailingZeros(messages) << CONTROL_CAPABLE_SHIFT;
    config.put(at + CONTROL, 2, capable | CONTROL_64_BIT | CONTROL_MASKABLE);
    config.setWritable(at + CONTROL, 2, CONTROL_ALLOWED | CONTROL_ENABLE);
    config.setWritable(at + ADDRESS, 8, ~3L);
    config.setWritable(at + DATA, 2, 0xffff);
    config.setWritable(at + MASK, 4, -1L >>> 64 - messages);
  }

  /** How many messages the function has. */
  public int messages() {
    return messages;
  }

  /** True while the guest wants messages instead of the interrupt pin. */
  public boolean enabled() {
    return enabled;
  }

  void connect(MsiSink target) {
    sink = target;
  }

  /**
   * Sends message {@code number}, at once or when it is no longer masked. Nothing happens if there
   * is no such message, or while MSI is off.
   */
  public void signal(int number) {
    if (number < 0 || number >= messages) {
      return;
    }
    long to;
    int what;
    synchronized (this) {
      if (!enabled) {
        return;
      }
      int message = number & allowed - 1;
      if (blocked || (mask >>> message & 1) != 0) {
        pending |= 1 << message;
        return;
      }
      to = address;
      what = data & -allowed | message;
    }
    sink.send(to, what);
  }

  /** Takes over the registers; {@link #flush} is to follow. {@code stopped}: no bus master. */
  synchronized void configure(ConfigSpace config, boolean stopped) {
    int control = (int) config.get(at + CONTROL, 2);
    enabled = (control & CONTROL_ENABLE) != 0;
    blocked = stopped;
    allowed = Math.min(messages, 1 << ((control & CONTROL_ALLOWED) >> CONTROL_ALLOWED_SHIFT));
    address = config.get(at + ADDRESS, 8);
    data = (int) config.get(at + DATA, 2);
    mask = (int) config.get(at + MASK, 4);
    pending = enabled ? pending & (int) (-1L >>> 64 - allowed) : 0;
  }

  /** Puts the pending bits where the guest reads them. */
  synchronized void show(ConfigSpace config) {
    config.put(at + PENDING, 4, pending);
  }

  /** Sends what is pending and no longer masked. Call it without locks. */
  void flush() {
    for (int number = 0; number < messages; number++) {
      if (takeUnmasked(number)) {
        signal(number);
      }
    }
  }

  private synchronized boolean takeUnmasked(int number) {
    boolean ready = enabled && !blocked && (pending & ~mask & 1 << number) != 0;
    pending &= ready ? ~(1 << number) : -1;
    return ready;
  }

  synchronized void save(StateWriter out) {
    out.putInt(pending);
  }

  synchronized void load(StateReader in) throws StateException {
    pending = in.getInt();
  }
}
