package dev.bothy.device.pci;

import dev.bothy.core.BusDevice;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;

/**
 * A PCI function for teaching and testing drivers: it computes factorials, interrupts by its pin or
 * by a message, and copies between memory and a buffer of its own; as QEMU's specification of edu
 * (docs/specs/edu) has it. What a guest starts is finished when its write is. Thread-safe.
 */
public final class EduDevice extends PciFunction implements BusDevice {
  public static final int VENDOR = 0x1234;
  public static final int DEVICE = 0x11e8;

  private static final int REVISION_1 = 0x10;
  private static final int CLASS_OTHERS = 0xff_0000;
  private static final int RANGE = 1 << 20;

  // Registers. Those below DMA_SOURCE are 4 bytes, the others 4 or 8.
  private static final int IDENTITY = 0x00; // R
  private static final int LIVENESS = 0x04; // RW: reads the complement
  private static final int FACTORIAL = 0x08; // RW: reads n! for n
  private static final int STATUS = 0x20; // RW
  private static final int INTERRUPT_STATUS = 0x24; // R
  private static final int RAISE = 0x60; // W
  private static final int ACKNOWLEDGE = 0x64; // W
  private static final int DMA_SOURCE = 0x80; // RW
  private static final int DMA_TARGET = 0x88; // RW
  private static final int DMA_COUNT = 0x90; // RW
  private static final int DMA_COMMAND = 0x98; // RW

  private static final int IDENTITY_1_0 = 0x0100_00ed;
  private static final int STATUS_INTERRUPT = 0x80;
  private static final int FACTORIAL_DONE = 1;
  private static final int DMA_DONE = 0x100;

  private static final int DMA_START = 1;
  private static final int DMA_TO_MEMORY = 2;
  private static final int DMA_INTERRUPT = 4;

  /** Where copies find the buffer, and how long it is. */
  private static final long BUFFER = 0x4_0000;

  private static final int BUFFER_SIZE = 4096;

  /** The device puts so many bits on the bus. */
  private static final long ADDRESSES = (1L << 28) - 1;

  private static final int PAGE = 4096;

  private final GuestMemory memory;
  private final Msi message;
  private final Object lock = new Object();

  private int liveness;
  private int factorial;
  private int status;
  private int interrupts;
  private long source;
  private long target;
  private long count;
  private int command;
  private final byte[] buffer = new byte[BUFFER_SIZE];

  public EduDevice(GuestMemory memory) {
    super("edu", VENDOR, DEVICE, REVISION_1, CLASS_OTHERS);
    this.memory = memory;
    addMemoryBar(0, RANGE, false, false, this);
    setInterruptPin(0);
    message = addMsi(1);
  }

  private static boolean served(long offset, int size) {
    return (offset & size - 1) == 0 && (size == 4 || size == 8 && offset >= DMA_SOURCE);
  }

  @Override
  public long read(long offset, int size) {
    if (!served(offset, size)) {
      return -1;
    }
    synchronized (lock) {
      return switch ((int) offset) {
        case IDENTITY -> IDENTITY_1_0;
        case LIVENESS -> ~liveness & 0xffff_ffffL;
        case FACTORIAL -> factorial & 0xffff_ffffL;
        case STATUS -> status;
        case INTERRUPT_STATUS -> interrupts & 0xffff_ffffL;
        case DMA_SOURCE -> source;
        case DMA_TARGET -> target;
        case DMA_COUNT -> count;
        case DMA_COMMAND -> command;
        default -> -1;
      };
    }
  }

  @Override
  public void write(long offset, int size, long value) {
    if (!served(offset, size)) {
      return;
    }
    if (offset == DMA_COMMAND && (value & DMA_START) != 0) {
      copy((int) value);
    }
    int raised = 0;
    synchronized (lock) {
      int word = (int) value;
      switch ((int) offset) {
        case LIVENESS -> liveness = word;
        case FACTORIAL -> {
          factorial = factorialOf(word);
          raised = (status & STATUS_INTERRUPT) != 0 ? FACTORIAL_DONE : 0;
        }
        case STATUS -> status = word & STATUS_INTERRUPT;
        case RAISE -> raised = word;
        case ACKNOWLEDGE -> interrupts &= ~word;
        case DMA_SOURCE -> source = value;
        case DMA_TARGET -> target = value;
        case DMA_COUNT -> count = value;
        case DMA_COMMAND -> {
          command = word & (DMA_TO_MEMORY | DMA_INTERRUPT);
          boolean tells = (word & DMA_START) != 0 && (word & DMA_INTERRUPT) != 0;
          raised = tells ? DMA_DONE : 0;
        }
        default -> {
          // Nothing there.
        }
      }
      interrupts |= raised;
    }
    interruptWhile(this::interrupts);
    if (raised != 0) {
      message.signal(0);
    }
  }

  private void copy(int how) {
    boolean write = (how & DMA_TO_MEMORY) != 0;
    long from;
    long to;
    long length;
    synchronized (lock) {
      from = source;
      to = target;
      length = count;
    }
    copy(write, (write ? from : to) - BUFFER, write ? to : from, length);
  }

  private boolean interrupts() {
    synchronized (lock) {
      return interrupts != 0;
    }
  }

  /** The low 32 bits of n!, which are 0 from 34 on. */
  private static int factorialOf(int n) {
    int product = 1;
    for (int i = 2; product != 0 && Integer.compareUnsigned(i, n) <= 0; i++) {
      product *= i;
    }
    return product;
  }

  /**
   * Copies from or to the buffer, if that holds all of it, as far as the bus lets it.
   *
   * @param own in the buffer
   * @param other in memory
   */
  private void copy(boolean write, long own, long other, long length) {
    if (!busMaster() || own < 0 || own > BUFFER_SIZE || length < 0 || length > BUFFER_SIZE - own) {
      return;
    }
    int done = 0;
    while (done < length) {
      long address = other + done & ADDRESSES;
      int part = (int) Math.min(length - done, PAGE - (address & PAGE - 1));
      long physical = physical(address, write);
      if (physical == Upstream.BLOCKED) {
        return;
      }
      if (write) {
        memory.write(physical, buffer, (int) own + done, part);
      } else {
        memory.read(physical, buffer, (int) own + done, part);
      }
      done += part;
    }
  }

  @Override
  protected void resetDevice() {
    synchronized (lock) {
      liveness = 0;
      factorial = 0;
      status = 0;
      interrupts = 0;
      source = 0;
      target = 0;
      count = 0;
      command = 0;
      java.util.Arrays.fill(buffer, (byte) 0);
    }
  }

  @Override
  protected void saveDevice(StateWriter out) {
    synchronized (lock) {
      out.putInt(liveness).putInt(factorial).putInt(status).putInt(interrupts);
      out.putLong(source).putLong(target).putLong(count).putInt(command).putBytes(buffer);
    }
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    synchronized (lock) {
      liveness = in.getInt();
      factorial = in.getInt();
      status = in.getInt() & STATUS_INTERRUPT;
      interrupts = in.getInt();
      source = in.getLong();
      target = in.getLong();
      count = in.getLong();
      command = in.getInt() & (DMA_TO_MEMORY | DMA_INTERRUPT);
      byte[] saved = in.getBytes(BUFFER_SIZE);
      if (saved.length != BUFFER_SIZE) {
        throw new StateException("the buffer of edu has " + saved.length + " bytes");
      }
      System.arraycopy(saved, 0, buffer, 0, BUFFER_SIZE);
    }
  }
}
