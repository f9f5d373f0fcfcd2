package dev.bothy.device.serial;

import dev.bothy.core.IrqLine;
import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.ByteRegisters;
import dev.bothy.device.interrupt.IrqOutput;
import java.util.Objects;

/**
 * 16550A UART (National Semiconductor PC16550D data sheet), 8 ports from its base.
 *
 * <p>Transmission takes no time: a byte written goes to the {@link SerialOutput} at once. Reception
 * keeps to the line's speed as the guest has set it, because kernels drop what comes faster than
 * their buffers empty; bytes wait in a queue of bounded size and none is lost on the way to the
 * guest: the sender holds back until the guest raises RTS or enables the receive interrupt, and
 * what a reset of the FIFOs drops is sent again, because drivers reset them whenever they start.
 */
public final class Uart16550 implements ByteRegisters, Stateful {
  public static final int LENGTH = 8;

  /** Bytes of input that wait before {@link #room} says 0. */
  public static final int QUEUE = 4096;

  private static final int FIFO = 16;

  private static final int DATA = 0; // or divisor, low byte
  private static final int INTERRUPT_ENABLE = 1; // or divisor, high byte
  private static final int INTERRUPT_IDENTITY = 2; // read; FIFO control on write
  private static final int LINE_CONTROL = 3;
  private static final int MODEM_CONTROL = 4;
  private static final int LINE_STATUS = 5;
  private static final int MODEM_STATUS = 6;

  private static final int IER_RECEIVED = 1;
  private static final int IER_TRANSMITTER_EMPTY = 2;
  private static final int IER_LINE_STATUS = 4;
  private static final int IER_MODEM_STATUS = 8;

  private static final int IIR_NONE = 1;
  private static final int IIR_MODEM_STATUS = 0;
  private static final int IIR_TRANSMITTER_EMPTY = 2;
  private static final int IIR_RECEIVED = 4;
  private static final int IIR_LINE_STATUS = 6;
  private static final int IIR_TIMEOUT = 0xc;
  private static final int IIR_FIFOS = 0xc0;

  private static final int LCR_DIVISOR = 0x80;

  private static final int MCR_RTS = 2;
  private static final int MCR_OUT2 = 8;
  private static final int MCR_LOOP = 0x10;

  private static final int LSR_DATA_READY = 1;
  private static final int LSR_OVERRUN = 2;
  private static final int LSR_ERRORS = 0x1e;
  private static final int LSR_TRANSMITTER_IDLE = 0x60;

  /** DCD, DSR and CTS: somebody listens. */
  private static final int MSR_CONNECTED = 0xb0;

  private static final int[] TRIGGERS = {1, 4, 8, 14};

  /** Nanoseconds of one bit at divisor 1, that is at 115,200 baud. */
  private static final long BIT = 8_681;

  private final String name;
  private final MachineClock clock;
  private final IrqOutput irq;
  private final SerialOutput output;
  private final Timer timer;

  private int interruptEnable;
  private int lineControl;
  private int modemControl;
  private int modemStatus;
  private int lineErrors;
  private int scratch;
  private int divisor;
  private boolean fifos;
  private int trigger;

  /** The transmitter-empty interrupt waits. */
  private boolean emptied;

  /** Received bytes lie below the trigger level and the line is idle. */
  private boolean timeout;

  /** What has been received came through the loop. */
  private boolean looped;

  private final byte[] received = new byte[FIFO];
  private int receivedFirst;
  private int receivedCount;

  /** Has room for a FIFO more than {@link #room} says, for what is sent again. */
  private final byte[] queue = new byte[QUEUE + FIFO];

  private int queueFirst;
  private int queueCount;

  /** When the line has brought the last byte. */
  private long lineFree;

  private boolean wasFull;
  private volatile Runnable onRoom = () -> {};

  /**
   * @param name unique within a machine: "serial0"
   */
  public Uart16550(String name, MachineClock clock, IrqLine irq, SerialOutput output) {
    this.name = name;
    this.clock = clock;
    this.irq = new IrqOutput(irq);
    this.output = output;
    this.timer = clock.newTimer(name, this::lineIdle);
    clear();
  }

  // The host's side.

  /** Takes up to {@code length} bytes for the guest to read; any thread. Returns how many. */
  public int offer(byte[] bytes, int from, int length) {
    Objects.checkFromIndexSize(from, length, bytes.length);
    int taken;
    synchronized (this) {
      taken = Math.min(length, room());
      for (int i = 0; i < taken; i++) {
        queue[(queueFirst + queueCount++) % queue.length] = bytes[from + i];
      }
      wasFull |= queueCount >= QUEUE;
      receive();
      update();
    }
    irq.drive();
    return taken;
  }

  /** Bytes that {@link #offer} would take now. Any thread. */
  public synchronized int room() {
    return Math.max(0, QUEUE - queueCount);
  }

  /**
   * {@code callback} runs, on any thread and with no lock held, when half of the queue is empty
   * again after it was full.
   */
  public void onRoom(Runnable callback) {
    onRoom = callback;
  }

  /** Moves what the line brings now into the receiver. */
  private void receive() {
    long now = clock.nanos();
    int free = (fifos ? FIFO : 1) - receivedCount;
    if (queueCount == 0 || free <= 0 || !ready()) {
      return;
    }
    if (now < lineFree) {
      timer.armAt(lineFree);
      return;
    }
    int count = Math.min(free, queueCount);
    for (int i = 0; i < count; i++) {
      put(queue[queueFirst]);
      queueFirst = (queueFirst + 1) % queue.length;
      queueCount--;
    }
    // Bytes come in bursts, each followed by the time that it would have taken.
    lineFree = now + count * characterTime();
    timeout = receivedCount < level();
    if (queueCount != 0) {
      timer.armAt(lineFree);
    }
  }

  private boolean ready() {
    boolean listens = (modemControl & MCR_RTS) != 0 || (interruptEnable & IER_RECEIVED) != 0;
    return listens && (modemControl & MCR_LOOP) == 0;
  }

  /** Drops what has been received; the sender sends it again if there is still room for it. */
  private void dropReceived() {
    while (receivedCount > 0 && !looped && queueCount < queue.length) {
      receivedCount--;
      queueFirst = (queueFirst + queue.length - 1) % queue.length;
      queue[queueFirst] = received[(receivedFirst + receivedCount) % FIFO];
      queueCount++;
    }
    receivedCount = 0;
    looped = false;
    timeout = false;
  }

  private long characterTime() {
    int bits = 7 + (lineControl & 3) + (lineControl >>> 2 & 1) + (lineControl >>> 3 & 1);
    return bits * BIT * Math.max(divisor, 1);
  }

  private void lineIdle() {
    synchronized (this) {
      receive();
      update();
    }
    irq.drive();
    tellRoom();
  }

  private void tellRoom() {
    boolean tell;
    synchronized (this) {
      tell = wasFull && queueCount <= QUEUE / 2;
      wasFull &= !tell;
    }
    if (tell) {
      onRoom.run();
    }
  }

  // The guest's side.

  private void put(byte value) {
    if (receivedCount == (fifos ? FIFO : 1)) {
      lineErrors |= LSR_OVERRUN;
      if (fifos) {
        return;
      }
      receivedCount = 0; // without FIFO the newer byte wins
    }
    received[(receivedFirst + receivedCount++) % FIFO] = value;
  }

  private int level() {
    return fifos ? TRIGGERS[trigger] : 1;
  }

  /** The interrupt of the highest priority. */
  private int identity() {
    if ((interruptEnable & IER_LINE_STATUS) != 0 && lineErrors != 0) {
      return IIR_LINE_STATUS;
    }
    if ((interruptEnable & IER_RECEIVED) != 0 && receivedCount >= level()) {
      return IIR_RECEIVED;
    }
    if ((interruptEnable & IER_RECEIVED) != 0 && timeout && receivedCount != 0) {
      return IIR_TIMEOUT;
    }
    if ((interruptEnable & IER_TRANSMITTER_EMPTY) != 0 && emptied) {
      return IIR_TRANSMITTER_EMPTY;
    }
    if ((interruptEnable & IER_MODEM_STATUS) != 0 && (modemStatus & 0xf) != 0) {
      return IIR_MODEM_STATUS;
    }
    return IIR_NONE;
  }

  private void update() {
    // On a PC, OUT2 connects the interrupt output; the loop disconnects OUT2.
    boolean connected = (modemControl & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    irq.want(connected && identity() != IIR_NONE);
  }

  @Override
  public int readByte(int offset) {
    int value;
    synchronized (this) {
      value = readRegister(offset & 7);
      update();
    }
    irq.drive();
    tellRoom();
    return value;
  }

  private int readRegister(int register) {
    boolean divisorShown = (lineControl & LCR_DIVISOR) != 0;
    switch (register) {
      case DATA -> {
        if (divisorShown) {
          return divisor & 0xff;
        }
        if (receivedCount == 0) {
          receive();
          return receivedCount == 0 ? 0 : takeReceived();
        }
        return takeReceived();
      }
      case INTERRUPT_ENABLE -> {
        return divisorShown ? divisor >>> 8 : interruptEnable;
      }
      case INTERRUPT_IDENTITY -> {
        int identity = identity();
        if (identity == IIR_TRANSMITTER_EMPTY) {
          emptied = false;
        }
        return identity | (fifos ? IIR_FIFOS : 0);
      }
      case LINE_CONTROL -> {
        return lineControl;
      }
      case MODEM_CONTROL -> {
        return modemControl;
      }
      case LINE_STATUS -> {
        receive();
        int value = LSR_TRANSMITTER_IDLE | lineErrors | (receivedCount != 0 ? LSR_DATA_READY : 0);
        lineErrors = 0;
        return value;
      }
      case MODEM_STATUS -> {
        int value = modemStatus;
        modemStatus &= 0xf0;
        return value;
      }
      default -> {
        return scratch;
      }
    }
  }

  private int takeReceived() {
    int value = received[receivedFirst] & 0xff;
    receivedFirst = (receivedFirst + 1) % FIFO;
    receivedCount--;
    looped &= receivedCount != 0;
    timeout = true; // what is left below the trigger level has waited already
    receive();
    return value;
  }

  @Override
  public void writeByte(int offset, int value) {
    boolean send;
    synchronized (this) {
      send = writeRegister(offset & 7, value);
      update();
    }
    if (send) {
      output.write(value);
    }
    irq.drive();
  }

  /** True if {@code value} leaves on the line. */
  private boolean writeRegister(int register, int value) {
    boolean divisorShown = (lineControl & LCR_DIVISOR) != 0;
    switch (register) {
      case DATA -> {
        if (divisorShown) {
          divisor = divisor & 0xff00 | value;
          return false;
        }
        emptied = true;
        if ((modemControl & MCR_LOOP) != 0) {
          looped = true;
          put((byte) value);
          timeout = receivedCount < level();
          return false;
        }
        return true;
      }
      case INTERRUPT_ENABLE -> {
        if (divisorShown) {
          divisor = divisor & 0xff | value << 8;
        } else {
          // Enabling the transmitter's interrupt while it is empty, and it always is, raises it.
          emptied |= (value & ~interruptEnable & IER_TRANSMITTER_EMPTY) != 0;
          interruptEnable = value & 0xf;
          receive();
        }
      }
      case INTERRUPT_IDENTITY -> controlFifos(value);
      case LINE_CONTROL -> lineControl = value;
      case MODEM_CONTROL -> {
        modemControl = value & 0x1f;
        updateModemStatus();
        receive();
      }
      case LINE_STATUS, MODEM_STATUS -> {
        // Read-only.
      }
      default -> scratch = value;
    }
    return false;
  }

  private void controlFifos(int value) {
    boolean enable = (value & 1) != 0;
    if (enable != fifos || (value & 2) != 0) {
      dropReceived();
    }
    fifos = enable;
    if (enable) {
      trigger = value >>> 6;
    }
    receive();
  }

  private void updateModemStatus() {
    int lines = MSR_CONNECTED;
    if ((modemControl & MCR_LOOP) != 0) {
      // DTR to DSR, RTS to CTS, OUT1 to RI, OUT2 to DCD.
      lines =
          (modemControl & 1) << 5
              | (modemControl & 2) << 3
              | (modemControl & 4) << 4
              | (modemControl & 8) << 4;
    }
    int changed = (lines ^ modemStatus) & 0xf0;
    // RI counts when it falls, the others whenever they change.
    int delta = changed >>> 4 & 0xb | (changed & modemStatus & 0x40) >>> 4;
    modemStatus = lines | modemStatus & 0xf | delta;
  }

  private void clear() {
    interruptEnable = 0;
    lineControl = 0;
    modemControl = 0;
    modemStatus = MSR_CONNECTED;
    lineErrors = 0;
    scratch = 0;
    divisor = 12; // 9600 baud
    fifos = false;
    trigger = 0;
    emptied = false;
    dropReceived();
    receivedFirst = 0;
    lineFree = 0;
  }

  /** Back to the state after power-on. Input that the guest has not read stays. */
  public void reset() {
    synchronized (this) {
      clear();
      update();
    }
    irq.drive();
  }

  @Override
  public String stateName() {
    return name;
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putByte(interruptEnable).putByte(lineControl).putByte(modemControl).putByte(modemStatus);
    out.putByte(lineErrors).putByte(scratch).putInt(divisor).putBoolean(fifos).putByte(trigger);
    out.putBoolean(emptied).putBoolean(timeout).putBoolean(looped);
    out.putInt(receivedCount);
    for (int i = 0; i < receivedCount; i++) {
      out.putByte(received[(receivedFirst + i) % FIFO]);
    }
    byte[] waiting = new byte[queueCount];
    for (int i = 0; i < queueCount; i++) {
      waiting[i] = queue[(queueFirst + i) % queue.length];
    }
    out.putBytes(waiting).putBoolean(wasFull);
    out.putLong(lineFree).putBoolean(irq.wanted());
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    interruptEnable = in.getByte() & 0xf;
    lineControl = in.getByte();
    modemControl = in.getByte() & 0x1f;
    modemStatus = in.getByte();
    lineErrors = in.getByte() & LSR_ERRORS;
    scratch = in.getByte();
    divisor = in.getInt(0, 0xffff);
    fifos = in.getBoolean();
    trigger = in.getByte() & 3;
    emptied = in.getBoolean();
    timeout = in.getBoolean();
    looped = in.getBoolean();
    receivedFirst = 0;
    receivedCount = in.getInt(0, fifos ? FIFO : 1);
    for (int i = 0; i < receivedCount; i++) {
      received[i] = (byte) in.getByte();
    }
    byte[] waiting = in.getBytes(queue.length);
    System.arraycopy(waiting, 0, queue, 0, waiting.length);
    queueFirst = 0;
    queueCount = waiting.length;
    wasFull = in.getBoolean();
    lineFree = in.getLong();
    irq.restore(in.getBoolean());
    if (queueCount != 0) {
      timer.armAt(Math.max(lineFree, clock.nanos()));
    }
  }
}
