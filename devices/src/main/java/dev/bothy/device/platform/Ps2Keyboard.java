package dev.bothy.device.platform;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;

/**
 * MF2 keyboard that nobody presses (IBM PS/2 Hardware Interface Technical Reference, keyboards).
 */
final class Ps2Keyboard extends Ps2Device {
  private static final int SET_LEDS = 0xed;
  private static final int ECHO = 0xee;
  private static final int SCAN_CODE_SET = 0xf0;
  private static final int IDENTIFY = 0xf2;
  private static final int SET_RATE = 0xf3;
  private static final int DISABLE = 0xf5;
  private static final int SET_DEFAULTS = 0xf6;
  private static final int RESET = 0xff;

  private int scanCodeSet = 2;

  @Override
  void receive(int value) {
    int command = waiting;
    waiting = 0;
    if (command != 0 && value < SET_LEDS) {
      send(ACKNOWLEDGE);
      if (command == SCAN_CODE_SET && value == 0) {
        send(scanCodeSet);
      } else if (command == SCAN_CODE_SET && value <= 3) {
        scanCodeSet = value;
      }
      return;
    }
    switch (value) {
      case SET_LEDS, SCAN_CODE_SET, SET_RATE, 0xfb, 0xfc, 0xfd -> { // the last three: key types
        waiting = value;
        send(ACKNOWLEDGE);
      }
      case ECHO -> send(ECHO);
      case IDENTIFY -> send(ACKNOWLEDGE, 0xab, 0x83);
      case DISABLE, SET_DEFAULTS -> {
        scanCodeSet = 2;
        send(ACKNOWLEDGE);
      }
      case 0xf4, 0xf7, 0xf8, 0xf9, 0xfa -> send(ACKNOWLEDGE); // enable, all keys of a type
      case RESET -> {
        reset();
        send(ACKNOWLEDGE, SELF_TEST_PASSED);
      }
      default -> send(RESEND);
    }
  }

  @Override
  void reset() {
    super.reset();
    scanCodeSet = 2;
  }

  @Override
  void save(StateWriter out) {
    super.save(out);
    out.putByte(scanCodeSet);
  }

  @Override
  void load(StateReader in) throws StateException {
    super.load(in);
    scanCodeSet = in.getByte() & 3;
  }
}
