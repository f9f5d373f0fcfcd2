package dev.bothy.device;

import dev.bothy.core.BusDevice;

/**
 * Registers of 8 bits: wider accesses are as many accesses to consecutive registers, lowest first.
 */
public interface ByteRegisters extends BusDevice {
  /**
   * @return 0 to 255; higher bits are ignored
   */
  int readByte(int offset);

  /**
   * @param value 0 to 255
   */
  void writeByte(int offset, int value);

  @Override
  default long read(long offset, int size) {
    long value = 0;
    for (int i = 0; i < size; i++) {
      value |= (readByte((int) offset + i) & 0xffL) << (8 * i);
    }
    return value;
  }

  @Override
  default void write(long offset, int size, long value) {
    for (int i = 0; i < size; i++) {
      writeByte((int) offset + i, (int) (value >>> (8 * i)) & 0xff);
    }
  }
}
