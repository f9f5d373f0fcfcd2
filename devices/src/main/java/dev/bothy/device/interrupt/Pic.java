package dev.bothy.device.interrupt;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.IrqLine;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** Pair of 8259A, at ports 0x20, 0xA0 and 0x4D0 (edge/level control). Its output is LINT0 of every local APIC. */
public final class Pic implements Stateful {
  public Pic(ApicBus bus) {}

  public IrqLine input(int irq) {
    return IrqLine.NONE;
  }

  /** Maps the registers at their usual ports. */
  public void attach(AddressSpace ports) {}

  @Override
  public String stateName() {
    return "pic";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
