package dev.bothy.device.interrupt;

import dev.bothy.core.BusDevice;
import dev.bothy.core.IrqLine;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** 82093AA I/O APIC; its register window is one page at {@link #BASE}. Registers itself at the bus. */
public final class IoApic implements BusDevice, Stateful {
  public static final long BASE = 0xFEC0_0000L;
  public static final int LENGTH = 0x1000;
  public static final int PINS = 24;

  public IoApic(ApicBus bus, int id) {}

  public IrqLine pin(int pin) {
    return IrqLine.NONE;
  }

  /** A local APIC broadcasts the end of a level-triggered interrupt. */
  public void endOfInterrupt(int vector) {}

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "ioapic";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
