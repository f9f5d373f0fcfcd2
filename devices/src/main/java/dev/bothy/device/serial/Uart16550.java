package dev.bothy.device.serial;

import dev.bothy.core.BusDevice;
import dev.bothy.core.IrqLine;
import dev.bothy.core.MachineClock;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** 16550A UART, 8 ports from its base. */
public final class Uart16550 implements BusDevice, Stateful {
  public Uart16550(String name, MachineClock clock, IrqLine irq, SerialOutput output) {}

  /** Takes up to {@code length} bytes for the guest to read; any thread. Returns how many. */
  public int offer(byte[] bytes, int from, int length) {
    return 0;
  }

  /** Bytes that {@link #offer} would take now. */
  public int room() {
    return 0;
  }

  /** {@code callback} runs, on any thread and with no lock held, when there is room again after there was none. */
  public void onRoom(Runnable callback) {}

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "uart";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
