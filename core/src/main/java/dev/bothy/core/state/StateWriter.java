package dev.bothy.core.state;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/** One section being written: values in order, little-endian. Not thread-safe. */
public final class StateWriter {
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

  public StateWriter putByte(int value) {
    bytes.write(value);
    return this;
  }

  public StateWriter putBoolean(boolean value) {
    return putByte(value ? 1 : 0);
  }

  public StateWriter putInt(int value) {
    for (int i = 0; i < 4; i++) {
      bytes.write(value >>> (8 * i));
    }
    return this;
  }

  public StateWriter putLong(long value) {
    return putInt((int) value).putInt((int) (value >>> 32));
  }

  /** Length, then the bytes. */
  public StateWriter putBytes(byte[] value) {
    putInt(value.length);
    bytes.write(value, 0, value.length);
    return this;
  }

  public StateWriter putString(String value) {
    return putBytes(value.getBytes(StandardCharsets.UTF_8));
  }

  public byte[] toByteArray() {
    return bytes.toByteArray();
  }
}
