package dev.bothy.device.platform;

import dev.bothy.core.BusDevice;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** System control port A, port 0x92 (1 byte): A20 gate and fast reset. */
public final class SystemControlPortA implements BusDevice, Stateful {
  public static final int PORT = 0x92;

  public SystemControlPortA(Runnable reset) {}

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "port92";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
