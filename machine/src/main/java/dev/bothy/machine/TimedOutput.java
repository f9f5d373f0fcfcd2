package dev.bothy.machine;

import dev.bothy.device.serial.SerialOutput;
import java.util.OptionalLong;

/** Notes when the first byte goes out. */
final class TimedOutput implements SerialOutput {
  private final SerialOutput output;
  private volatile long firstAt;
  private volatile boolean seen;

  TimedOutput(SerialOutput output) {
    this.output = output;
  }

  @Override
  public void write(int value) {
    if (!seen) {
      firstAt = System.nanoTime();
      seen = true;
    }
    output.write(value);
  }

  /** When that was, by {@link System#nanoTime}; empty if there was none. */
  OptionalLong first() {
    return seen ? OptionalLong.of(firstAt) : OptionalLong.empty();
  }
}
