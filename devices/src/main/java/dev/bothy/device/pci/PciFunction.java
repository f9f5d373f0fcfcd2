package dev.bothy.device.pci;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.IrqLine;
import dev.bothy.core.MsiSink;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.interrupt.IrqOutput;
import java.util.function.BooleanSupplier;

/**
 * One PCI function with a type 0 header (PCI Local Bus specification 3.0, chapter 6): identity,
 * command and status, base address registers that move their devices about, capabilities, interrupt
 * pin, MSI and MSI-X. A device extends it and, in its constructor, adds base address registers and
 * capabilities; afterwards it drives {@link #interrupt} or signals its {@link Msix} or {@link Msi}.
 *
 * <p>Life: made, {@linkplain PciHost#add put on the bus}, {@linkplain #reset reset} at power-on and
 * whenever the machine resets, {@linkplain #resume resumed} when guest time begins and {@linkplain
 * #pause paused} when it stops, saved and loaded while paused, {@linkplain #close closed} before
 * guest RAM goes. A new function is paused.
 *
 * <p>Configuration space is guarded by this object's lock. The hooks {@link #configReading}, {@link
 * #configWritten}, {@link #resetDevice}, {@link #saveDevice} and {@link #loadDevice} are called
 * without it, so a device may hold a lock of its own while it calls the methods here that say
 * nothing else.
 */
public abstract class PciFunction implements Stateful {
  /** Bytes of configuration space; what ECAM reaches beyond is empty. */
  public static final int CONFIG_SIZE = ConfigSpace.SIZE;

  protected static final int VENDOR_ID = 0x00;
  protected static final int DEVICE_ID = 0x02;
  protected static final int COMMAND = 0x04;
  protected static final int STATUS = ConfigSpace.STATUS;
  protected static final int REVISION = 0x08;
  protected static final int CLASS_CODE = 0x09;
  protected static final int CACHE_LINE_SIZE = 0x0c;
  protected static final int HEADER_TYPE = 0x0e;
  protected static final int BASE_ADDRESSES = 0x10;
  protected static final int SUBSYSTEM_VENDOR_ID = 0x2c;
  protected static final int SUBSYSTEM_ID = 0x2e;
  protected static final int CAPABILITIES = ConfigSpace.CAPABILITIES;
  protected static final int INTERRUPT_LINE = 0x3c;
  protected static final int INTERRUPT_PIN = 0x3d;

  static final int COMMAND_IO = 1;
  static final int COMMAND_MEMORY = 2;
  private static final int COMMAND_BUS_MASTER = 4;
  private static final int COMMAND_NO_INTERRUPT = 0x400;
  private static final int COMMAND_WRITABLE = 0x0547;
  private static final int STATUS_INTERRUPT = 8;
  private static final int STATUS_CLEARED_BY_ONES = 0xf900;
  private static final int MULTI_FUNCTION = 0x80;
  static final int BARS = 6;

  private final String kind;
  private final ConfigSpace config = new ConfigSpace();
  private final Bar[] bars = new Bar[BARS];
  private Msi msi;
  private Msix msix;
  private int msixAt;

  private String name;
  private int place;
  private AddressSpace ports;
  private AddressSpace mmio;
  private Upstream upstream;
  private IrqOutput line = new IrqOutput(IrqLine.none());
  private boolean interrupt;

  /**
   * @param kind for messages, statistics and saved state; functions of one kind are told apart by
   *     where they are
   * @param classCode base class, subclass and interface, as 0x060000
   */
  protected PciFunction(String kind, int vendor, int device, int revision, int classCode) {
    this.kind = kind;
    this.name = kind;
    config.put(VENDOR_ID, 2, vendor);
    config.put(DEVICE_ID, 2, device);
    config.put(REVISION, 1, revision);
    config.put(CLASS_CODE, 3, classCode);
    config.setWritable(COMMAND, 2, COMMAND_WRITABLE);
    config.setClearedByOnes(STATUS, 2, STATUS_CLEARED_BY_ONES);
    config.setChanging(STATUS, 2, STATUS_INTERRUPT);
    config.setWritable(CACHE_LINE_SIZE, 1, 0xff); // no effect, but drivers keep it there
    config.setWritable(INTERRUPT_LINE, 1, 0xff);
  }

  // For the device's constructor.

  /** Lets the guest write the bits of {@code mask} in {@code size} bytes from {@code at}. */
  protected final void setWritable(int at, int size, long mask) {
    config.setWritable(at, size, mask);
  }

  /**
   * A range of ports.
   *
   * @param index of the base address register, 0 to 5
   * @param size a power of two from 4 to 256
   */
  protected final void addPortBar(int index, long size, BusDevice target) {
    addBar(index, new Bar(Bar.IO, size, target));
  }

  /**
   * A range of memory.
   *
   * @param index of the base address register, 0 to 5; a 64-bit one takes the next as well
   * @param size a power of two from 16; at most 2 GiB if not {@code wide}
   * @param wide true for a 64-bit address
   */
  protected final void addMemoryBar(
      int index, long size, boolean wide, boolean prefetchable, BusDevice target) {
    int flags = (wide ? Bar.WIDE : 0) | (prefetchable ? Bar.PREFETCHABLE : 0);
    addBar(index, new Bar(flags, size, target));
  }

  private void addBar(int index, Bar bar) {
    int last = index + (bar.wide() ? 1 : 0);
    java.util.Objects.checkIndex(last, BARS);
    boolean taken =
        bars[index] != null || bars[last] != null || index > 0 && reachesFurther(index - 1);
    if (taken) {
      throw new IllegalArgumentException("base address register " + index + " is taken");
    }
    bars[index] = bar;
    int at = BASE_ADDRESSES + 4 * index;
    config.put(at, bar.registerBytes(), bar.flags());
    config.setWritable(at, bar.registerBytes(), bar.addressMask());
  }

  private boolean reachesFurther(int index) {
    return bars[index] != null && bars[index].wide();
  }

  /**
   * Appends a capability, its first two bytes filled in.
   *
   * @param size bytes with the first two
   * @return where it lies
   */
  protected final int addCapability(int id, int size) {
    return config.addCapability(id, size);
  }

  /** Gives the function an interrupt pin. @param pin 0 (INTA) to 3 (INTD) */
  protected final void setInterruptPin(int pin) {
    config.put(INTERRUPT_PIN, 1, java.util.Objects.checkIndex(pin, 4) + 1);
  }

  /**
   * Gives the function MSI-X, with table and pending bits in a 32-bit memory range of their own.
   *
   * @param bar index of its base address register
   * @param vectors 1 to {@link Msix#MAX_VECTORS}
   */
  protected final Msix addMsix(int bar, int vectors) {
    msix = new Msix(vectors);
    addMemoryBar(bar, msix.rangeSize(), false, false, msix);
    msixAt = addCapability(Msix.CAPABILITY, Msix.CAPABILITY_SIZE);
    config.put(msixAt + Msix.CONTROL, 2, vectors - 1);
    config.setWritable(msixAt + Msix.CONTROL, 2, Msix.CONTROL_ENABLE | Msix.CONTROL_MASK);
    config.put(msixAt + Msix.TABLE, 4, bar);
    config.put(msixAt + Msix.PENDING, 4, msix.pendingOffset() | bar);
    return msix;
  }

  /**
   * Gives the function MSI.
   *
   * @param messages a power of two up to {@link Msi#MAX_MESSAGES}
   */
  protected final Msi addMsi(int messages) {
    msi = new Msi(config, messages);
    return msi;
  }

  // For the board.

  /** Where the interrupt pin leads; the board calls this before the machine starts. */
  public final synchronized void connectInterrupt(IrqLine wire, int interruptLine) {
    line = new IrqOutput(wire);
    config.put(INTERRUPT_LINE, 1, interruptLine);
  }

  /** Interrupt pin 0 (INTA) to 3 (INTD), or -1 for none. */
  public final synchronized int interruptPin() {
    return (int) config.get(INTERRUPT_PIN, 1) - 1;
  }

  /** Takes its place on the bus: number {@code at}, eight for each device. */
  final synchronized void attach(
      int at, AddressSpace portSpace, AddressSpace mmioSpace, Upstream reached) {
    place = at;
    upstream = reached;
    MsiSink sink = reached.messages(at);
    name = kind + "@" + at / PciHost.FUNCTIONS + "." + at % PciHost.FUNCTIONS;
    ports = portSpace;
    mmio = mmioSpace;
    if (msi != null) {
      msi.connect(sink);
    }
    if (msix != null) {
      msix.connect(sink);
    }
    config.settle();
  }

  final synchronized void markMultiFunction() {
    config.put(HEADER_TYPE, 1, config.get(HEADER_TYPE, 1) | MULTI_FUNCTION);
    config.settle();
  }

  /** The range behind base address register {@code index}, or null. */
  final Bar bar(int index) {
    return bars[index];
  }

  /**
   * Lets the device go on; called before the vCPUs run. Harmless when repeated. The device may
   * reach guest memory and interrupt from now on.
   */
  public void resume() {}

  /**
   * Brings the device to a stand, while no vCPU runs; harmless when repeated. When this returns,
   * the device neither touches guest memory nor changes its state nor interrupts until {@link
   * #resume}; what is under way is finished, or noted in a way that is saved.
   */
  public void pause() {}

  /** Gives back what the host lent. The function is paused, and not used afterwards. */
  public void close() {}

  // For the running device.

  /** Drives the interrupt pin; called with no lock of the device held. */
  protected final void interrupt(boolean high) {
    synchronized (this) {
      interrupt = high;
      updateInterrupt();
    }
    line.drive();
  }

  /**
   * Drives the interrupt pin as {@code wanted} says, which may change meanwhile: whoever comes last
   * leaves the pin as it is to be. Called with no lock of the device held.
   */
  protected final void interruptWhile(BooleanSupplier wanted) {
    boolean high;
    do {
      high = wanted.getAsBoolean();
      interrupt(high);
    } while (wanted.getAsBoolean() != high);
  }

  /** The pin stays low while the guest has messages instead. */
  private void updateInterrupt() {
    long status = config.get(STATUS, 2) & ~STATUS_INTERRUPT;
    config.put(STATUS, 2, interrupt ? status | STATUS_INTERRUPT : status);
    line.want(pinWanted());
  }

  private boolean pinWanted() {
    boolean messages = msi != null && msi.enabled() || msix != null && msix.enabled();
    return interrupt && !messages && (config.get(COMMAND, 2) & COMMAND_NO_INTERRUPT) == 0;
  }

  /** True while the guest lets the device reach memory by itself. */
  protected final synchronized boolean busMaster() {
    return (config.get(COMMAND, 2) & COMMAND_BUS_MASTER) != 0;
  }

  /** Where in memory the device's access to {@code address} goes: {@link Upstream#physical}. */
  protected final long physical(long address, boolean write) {
    return upstream.physical(place, address, write);
  }

  /** The low {@code size} bytes, 1 to 8, of configuration space at {@code at}. */
  protected final synchronized long get(int at, int size) {
    return config.get(at, size);
  }

  /** Sets {@code size} bytes, 1 to 8, of configuration space. */
  protected final synchronized void put(int at, int size, long value) {
    config.put(at, size, value);
  }

  /**
   * Called before the guest reads the device's own configuration space, from 0x40 on; the device
   * may {@link #put} there what is to be read.
   */
  protected void configReading(int at, int size) {}

  /** Called after the guest wrote to the device's own configuration space, from 0x40 on. */
  protected void configWritten(int at, int size) {}

  // Configuration space.

  /** Reads {@code size} bytes, 1 to 8, at {@code at}, all within {@link #CONFIG_SIZE}. */
  final long readConfig(int at, int size) {
    if (at + size > ConfigSpace.DEVICE_SPECIFIC) {
      configReading(at, size);
    }
    synchronized (this) {
      if (msi != null) {
        msi.show(config);
      }
      return config.get(at, size);
    }
  }

  final void writeConfig(int at, int size, long value) {
    synchronized (this) {
      config.write(at, size, value);
      apply();
    }
    announce();
    if (at + size > ConfigSpace.DEVICE_SPECIFIC) {
      configWritten(at, size);
    }
  }

  /** Does what the registers say; {@link #announce} is to follow without the lock. */
  private void apply() {
    int command = (int) config.get(COMMAND, 2);
    for (int i = 0; i < BARS; i++) {
      Bar bar = bars[i];
      if (bar != null) {
        boolean enabled = (command & (bar.io() ? COMMAND_IO : COMMAND_MEMORY)) != 0;
        long register = config.get(BASE_ADDRESSES + 4 * i, bar.registerBytes());
        bar.place(name, bar.io() ? ports : mmio, enabled, register, -1 - BARS * place - i);
      }
    }
    boolean silent = (command & COMMAND_BUS_MASTER) == 0;
    if (msi != null) {
      msi.configure(config, silent);
    }
    if (msix != null) {
      int control = (int) config.get(msixAt + Msix.CONTROL, 2);
      boolean masked = (control & Msix.CONTROL_MASK) != 0;
      msix.configure((control & Msix.CONTROL_ENABLE) != 0, silent || masked);
    }
    updateInterrupt();
  }

  /** Tells others what {@link #apply} has changed. */
  private void announce() {
    line.drive();
    if (msi != null) {
      msi.flush();
    }
    if (msix != null) {
      msix.flush();
    }
  }

  /**
   * Called when the machine resets, after configuration space has its first values again. When this
   * returns, the device does not touch guest memory until a driver has set it up anew.
   */
  protected void resetDevice() {}

  /** Back to the state after power-on. */
  public final void reset() {
    synchronized (this) {
      long interruptLine = config.get(INTERRUPT_LINE, 1);
      config.reset();
      config.put(INTERRUPT_LINE, 1, interruptLine);
      interrupt = false;
      if (msix != null) {
        msix.reset();
      }
      apply();
    }
    announce();
    resetDevice();
  }

  /** Saves what the device has besides configuration space and messages. */
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
      if (msi != null) {
        msi.show(config);
        msi.save(out);
      }
      config.save(out);
      out.putBoolean(interrupt);
      if (msix != null) {
        msix.save(out);
      }
    }
    saveDevice(out);
  }

  @Override
  public final void load(StateReader in) throws StateException {
    synchronized (this) {
      if (msi != null) {
        msi.load(in);
      }
      config.load(in);
      interrupt = in.getBoolean();
      if (msix != null) {
        msix.load(in);
      }
      apply();
      line.restore(pinWanted());
    }
    loadDevice(in);
  }
}
