package dev.bothy.device.platform;

import dev.bothy.core.BusDevice;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** Reset control register, port 0xCF9 (1 byte; map it after the PCI host). */
public final class ResetControl implements BusDevice, Stateful {
  public static final int PORT = 0xCF9;

  public ResetControl(Runnable reset) {}

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "reset-control";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
