package dev.bothy.device.platform;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.ByteRegisters;

/**
 * System control port A of a PS/2, port 0x92: A20 gate and fast reset. The A20 line itself is
 * always on.
 */
public final class SystemControlPortA implements ByteRegisters, Stateful {
  public static final int PORT = 0x92;
  public static final int LENGTH = 1;

  private static final int FAST_RESET = 0x01;
  private static final int A20 = 0x02;

  private final Runnable reset;
  private int value = A20;

  /**
   * @param reset pulls the machine's reset line
   */
  public SystemControlPortA(Runnable reset) {
    this.reset = reset;
  }

  @Override
  public synchronized int readByte(int offset) {
    return value;
  }

  @Override
  public void writeByte(int offset, int newValue) {
    boolean pullReset;
    synchronized (this) {
      pullReset = (newValue & ~value & FAST_RESET) != 0;
      value = newValue & (FAST_RESET | A20);
    }
    if (pullReset) {
      reset.run();
    }
  }

  public synchronized void reset() {
    value = A20;
  }

  @Override
  public String stateName() {
    return "port92";
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putByte(value);
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    value = in.getByte() & (FAST_RESET | A20);
  }
}
