package dev.bothy.device.platform;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.IrqLine;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.ByteRegisters;
import dev.bothy.device.interrupt.IrqOutput;
import java.util.Arrays;

/**
 * 8042 keyboard controller of a PS/2 (IBM PS/2 Hardware Interface Technical Reference, keyboard and
 * auxiliary device controller) at ports 0x60 and 0x64, with a keyboard and a mouse. The A20 line is
 * always on, whatever its bit says.
 */
public final class I8042 implements Stateful {
  public static final int DATA_PORT = 0x60;
  public static final int COMMAND_PORT = 0x64;

  private static final int STATUS_OUTPUT_FULL = 0x01;
  private static final int STATUS_SYSTEM = 0x04;
  private static final int STATUS_COMMAND = 0x08;
  private static final int STATUS_UNLOCKED = 0x10;
  private static final int STATUS_FROM_AUXILIARY = 0x20;

  private static final int MODE_KEYBOARD_INTERRUPT = 0x01;
  private static final int MODE_AUXILIARY_INTERRUPT = 0x02;
  private static final int MODE_SYSTEM = 0x04;
  private static final int MODE_KEYBOARD_DISABLED = 0x10;
  private static final int MODE_AUXILIARY_DISABLED = 0x20;
  private static final int MODE_TRANSLATE = 0x40;

  private static final int OUTPUT_NOT_RESET = 0x01;
  private static final int OUTPUT_A20 = 0x02;

  // Whose byte is in the output buffer.
  private static final int NOBODY = 0;
  private static final int CONTROLLER = 1;
  private static final int KEYBOARD = 2;
  private static final int AUXILIARY = 3;

  private final IrqOutput irq1;
  private final IrqOutput irq12;
  private final Runnable reset;
  private final Ps2Keyboard keyboard = new Ps2Keyboard();
  private final Ps2Mouse mouse = new Ps2Mouse();

  /** Byte 0 is the mode. */
  private final byte[] ram = new byte[32];

  private int outputPort;

  /** The controller's own answer, which goes before the devices' bytes, or -1. */
  private int answer;

  /** Whose byte the answer passes for. */
  private int answerFrom;

  /** Whose byte the output buffer shows. */
  private int shown;

  /** The command that waits for its data byte, or 0. */
  private int command;

  private boolean lastWasCommand;

  /**
   * @param irq1 keyboard interrupt
   * @param irq12 mouse interrupt
   * @param reset pulls the machine's reset line
   */
  public I8042(IrqLine irq1, IrqLine irq12, Runnable reset) {
    this.irq1 = new IrqOutput(irq1);
    this.irq12 = new IrqOutput(irq12);
    this.reset = reset;
    clear();
  }

  /** Maps the registers at their usual ports. */
  public void attach(AddressSpace ports) {
    ports.map("i8042-data", DATA_PORT, 1, new DataPort());
    ports.map("i8042-command", COMMAND_PORT, 1, new CommandPort());
  }

  private int mode() {
    return ram[0] & 0xff;
  }

  private void setMode(int value) {
    ram[0] = (byte) value;
  }

  private boolean ready(int from) {
    return switch (from) {
      case KEYBOARD -> keyboard.hasData() && (mode() & MODE_KEYBOARD_DISABLED) == 0;
      case AUXILIARY -> mouse.hasData() && (mode() & MODE_AUXILIARY_DISABLED) == 0;
      default -> false;
    };
  }

  /**
   * Fills the output buffer; a device's byte stays there until it is read, unless the controller
   * must answer.
   */
  private void update() {
    if (answer >= 0) {
      shown = answerFrom;
    } else if (!ready(shown)) {
      shown = ready(KEYBOARD) ? KEYBOARD : ready(AUXILIARY) ? AUXILIARY : NOBODY;
    }
    irq1.want(shown == KEYBOARD && (mode() & MODE_KEYBOARD_INTERRUPT) != 0);
    irq12.want(shown == AUXILIARY && (mode() & MODE_AUXILIARY_INTERRUPT) != 0);
  }

  private void answer(int value) {
    answer = value;
    answerFrom = CONTROLLER;
  }

  private final class DataPort implements ByteRegisters {
    @Override
    public int readByte(int offset) {
      int value;
      synchronized (I8042.this) {
        value = readData();
        // The lines fall with every byte taken, so that the next one makes an edge.
        irq1.want(false);
        irq12.want(false);
        shown = NOBODY;
        update();
      }
      finish(false);
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
            | (shown != NOBODY ? STATUS_OUTPUT_FULL : 0)
            | (shown == AUXILIARY ? STATUS_FROM_AUXILIARY : 0)
            | ((mode() & MODE_SYSTEM) != 0 ? STATUS_SYSTEM : 0)
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
    irq1.drive();
    irq12.drive();
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
    return switch (shown) {
      case KEYBOARD -> translated(keyboard.take());
      case AUXILIARY -> mouse.take();
      default -> 0;
    };
  }

  /** Scan code set 2 becomes set 1; of what this keyboard says, that concerns its identity only. */
  private int translated(int value) {
    return (mode() & MODE_TRANSLATE) != 0 && value == 0x83 ? 0x41 : value;
  }

  /** A controller command; true if it pulls the reset line. */
  private boolean control(int value) {
    command = 0;
    switch (value) {
      case 0xa7 -> setMode(mode() | MODE_AUXILIARY_DISABLED);
      case 0xa8 -> setMode(mode() & ~MODE_AUXILIARY_DISABLED);
      case 0xa9, 0xab -> answer(0x00); // interface tests: no error
      case 0xaa -> {
        setMode(mode() | MODE_SYSTEM);
        answer(0x55);
      }
      case 0xad -> setMode(mode() | MODE_KEYBOARD_DISABLED);
      case 0xae -> setMode(mode() & ~MODE_KEYBOARD_DISABLED);
      case 0xc0 -> answer(0x80); // not locked
      case 0xd0 -> answer(outputPort);
      case 0xd1, 0xd2, 0xd3, 0xd4 -> command = value;
      case 0xdd -> outputPort &= ~OUTPUT_A20;
      case 0xdf -> outputPort |= OUTPUT_A20;
      case 0xe0 -> answer(0x00);
      default -> {
        if (value >= 0x20 && value < 0x40) {
          answer(ram[value & 0x1f] & 0xff);
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
        keyboard.receive(value);
      }
      case 0xd1 -> {
        outputPort = value;
        return (value & OUTPUT_NOT_RESET) == 0;
      }
      case 0xd2 -> {
        answer = value;
        answerFrom = KEYBOARD;
      }
      case 0xd3 -> {
        answer = value;
        answerFrom = AUXILIARY;
      }
      case 0xd4 -> {
        setMode(mode() & ~MODE_AUXILIARY_DISABLED);
        mouse.receive(value);
      }
      default -> ram[waiting & 0x1f] = (byte) value;
    }
    return false;
  }

  private void clear() {
    Arrays.fill(ram, (byte) 0);
    setMode(MODE_KEYBOARD_INTERRUPT | MODE_SYSTEM | MODE_AUXILIARY_DISABLED | MODE_TRANSLATE);
    outputPort = 0xcc | OUTPUT_NOT_RESET | OUTPUT_A20;
    answer = -1;
    answerFrom = CONTROLLER;
    shown = NOBODY;
    command = 0;
    lastWasCommand = false;
    keyboard.reset();
    mouse.reset();
  }

  /** Back to the state in which firmware leaves the controller. */
  public void reset() {
    synchronized (this) {
      clear();
      update();
    }
    finish(false);
  }

  @Override
  public String stateName() {
    return "i8042";
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putBytes(ram).putByte(outputPort).putInt(answer).putByte(answerFrom).putByte(shown);
    out.putByte(command).putBoolean(lastWasCommand);
    keyboard.save(out);
    mouse.save(out);
    out.putBoolean(irq1.wanted()).putBoolean(irq12.wanted());
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
    answerFrom = Math.clamp(in.getByte(), CONTROLLER, AUXILIARY);
    shown = in.getByte() & 3;
    command = in.getByte();
    lastWasCommand = in.getBoolean();
    keyboard.load(in);
    mouse.load(in);
    irq1.restore(in.getBoolean());
    irq12.restore(in.getBoolean());
    // Whatever damaged state says, what is shown exists.
    shown = answer >= 0 || ready(shown) ? shown : NOBODY;
  }
}
