package dev.bothy.device.timer;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.IrqLine;
import dev.bothy.core.MachineClock;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** MC146818 real-time clock and 128 bytes of CMOS RAM, ports 0x70 and 0x71. */
public final class Rtc implements BusDevice, Stateful {
  /** @param irq8 ISA interrupt 8 */
  public Rtc(MachineClock clock, IrqLine irq8) {}

  /** Sets the usual memory-size fields of CMOS RAM. */
  public void setMemorySize(long below4G, long above4G) {}

  /** Maps the registers at their usual ports. */
  public void attach(AddressSpace ports) {}

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "rtc";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
