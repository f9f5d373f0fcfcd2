package dev.bothy.device.platform;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.ByteRegisters;

/**
 * Port 0x80: the code of the power-on self-test, a scratch register, and a short delay for old
 * drivers.
 */
public final class PostPort implements ByteRegisters, Stateful {
  public static final int PORT = 0x80;
  public static final int LENGTH = 1;

  private volatile int code;

  /** The last code written. */
  public int code() {
    return code;
  }

  @Override
  public int readByte(int offset) {
    return code;
  }

  @Override
  public void writeByte(int offset, int value) {
    code = value;
  }

  public void reset() {
    code = 0;
  }

  @Override
  public String stateName() {
    return "post";
  }

  @Override
  public void save(StateWriter out) {
    out.putByte(code);
  }

  @Override
  public void load(StateReader in) throws StateException {
    code = in.getByte();
  }
}
