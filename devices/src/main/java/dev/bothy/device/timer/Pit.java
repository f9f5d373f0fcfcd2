package dev.bothy.device.timer;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.IrqLine;
import dev.bothy.core.MachineClock;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** 8254 at ports 0x40 to 0x43, and port 0x61. */
public final class Pit implements Stateful {
  /** @param irq0 ISA interrupt 0 */
  public Pit(MachineClock clock, IrqLine irq0) {}

  /** Maps the registers at their usual ports. */
  public void attach(AddressSpace ports) {}

  @Override
  public String stateName() {
    return "pit";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
