package dev.bothy.device.platform;

import dev.bothy.core.BusDevice;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** Port 0xF4 (4 bytes): a write ends the machine with the value written. */
public final class DebugExit implements BusDevice, Stateful {
  public static final int PORT = 0xF4;
  public static final int LENGTH = 4;

  public DebugExit(java.util.function.IntConsumer exit) {}

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "debug-exit";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
