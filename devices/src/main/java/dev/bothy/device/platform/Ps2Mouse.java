package dev.bothy.device.platform;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;

/**
 * Mouse with two buttons that nobody moves (IBM PS/2 Hardware Interface Technical Reference,
 * mouse).
 */
final class Ps2Mouse extends Ps2Device {
  private static final int SCALING_1 = 0xe6;
  private static final int SCALING_2 = 0xe7;
  private static final int SET_RESOLUTION = 0xe8;
  private static final int STATUS = 0xe9;
  private static final int STREAM_MODE = 0xea;
  private static final int READ_DATA = 0xeb;
  private static final int LEAVE_WRAP_MODE = 0xec;
  private static final int WRAP_MODE = 0xee;
  private static final int REMOTE_MODE = 0xf0;
  private static final int IDENTIFY = 0xf2;
  private static final int SET_RATE = 0xf3;
  private static final int ENABLE = 0xf4;
  private static final int DISABLE = 0xf5;
  private static final int SET_DEFAULTS = 0xf6;
  private static final int RESET = 0xff;

  // Of the first status byte.
  private static final int REMOTE = 0x40;
  private static final int ENABLED = 0x20;
  private static final int SCALED = 0x10;

  private int status;
  private int resolution = 2;
  private int rate = 100;
  private boolean wrap;

  @Override
  void receive(int value) {
    if (wrap && value != LEAVE_WRAP_MODE && value != RESET) {
      send(value);
      return;
    }
    int command = waiting;
    waiting = 0;
    if (command == SET_RESOLUTION) {
      resolution = value;
      send(ACKNOWLEDGE);
      return;
    }
    if (command == SET_RATE) {
      rate = value;
      send(ACKNOWLEDGE);
      return;
    }
    switch (value) {
      case SCALING_1 -> accept(status & ~SCALED);
      case SCALING_2 -> accept(status | SCALED);
      case SET_RESOLUTION, SET_RATE -> {
        waiting = value;
        send(ACKNOWLEDGE);
      }
      case STATUS -> send(ACKNOWLEDGE, status, resolution, rate);
      case STREAM_MODE -> accept(status & ~REMOTE);
      case REMOTE_MODE -> accept(status | REMOTE);
      case READ_DATA -> send(ACKNOWLEDGE, 0x08, 0, 0);
      case WRAP_MODE, LEAVE_WRAP_MODE -> {
        wrap = value == WRAP_MODE;
        send(ACKNOWLEDGE);
      }
      case IDENTIFY -> send(ACKNOWLEDGE, 0);
      case ENABLE -> accept(status | ENABLED);
      case DISABLE -> accept(status & ~ENABLED);
      case SET_DEFAULTS -> {
        setDefaults();
        send(ACKNOWLEDGE);
      }
      case RESET -> {
        reset();
        send(ACKNOWLEDGE, SELF_TEST_PASSED, 0);
      }
      default -> send(RESEND);
    }
  }

  private void accept(int newStatus) {
    status = newStatus;
    send(ACKNOWLEDGE);
  }

  private void setDefaults() {
    status = 0;
    resolution = 2;
    rate = 100;
  }

  @Override
  void reset() {
    super.reset();
    setDefaults();
    wrap = false;
  }

  @Override
  void save(StateWriter out) {
    super.save(out);
    out.putByte(status).putByte(resolution).putByte(rate).putBoolean(wrap);
  }

  @Override
  void load(StateReader in) throws StateException {
    super.load(in);
    status = in.getByte();
    resolution = in.getByte();
    rate = in.getByte();
    wrap = in.getBoolean();
  }
}
