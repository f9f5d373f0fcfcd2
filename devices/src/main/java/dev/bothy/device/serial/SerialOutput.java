package dev.bothy.device.serial;

/**
 * Where a serial port sends its bytes. Called on the vCPU's thread; may block for a while to hold
 * back a flood.
 */
@FunctionalInterface
public interface SerialOutput {
  /**
   * @param value 0 to 255
   */
  void write(int value);
}
