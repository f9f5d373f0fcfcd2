package dev.bothy.device.platform;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.IrqLine;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.ByteRegisters;
import dev.bothy.device.interrupt.IrqOutput;

/**
 * 8042 keyboard controller of a PS/2 (IBM PS/2 Hardware Interface Technical Reference, keyboard and auxiliary device
 * controller) at ports 0x60 and 0x64, with a keyboard that nobody presses and nothing at the auxiliary port.
 */
public final class I8042 implements Stateful {
  public static final int DATA_PORT = 0x60;
  public static final int COMMAND_PORT = 0x64;

  private static final int STATUS_OUTPUT_FULL = 0x01;
  private static final int STATUS_SYSTEM = 0x04;
  private static final int STATUS_COMMAND = 0x08;
  private static final int STATUS_UNLOCKED = 0x10;

  private static final int MODE_KEYBOARD_INTERRUPT = 0x01;
  private static final int MODE_SYSTEM = 0x04;
  private static final int MODE_KEYBOARD_DISABLED = 0x10;
  private static final int MODE_AUXILIARY_DISABLED = 0x20;
  private static final int MODE_TRANSLATE = 0x40;

  private static final int OUTPUT_NOT_RESET = 0x01;
  private static final int OUTPUT_A20 = 0x02;

  private static final int ACKNOWLEDGE = 0xfa;
  private static final int RESEND = 0xfe;
  private static final int SELF_TEST_PASSED = 0xaa;

  /** Bytes that the keyboard keeps for the host. */
  private static final int KEYBOARD_BUFFER = 16;

  private final IrqOutput irq;
  private final Runnable reset;

  private final byte[] ram = new byte[32];
  private int outputPort;

  /** The controller's own answer, which goes before the keyboard's bytes, or -1. */
  private int answer;

  /** The controller command that waits for its data byte, or 0. */
  private int command;

  private boolean lastWasCommand;

  private final byte[] keyboard = new byte[KEYBOARD_BUFFER];
  private int keyboardCount;

  /** The keyboard command that waits for its data byte, or 0. */
  private int keyboardCommand;

  private int scanCodeSet;

  /**
   * @param irq1 keyboard interrupt
   * @param reset pulls the machine's reset line
   */
  public I8042(IrqLine irq1, Runnable reset) {
    this.irq = new IrqOutput(irq1);
    this.reset = reset;
    clear();
  }

  /** Maps the registers at their usual ports. */
  public void attach(AddressSpace ports) {
    ports.map("i8042-data", DATA_PORT, 1, new DataPort());
    ports.map("i8042-command", COMMAND_PORT, 1, new CommandPort());
  }

  private int mode() {
    return ram[0];
  }

  private void setMode(int value) {
    ram[0] = (byte) value;
  }

  private boolean keyboardReady() {
    return keyboardCount != 0 && (mode() & MODE_KEYBOARD_DISABLED) == 0;
  }

  private void update() {
    irq.want(answer < 0 && keyboardReady() && (mode() & MODE_KEYBOARD_INTERRUPT) != 0);
  }

  private final class DataPort implements ByteRegisters {
    @Override
    public int readByte(int offset) {
      int value;
      synchronized (I8042.this) {
        value = readData();
        // The line falls with every byte taken, so that the next one makes an edge.
        irq.want(false);
        update();
      }
      irq.drive();
      return value;
    }

    @Override
    public void writeByte(int offset, int value) {
      boolean pullReset;
      synchronized (I8042.this) {
        lastWasCommand = false;
        pullReset = writeData(value);
        update();
      }
      finish(pullReset);
    }
  }

  private final class CommandPort implements ByteRegisters {
    @Override
    public int readByte(int offset) {
      synchronized (I8042.this) {
        return STATUS_UNLOCKED
            | (answer >= 0 || keyboardReady() ? STATUS_OUTPUT_FULL : 0)
            | mode() & MODE_SYSTEM & STATUS_SYSTEM
            | (lastWasCommand ? STATUS_COMMAND : 0);
      }
    }

    @Override
    public void writeByte(int offset, int value) {
      boolean pullReset;
      synchronized (I8042.this) {
        lastWasCommand = true;
        pullReset = control(value);
        update();
      }
      finish(pullReset);
    }
  }

  private void finish(boolean pullReset) {
    irq.drive();
    if (pullReset) {
      reset.run();
    }
  }

  private int readData() {
    if (answer >= 0) {
      int value = answer;
      answer = -1;
      return value;
    }
    if (!keyboardReady()) {
      return 0;
    }
    int value = keyboard[0] & 0xff;
    keyboardCount--;
    System.arraycopy(keyboard, 1, keyboard, 0, keyboardCount);
    return value;
  }

  /** A controller command; true if it pulls the reset line. */
  private boolean control(int value) {
    command = 0;
    switch (value) {
      case 0xa7 -> setMode(mode() | MODE_AUXILIARY_DISABLED);
      case 0xa8 -> setMode(mode() & ~MODE_AUXILIARY_DISABLED);
      case 0xa9 -> answer = 0x02; // clock line stuck: no auxiliary device
      case 0xaa -> {
        setMode(mode() | MODE_SYSTEM);
        answer = 0x55;
      }
      case 0xab -> answer = 0x00;
      case 0xad -> setMode(mode() | MODE_KEYBOARD_DISABLED);
      case 0xae -> setMode(mode() & ~MODE_KEYBOARD_DISABLED);
      case 0xc0 -> answer = 0x80; // not locked
      case 0xd0 -> answer = outputPort;
      case 0xd1, 0xd2, 0xd3, 0xd4 -> command = value;
      case 0xdd -> outputPort &= ~OUTPUT_A20;
      case 0xdf -> outputPort |= OUTPUT_A20;
      case 0xe0 -> answer = 0x00;
      default -> {
        if (value >= 0x20 && value < 0x40) {
          answer = ram[value & 0x1f] & 0xff;
        } else if (value >= 0x60 && value < 0x80) {
          command = value;
        } else if (value >= 0xf0) {
          return (value & OUTPUT_NOT_RESET) == 0; // pulses the lines whose bit is 0
        }
      }
    }
    return false;
  }

  private boolean writeData(int value) {
    int waiting = command;
    command = 0;
    switch (waiting) {
      case 0 -> {
        setMode(mode() & ~MODE_KEYBOARD_DISABLED);
        keyboardCommand(value);
      }
      case 0xd1 -> {
        outputPort = value;
        return (value & OUTPUT_NOT_RESET) == 0;
      }
      case 0xd2 -> {
        keyboardCount = 0;
        send(value);
      }
      // As if the keyboard had sent it: says at once that there is no auxiliary buffer.
      case 0xd3 -> answer = value;
      case 0xd4 -> answer = RESEND; // the device does not answer
      default -> ram[waiting & 0x1f] = (byte) value;
    }
    return false;
  }

  // The keyboard.

  private void send(int value) {
    if (keyboardCount < KEYBOARD_BUFFER) {
      keyboard[keyboardCount++] = (byte) value;
    }
  }

  private void keyboardCommand(int value) {
    int waiting = keyboardCommand;
    keyboardCommand = 0;
    if (waiting != 0 && value < 0xed) {
      send(ACKNOWLEDGE);
      if (waiting == 0xf0 && value == 0) {
        send(scanCodeSet);
      } else if (waiting == 0xf0) {
        scanCodeSet = value <= 3 ? value : scanCodeSet;
      }
      return;
    }
    switch (value) {
      case 0xed, 0xf0, 0xf3, 0xfb, 0xfc, 0xfd -> { // LEDs, scan code set, repeat rate, key types
        keyboardCommand = value;
        send(ACKNOWLEDGE);
      }
      case 0xee -> send(0xee);
      case 0xf2 -> {
        send(ACKNOWLEDGE);
        send(0xab);
        send((mode() & MODE_TRANSLATE) != 0 ? 0x41 : 0x83);
      }
      case 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa -> {
        scanCodeSet = value == 0xf5 || value == 0xf6 ? 2 : scanCodeSet;
        send(ACKNOWLEDGE);
      }
      case 0xff -> {
        keyboardCount = 0;
        scanCodeSet = 2;
        send(ACKNOWLEDGE);
        send(SELF_TEST_PASSED);
      }
      default -> send(RESEND);
    }
  }

  private void clear() {
    java.util.Arrays.fill(ram, (byte) 0);
    setMode(
        MODE_KEYBOARD_INTERRUPT | MODE_SYSTEM | MODE_AUXILIARY_DISABLED | MODE_TRANSLATE);
    outputPort = 0xcc | OUTPUT_NOT_RESET | OUTPUT_A20;
    answer = -1;
    command = 0;
    lastWasCommand = false;
    keyboardCount = 0;
    keyboardCommand = 0;
    scanCodeSet = 2;
  }

  /** Back to the state in which firmware leaves the controller. */
  public void reset() {
    synchronized (this) {
      clear();
      update();
    }
    irq.drive();
  }

  @Override
  public String stateName() {
    return "i8042";
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putBytes(ram).putByte(outputPort).putInt(answer).putByte(command);
    out.putBoolean(lastWasCommand).putInt(keyboardCount);
    for (int i = 0; i < keyboardCount; i++) {
      out.putByte(keyboard[i]);
    }
    out.putByte(keyboardCommand).putByte(scanCodeSet).putBoolean(irq.wanted());
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    byte[] saved = in.getBytes(ram.length);
    if (saved.length != ram.length) {
      throw in.damaged("controller RAM of " + saved.length + " bytes");
    }
    System.arraycopy(saved, 0, ram, 0, ram.length);
    outputPort = in.getByte();
    answer = in.getInt(-1, 0xff);
    command = in.getByte();
    lastWasCommand = in.getBoolean();
    keyboardCount = in.getInt(0, KEYBOARD_BUFFER);
    for (int i = 0; i < keyboardCount; i++) {
      keyboard[i] = (byte) in.getByte();
    }
    keyboardCommand = in.getByte();
    scanCodeSet = in.getByte();
    irq.restore(in.getBoolean());
  }
}
