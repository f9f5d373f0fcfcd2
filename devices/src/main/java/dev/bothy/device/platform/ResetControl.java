package dev.bothy.device.platform;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.ByteRegisters;

/**
 * Reset control register of a PCI chip set, port 0xCF9; map it after the PCI host, whose ports
 * surround it.
 */
public final class ResetControl implements ByteRegisters, Stateful {
  public static final int PORT = 0xCF9;
  public static final int LENGTH = 1;

  /** What the FADT tells to write. */
  public static final int RESET_VALUE = 0x06;

  private static final int HARD = 0x02;
  private static final int RESET = 0x04;

  private final Runnable reset;
  private int value;

  /**
   * @param reset pulls the machine's reset line
   */
  public ResetControl(Runnable reset) {
    this.reset = reset;
  }

  @Override
  public synchronized int readByte(int offset) {
    return value;
  }

  @Override
  public void writeByte(int offset, int newValue) {
    synchronized (this) {
      value = newValue & HARD;
    }
    if ((newValue & RESET) != 0) {
      reset.run();
    }
  }

  public synchronized void reset() {
    value = 0;
  }

  @Override
  public String stateName() {
    return "reset-control";
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putByte(value);
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    value = in.getByte() & HARD;
  }
}
