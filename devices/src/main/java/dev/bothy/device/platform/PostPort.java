package dev.bothy.device.platform;

import dev.bothy.core.BusDevice;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** Port 0x80 (1 byte): power-on self-test code, a scratch register. */
public final class PostPort implements BusDevice, Stateful {
  public static final int PORT = 0x80;

  /** The last code written. */
  public int code() {
    return 0;
  }

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "post";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
