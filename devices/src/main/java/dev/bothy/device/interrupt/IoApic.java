package dev.bothy.device.interrupt;

import dev.bothy.core.BusDevice;
import dev.bothy.core.IrqLine;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import java.util.Arrays;

/**
 * 82093AA I/O APIC with 24 pins and the EOI register of version 0x20. Its window is one page at
 * {@link #BASE}.
 *
 * <p>A pin is high when its device asks for service: the polarity bits are kept but do not matter,
 * as the wires carry that meaning and not a voltage.
 */
public final class IoApic implements BusDevice, Stateful {
  public static final long BASE = 0xFEC0_0000L;
  public static final int LENGTH = 0x1000;
  public static final int PINS = 24;

  private static final int SELECT = 0x00;
  private static final int WINDOW = 0x10;
  private static final int EOI = 0x40;

  private static final int REGISTER_ID = 0x00;
  private static final int REGISTER_VERSION = 0x01;
  private static final int REGISTER_ARBITRATION = 0x02;
  private static final int REGISTER_TABLE = 0x10;

  private static final int VERSION = 0x20 | PINS - 1 << 16;

  // Low half of a redirection entry.
  private static final int VECTOR = 0xff;
  private static final int LOGICAL = 1 << 11;
  private static final int REMOTE_IRR = 1 << 14;
  private static final int LEVEL = 1 << 15;
  private static final int MASKED = 1 << 16;
  private static final int WRITABLE = 0x0001_afff;

  // What an entry sends: high half to address, low half to address and data.
  private static final long MESSAGES = 0xfee0_0000L;
  private static final int MESSAGE_ADDRESS_SHIFT = 12;
  private static final int MESSAGE_ADDRESS = 0xf_fff0;
  private static final int MESSAGE_LOGICAL = 1 << 2;
  private static final int MESSAGE_DATA = 0x7ff | LEVEL;

  /** The high half: a destination. */
  private static final int DESTINATION = 0xff00_0000;

  /** The same where messages are remapped: an index, and that it is one. */
  private static final int WIDE_DESTINATION = 0xffff_0000;

  private final ApicBus bus;
  private final int initialId;
  private int select;
  private int id;
  private final int[] low = new int[PINS];
  private final int[] high = new int[PINS];

  /** One bit a pin. */
  private int levels;

  /** Makes an I/O APIC and connects it to {@code bus}. @param id 0 to 15, as in the MADT */
  public IoApic(ApicBus bus, int id) {
    this.bus = bus;
    this.initialId = id;
    reset();
    bus.add(this);
  }

  /** The wire of pin {@code pin}, 0 to 23. */
  public IrqLine pin(int pin) {
    java.util.Objects.checkIndex(pin, PINS);
    return on -> set(pin, on);
  }

  private void set(int pin, boolean on) {
    boolean send;
    synchronized (this) {
      boolean rising = on && (levels >>> pin & 1) == 0;
      levels = on ? levels | 1 << pin : levels & ~(1 << pin);
      // An edge on a masked pin is lost (82093AA, 3.2.4, interrupt mask).
      send = (low[pin] & LEVEL) != 0 ? claimLevel(pin) : rising && (low[pin] & MASKED) == 0;
    }
    if (send) {
      deliver(pin);
    }
  }

  /**
   * True if a level-triggered pin must send its message now; it then waits for the end of
   * interrupt.
   */
  private boolean claimLevel(int pin) {
    if ((levels >>> pin & 1) == 0 || (low[pin] & (LEVEL | MASKED | REMOTE_IRR)) != LEVEL) {
      return false;
    }
    low[pin] |= REMOTE_IRR;
    return true;
  }

  private void deliver(int pin) {
    int entry;
    long address;
    synchronized (this) {
      entry = low[pin];
      address = messageAddress(pin);
    }
    boolean level = (entry & LEVEL) != 0;
    boolean accepted = bus.deliverPin(address, entry & MESSAGE_DATA);
    if (level && !(accepted && endsWithEoi(entry))) {
      synchronized (this) {
        low[pin] &= ~REMOTE_IRR;
      }
    }
  }

  private long messageAddress(int pin) {
    return MESSAGES
        | high[pin] >>> MESSAGE_ADDRESS_SHIFT & MESSAGE_ADDRESS
        | ((low[pin] & LOGICAL) != 0 ? MESSAGE_LOGICAL : 0);
  }

  private int destinationMask() {
    return bus.remaps() ? WIDE_DESTINATION : DESTINATION;
  }

  /** NMI, INIT and ExtINT are edges whatever the trigger bit says: no EOI will come. */
  private static boolean endsWithEoi(int entry) {
    DeliveryMode mode = DeliveryMode.ofWord(entry);
    return mode == DeliveryMode.FIXED || mode == DeliveryMode.LOWEST_PRIORITY;
  }

  /** A local APIC broadcasts the end of a level-triggered interrupt. */
  void endOfInterrupt(int vector) {
    int again = 0;
    synchronized (this) {
      for (int pin = 0; pin < PINS; pin++) {
        if ((low[pin] & VECTOR) == vector && (low[pin] & REMOTE_IRR) != 0) {
          low[pin] &= ~REMOTE_IRR;
          again |= claimLevel(pin) ? 1 << pin : 0;
        }
      }
    }
    for (int pin = 0; again != 0; pin++, again >>>= 1) {
      if ((again & 1) != 0) {
        deliver(pin);
      }
    }
  }

  @Override
  public synchronized long read(long offset, int size) {
    int within = (int) (offset & 3);
    int value =
        switch ((int) offset & ~3) {
          case SELECT -> select;
          case WINDOW -> readRegister(select);
          default -> 0;
        };
    return (value & 0xffff_ffffL) >>> (8 * within);
  }

  private int readRegister(int register) {
    int entry = register - REGISTER_TABLE;
    if (entry >= 0 && entry < 2 * PINS) {
      return (entry & 1) == 0 ? low[entry >> 1] : high[entry >> 1];
    }
    return switch (register) {
      case REGISTER_ID, REGISTER_ARBITRATION -> id << 24;
      case REGISTER_VERSION -> VERSION;
      default -> 0;
    };
  }

  @Override
  public void write(long offset, int size, long value) {
    switch ((int) offset) {
      case SELECT -> {
        synchronized (this) {
          select = (int) value & 0xff;
        }
      }
      case WINDOW -> {
        if (size >= 4) {
          writeRegister((int) value);
        }
      }
      case EOI -> endOfInterrupt((int) value & 0xff);
      default -> {
        // Nothing there.
      }
    }
  }

  private void writeRegister(int value) {
    int pin;
    boolean send;
    synchronized (this) {
      int entry = select - REGISTER_TABLE;
      if (select == REGISTER_ID) {
        id = value >>> 24 & 0xf;
      }
      if (entry < 0 || entry >= 2 * PINS) {
        return;
      }
      pin = entry >> 1;
      if ((entry & 1) == 0) {
        // Remote IRR belongs to the hardware, and to level-triggered pins.
        int remote = (value & LEVEL) != 0 ? low[pin] & REMOTE_IRR : 0;
        low[pin] = value & WRITABLE | remote;
      } else {
        high[pin] = value & destinationMask();
      }
      tellPin(pin);
      send = claimLevel(pin);
    }
    if (send) {
      deliver(pin);
    }
  }

  public synchronized void reset() {
    select = 0;
    id = initialId & 0xf;
    Arrays.fill(low, MASKED);
    Arrays.fill(high, 0);
    tellPins();
  }

  /** Tells an engine that has the local APICs which ends of interrupt are waited for. */
  synchronized void tellPins() {
    for (int pin = 0; pin < PINS; pin++) {
      tellPin(pin);
    }
  }

  /** Whether the pin is masked does not matter: what it has sent before is to end. */
  private void tellPin(int pin) {
    int entry = low[pin];
    bus.describePin(
        pin, (entry & LEVEL) != 0 && endsWithEoi(entry), messageAddress(pin), entry & MESSAGE_DATA);
  }

  @Override
  public String stateName() {
    return "ioapic";
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putInt(select).putInt(id).putInt(levels);
    for (int pin = 0; pin < PINS; pin++) {
      out.putInt(low[pin]).putInt(high[pin]);
    }
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    select = in.getInt(0, 0xff);
    id = in.getInt(0, 0xf);
    levels = in.getInt();
    for (int pin = 0; pin < PINS; pin++) {
      low[pin] = in.getInt() & (WRITABLE | REMOTE_IRR);
      high[pin] = in.getInt() & destinationMask();
    }
    tellPins();
  }
}
