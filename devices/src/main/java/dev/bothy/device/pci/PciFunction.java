package dev.bothy.device.pci;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.IrqLine;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.interrupt.IrqOutput;
import java.util.Arrays;

/**
 * One PCI function with a type 0 header (PCI Local Bus specification 3.0, chapter 6): identity,
 * command and status, base address registers that move their devices about, interrupt pin. A device
 * extends it, adds base address registers and capabilities in its constructor, and drives {@link
 * #interrupt}.
 *
 * <p>Configuration space is guarded by this object's lock.
 */
public abstract class PciFunction implements Stateful {
  /** Bytes of configuration space that mechanism 1 reaches. */
  public static final int CONFIG_SIZE = 256;

  protected static final int VENDOR_ID = 0x00;
  protected static final int DEVICE_ID = 0x02;
  protected static final int COMMAND = 0x04;
  protected static final int STATUS = 0x06;
  protected static final int REVISION = 0x08;
  protected static final int CLASS_CODE = 0x09;
  protected static final int HEADER_TYPE = 0x0e;
  protected static final int BASE_ADDRESSES = 0x10;
  protected static final int SUBSYSTEM_VENDOR_ID = 0x2c;
  protected static final int SUBSYSTEM_ID = 0x2e;
  protected static final int CAPABILITIES = 0x34;
  protected static final int INTERRUPT_LINE = 0x3c;
  protected static final int INTERRUPT_PIN = 0x3d;

  private static final int COMMAND_IO = 1;
  private static final int COMMAND_MEMORY = 2;
  private static final int COMMAND_BUS_MASTER = 4;
  private static final int COMMAND_NO_INTERRUPT = 0x400;
  private static final int COMMAND_WRITABLE = 0x0547;
  private static final int STATUS_INTERRUPT = 8;
  private static final int STATUS_CAPABILITIES = 0x10;
  private static final int STATUS_CLEARED_BY_ONES = 0xf900;

  private static final int MULTI_FUNCTION = 0x80;

  private static final int BAR_IO = 1;
  private static final int BAR_64_BIT = 4;
  private static final int BAR_PREFETCHABLE = 8;

  private final String name;
  private final byte[] config = new byte[CONFIG_SIZE];

  /** What the guest may write, and which status bits it clears by writing ones. */
  private final byte[] writable = new byte[CONFIG_SIZE];

  private final byte[] clearedByOnes = new byte[CONFIG_SIZE];
  private byte[] initial;
  private final Bar[] bars = new Bar[6];
  private int nextCapability = 0x40;
  private int lastCapability = CAPABILITIES;

  private AddressSpace ports;
  private AddressSpace mmio;
  private IrqOutput line = new IrqOutput(IrqLine.NONE);
  private boolean interrupt;

  /** A range behind one or two base address registers. */
  private static final class Bar {
    final int flags;
    final long size;
    final BusDevice target;
    AddressSpace.Mapping mapping;

    Bar(int flags, long size, BusDevice target) {
      this.flags = flags;
      this.size = size;
      this.target = target;
    }

    boolean io() {
      return (flags & BAR_IO) != 0;
    }

    boolean wide() {
      return (flags & BAR_64_BIT) != 0;
    }
  }

  /**
   * @param name unique within a machine
   * @param classCode base class, subclass and interface, as 0x060000
   */
  protected PciFunction(String name, int vendor, int device, int revision, int classCode) {
    this.name = name;
    put(VENDOR_ID, 2, vendor);
    put(DEVICE_ID, 2, device);
    put(REVISION, 1, revision);
    put(CLASS_CODE, 3, classCode);
    setWritable(COMMAND, 2, COMMAND_WRITABLE);
    setWritable(0x0c, 1, 0xff); // cache line size: no effect, but drivers keep it there
    setWritable(INTERRUPT_LINE, 1, 0xff);
    for (int i = 0; i < 2; i++) {
      clearedByOnes[STATUS + i] = (byte) (STATUS_CLEARED_BY_ONES >> (8 * i));
    }
  }

  // For the device's constructor.

  /** Sets {@code size} bytes of configuration space. */
  protected final void put(int at, int size, long value) {
    for (int i = 0; i < size; i++) {
      config[at + i] = (byte) (value >>> (8 * i));
    }
  }

  /** Lets the guest write the bits of {@code mask}. */
  protected final void setWritable(int at, int size, long mask) {
    for (int i = 0; i < size; i++) {
      writable[at + i] = (byte) (mask >>> (8 * i));
    }
  }

  /** The low {@code size} bytes at {@code at}. */
  protected final long get(int at, int size) {
    long value = 0;
    for (int i = 0; i < size; i++) {
      value |= (config[at + i] & 0xffL) << (8 * i);
    }
    return value;
  }

  /** A range of ports; {@code size} a power of two from 4 to 256. */
  protected final void addPortBar(int index, long size, BusDevice target) {
    addBar(index, new Bar(BAR_IO, size, target));
  }

  /**
   * A range of memory; {@code size} a power of two from 16. A 64-bit one takes the next register as
   * well.
   */
  protected final void addMemoryBar(
      int index, long size, boolean wide, boolean prefetchable, BusDevice target) {
    int flags = (wide ? BAR_64_BIT : 0) | (prefetchable ? BAR_PREFETCHABLE : 0);
    addBar(index, new Bar(flags, size, target));
  }

  private void addBar(int index, Bar bar) {
    if (Long.bitCount(bar.size) != 1 || bar.size < (bar.io() ? 4 : 16)) {
      throw new IllegalArgumentException("size of a base address register: " + bar.size);
    }
    bars[index] = bar;
    int at = BASE_ADDRESSES + 4 * index;
    put(at, bar.wide() ? 8 : 4, bar.flags);
    setWritable(at, bar.wide() ? 8 : 4, -bar.size);
  }

  /**
   * Appends a capability, its first two bytes filled in.
   *
   * @param size bytes with the first two
   * @return where it lies
   */
  protected final int addCapability(int id, int size) {
    int at = nextCapability;
    if (at + size > CONFIG_SIZE) {
      throw new IllegalArgumentException("no room for capability " + id);
    }
    put(lastCapability, 1, at);
    lastCapability = at + 1;
    nextCapability = at + size + 3 & ~3;
    put(at, 1, id);
    put(STATUS, 2, get(STATUS, 2) | STATUS_CAPABILITIES);
    return at;
  }

  /** Gives the function an interrupt pin. @param pin 0 (INTA) to 3 (INTD) */
  protected final void setInterruptPin(int pin) {
    put(INTERRUPT_PIN, 1, pin + 1);
  }

  // For the board.

  /** Where the interrupt pin leads; the board calls this before the machine starts. */
  public final synchronized void connectInterrupt(IrqLine wire, int interruptLine) {
    line = new IrqOutput(wire);
    put(INTERRUPT_LINE, 1, interruptLine);
  }

  /** Interrupt pin 0 (INTA) to 3 (INTD), or -1 for none. */
  public final synchronized int interruptPin() {
    return (int) get(INTERRUPT_PIN, 1) - 1;
  }

  final synchronized void attach(AddressSpace portSpace, AddressSpace mmioSpace) {
    ports = portSpace;
    mmio = mmioSpace;
    initial = config.clone();
  }

  final synchronized void markMultiFunction() {
    config[HEADER_TYPE] |= (byte) MULTI_FUNCTION;
    initial = config.clone();
  }

  // For the running device.

  /** Drives the interrupt pin; called with no lock of the device held. */
  protected final void interrupt(boolean high) {
    synchronized (this) {
      interrupt = high;
      updateInterrupt();
    }
    line.drive();
  }

  private void updateInterrupt() {
    int status = (int) get(STATUS, 2) & ~STATUS_INTERRUPT;
    put(STATUS, 2, interrupt ? status | STATUS_INTERRUPT : status);
    line.want(interrupt && (get(COMMAND, 2) & COMMAND_NO_INTERRUPT) == 0);
  }

  /** True while the guest lets the device reach memory by itself. */
  protected final synchronized boolean busMaster() {
    return (get(COMMAND, 2) & COMMAND_BUS_MASTER) != 0;
  }

  /**
   * Called, with this object's lock held, after the guest wrote to the device's own configuration
   * space from 0x40 on.
   */
  protected void configWritten(int at, int size) {}

  // Configuration space.

  /** Reads {@code size} bytes at {@code at}, all within {@link #CONFIG_SIZE}. */
  final synchronized long readConfig(int at, int size) {
    return get(at, size);
  }

  final void writeConfig(int at, int size, long value) {
    synchronized (this) {
      for (int i = 0; i < size; i++) {
        int b = (int) (value >>> (8 * i));
        int mask = writable[at + i];
        int kept = config[at + i] & ~mask & ~(b & clearedByOnes[at + i]);
        config[at + i] = (byte) (kept | b & mask);
      }
      if (at < BASE_ADDRESSES + 24) {
        place();
        updateInterrupt();
      }
      if (at + size > 0x40) {
        configWritten(at, size);
      }
    }
    line.drive();
  }

  /** Maps every range where its base address register and the command register put it. */
  private void place() {
    int command = (int) get(COMMAND, 2);
    for (int i = 0; i < bars.length; i++) {
      Bar bar = bars[i];
      if (bar == null) {
        continue;
      }
      boolean enabled = (command & (bar.io() ? COMMAND_IO : COMMAND_MEMORY)) != 0;
      long base = get(BASE_ADDRESSES + 4 * i, bar.wide() ? 8 : 4) & -bar.size;
      if (!enabled || !fits(bar, base)) {
        if (bar.mapping != null) {
          bar.mapping.unmap();
          bar.mapping = null;
        }
      } else if (bar.mapping == null) {
        AddressSpace space = bar.io() ? ports : mmio;
        bar.mapping = space.map(name, base, bar.size, bar.target);
      } else if (bar.mapping.base() != base) {
        bar.mapping.moveTo(base);
      }
    }
  }

  /** Neither unset nor in the middle of being sized. */
  private static boolean fits(Bar bar, long base) {
    long end = base + bar.size;
    if (base <= 0 || end < 0) {
      return false;
    }
    return bar.io() ? end <= 0x10000 : bar.wide() ? end < 1L << 52 : end <= 0xffff_0000L;
  }

  /** Called when the machine resets, after configuration space has its first values again. */
  protected void resetDevice() {}

  /** Back to the state after power-on. */
  public final void reset() {
    synchronized (this) {
      int interruptLine = (int) get(INTERRUPT_LINE, 1);
      System.arraycopy(initial, 0, config, 0, CONFIG_SIZE);
      put(INTERRUPT_LINE, 1, interruptLine);
      interrupt = false;
      place();
      updateInterrupt();
    }
    line.drive();
    resetDevice();
  }

  /** Saves what the device has besides configuration space. */
  protected void saveDevice(StateWriter out) {}

  /** Loads what {@link #saveDevice} wrote. */
  protected void loadDevice(StateReader in) throws StateException {}

  @Override
  public final String stateName() {
    return name;
  }

  @Override
  public final void save(StateWriter out) {
    synchronized (this) {
      out.putBytes(config).putBoolean(interrupt);
    }
    saveDevice(out);
  }

  @Override
  public final void load(StateReader in) throws StateException {
    synchronized (this) {
      byte[] saved = in.getBytes(CONFIG_SIZE);
      if (saved.length != CONFIG_SIZE || !Arrays.equals(saved, 0, 4, config, 0, 4)) {
        throw in.damaged("not the configuration space of this device");
      }
      for (int i = 0; i < CONFIG_SIZE; i++) {
        int changing = writable[i] | clearedByOnes[i] | (i == STATUS ? STATUS_INTERRUPT : 0);
        config[i] = (byte) (config[i] & ~changing | saved[i] & changing);
      }
      interrupt = in.getBoolean();
      line.restore(interrupt && (get(COMMAND, 2) & COMMAND_NO_INTERRUPT) == 0);
      place();
    }
    loadDevice(in);
  }
}
