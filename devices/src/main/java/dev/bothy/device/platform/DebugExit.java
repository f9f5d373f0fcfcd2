package dev.bothy.device.platform;

import dev.bothy.core.BusDevice;
import java.util.function.IntConsumer;

/**
 * Debug-exit port 0xF4 of test machines: a write ends the machine with the value written. Has no
 * state.
 */
public final class DebugExit implements BusDevice {
  public static final int PORT = 0xF4;
  public static final int LENGTH = 4;

  private final IntConsumer exit;

  /**
   * @param exit takes the value, on the vCPU's thread
   */
  public DebugExit(IntConsumer exit) {
    this.exit = exit;
  }

  @Override
  public long read(long offset, int size) {
    return 0;
  }

  @Override
  public void write(long offset, int size, long value) {
    exit.accept((int) value);
  }
}
