package dev.bothy.device.platform;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;

/** A keyboard or mouse at a PS/2 port. Guarded by its {@link I8042}. */
abstract class Ps2Device {
  static final int ACKNOWLEDGE = 0xfa;
  static final int RESEND = 0xfe;
  static final int SELF_TEST_PASSED = 0xaa;

  /** Bytes kept for the host; more are dropped. */
  private static final int BUFFER = 16;

  private final byte[] buffer = new byte[BUFFER];
  private int count;

  /** The command that waits for its data byte, or 0. */
  int waiting;

  final boolean hasData() {
    return count != 0;
  }

  /** The oldest byte; there must be one. */
  final int take() {
    int value = buffer[0] & 0xff;
    count--;
    System.arraycopy(buffer, 1, buffer, 0, count);
    return value;
  }

  final void send(int... values) {
    for (int value : values) {
      if (count < BUFFER) {
        buffer[count++] = (byte) value;
      }
    }
  }

  final void dropData() {
    count = 0;
  }

  /** The host sends a byte. */
  abstract void receive(int value);

  void reset() {
    count = 0;
    waiting = 0;
  }

  void save(StateWriter out) {
    out.putByte(waiting).putInt(count);
    for (int i = 0; i < count; i++) {
      out.putByte(buffer[i]);
    }
  }

  void load(StateReader in) throws StateException {
    waiting = in.getByte();
    count = in.getInt(0, BUFFER);
    for (int i = 0; i < count; i++) {
      buffer[i] = (byte) in.getByte();
    }
  }
}
