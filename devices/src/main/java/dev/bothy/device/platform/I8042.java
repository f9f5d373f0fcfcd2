package dev.bothy.device.platform;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.IrqLine;
import dev.bothy.core.MachineClock;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** Keyboard controller, ports 0x60 and 0x64. */
public final class I8042 implements Stateful {
  /**
   * @param irq1 keyboard interrupt
   * @param irq12 mouse interrupt
   * @param reset pulls the machine's reset line
   */
  public I8042(MachineClock clock, IrqLine irq1, IrqLine irq12, Runnable reset) {}

  /** Maps the registers at their usual ports. */
  public void attach(AddressSpace ports) {}

  @Override
  public String stateName() {
    return "i8042";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
