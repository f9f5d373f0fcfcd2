package dev.bothy.core.state;

import java.nio.charset.StandardCharsets;

/**
 * One section being read, in the order it was written. Anything missing or impossible is refused.
 * Not thread-safe.
 */
public final class StateReader {
  private final String section;
  private final byte[] bytes;
  private int position;

  public StateReader(String section, byte[] bytes) {
    this.section = section;
    this.bytes = bytes;
  }

  public int getByte() throws StateException {
    need(1);
    return bytes[position++] & 0xff;
  }

  public boolean getBoolean() throws StateException {
    int value = getByte();
    if (value > 1) {
      throw damaged("a flag of " + value);
    }
    return value == 1;
  }

  public int getInt() throws StateException {
    need(4);
    int value = 0;
    for (int i = 0; i < 4; i++) {
      value |= (bytes[position++] & 0xff) << (8 * i);
    }
    return value;
  }

  /** An int that must lie in {@code [low, high]}. */
  public int getInt(int low, int high) throws StateException {
    int value = getInt();
    if (value < low || value > high) {
      throw damaged(value + " where " + low + " to " + high + " was expected");
    }
    return value;
  }

  public long getLong() throws StateException {
    return (getInt() & 0xffff_ffffL) | ((long) getInt() << 32);
  }

  /** Bytes written with a length of at most {@code limit}. */
  public byte[] getBytes(int limit) throws StateException {
    int length = getInt(0, limit);
    need(length);
    byte[] value = java.util.Arrays.copyOfRange(bytes, position, position + length);
    position += length;
    return value;
  }

  public String getString(int limit) throws StateException {
    return new String(getBytes(limit), StandardCharsets.UTF_8);
  }

  /** Refuses left-over bytes. */
  public void end() throws StateException {
    if (position != bytes.length) {
      throw damaged((bytes.length - position) + " bytes too many");
    }
  }

  /** An exception that names this section. */
  public StateException damaged(String what) {
    return new StateException("saved state of " + section + " is damaged: " + what);
  }

  private void need(int count) throws StateException {
    if (bytes.length - position < count) {
      throw damaged("it ends early");
    }
  }
}
