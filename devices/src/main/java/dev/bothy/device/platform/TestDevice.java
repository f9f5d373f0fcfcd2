package dev.bothy.device.platform;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.IrqLine;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import java.util.Arrays;
import java.util.List;

/**
 * The device by which conformance guests try out a machine: registers that keep what is written,
 * interrupt lines that a guest drives itself, and memory that is a device. Laid out like QEMU's
 * pc-testdev, for which such guests are written. Thread-safe.
 *
 * <ul>
 *   <li>ports 0xE0 to 0xE3: a register of 32 bits, by 1, 2 or 4 bytes; 0xE8 to 0xEB are the same
 *   <li>ports 0xE4 to 0xE7: written with the address of a page, whose mappings on the host's side
 *       the machine is to forget. Guests see nothing of it
 *   <li>ports 0x2000 to 0x2017: one for each line, high when it was last written with other than 0
 *   <li>memory from 0xFF000000, 64 KiB: keeps bytes, and is not RAM
 * </ul>
 */
public final class TestDevice implements Stateful {
  /** First port of the register. */
  public static final int REGISTER = 0xe0;

  private static final int REGISTER_LENGTH = 4;
  private static final int FLUSH = 0xe4;
  private static final int REGISTER_AGAIN = 0xe8;

  /** First port of the interrupt lines. */
  public static final int LINE_PORTS = 0x2000;

  /** Interrupt lines. */
  public static final int LINES = 24;

  /** Where the memory lies. */
  public static final long MEMORY = 0xff00_0000L;

  private static final int MEMORY_LENGTH = 0x1_0000;

  private final Bytes register = new Bytes(REGISTER_LENGTH);
  private final Bytes memory = new Bytes(MEMORY_LENGTH);
  private final List<IrqLine> lines;

  /**
   * Makes the device.
   *
   * @param lines by their numbers, {@link #LINES}
   */
  public TestDevice(List<IrqLine> lines) {
    if (lines.size() != LINES) {
      throw new IllegalArgumentException("the test device drives " + LINES + " lines");
    }
    this.lines = List.copyOf(lines);
  }

  /** Takes its places. */
  public void attach(AddressSpace ports, AddressSpace mmio) {
    ports.map("test-register", REGISTER, REGISTER_LENGTH, register);
    ports.map("test-flush", FLUSH, REGISTER_AGAIN - FLUSH, new Flush());
    ports.map("test-register", REGISTER_AGAIN, REGISTER_LENGTH, register);
    ports.map("test-lines", LINE_PORTS, LINES, new Lines());
    mmio.map("test-memory", MEMORY, MEMORY_LENGTH, memory);
  }

  /** As after power-on; the lines are reset where they lead. */
  public void reset() {
    register.clear();
    memory.clear();
  }

  @Override
  public String stateName() {
    return "test-device";
  }

  @Override
  public void save(StateWriter out) {
    out.putBytes(register.copy()).putBytes(memory.copy());
  }

  @Override
  public void load(StateReader in) throws StateException {
    register.load(in);
    memory.load(in);
  }

  /** Bytes that keep what is written. */
  private static final class Bytes implements BusDevice {
    private final byte[] bytes;

    Bytes(int length) {
      bytes = new byte[length];
    }

    @Override
    public synchronized long read(long offset, int size) {
      long value = 0;
      for (int i = 0; i < size; i++) {
        value |= (bytes[(int) offset + i] & 0xffL) << (8 * i);
      }
      return value;
    }

    @Override
    public synchronized void write(long offset, int size, long value) {
      for (int i = 0; i < size; i++) {
        bytes[(int) offset + i] = (byte) (value >>> (8 * i));
      }
    }

    synchronized void clear() {
      Arrays.fill(bytes, (byte) 0);
    }

    synchronized byte[] copy() {
      return bytes.clone();
    }

    synchronized void load(StateReader in) throws StateException {
      byte[] saved = in.getBytes(bytes.length);
      if (saved.length != bytes.length) {
        throw in.damaged("too few bytes of the test device");
      }
      System.arraycopy(saved, 0, bytes, 0, bytes.length);
    }
  }

  /** What an engine has mapped is its own matter: nothing is to be done. */
  private static final class Flush implements BusDevice {
    @Override
    public long read(long offset, int size) {
      return 0;
    }

    @Override
    public void write(long offset, int size, long value) {}
  }

  private final class Lines implements BusDevice {
    @Override
    public long read(long offset, int size) {
      return 0;
    }

    @Override
    public void write(long offset, int size, long value) {
      lines.get((int) offset).set(value != 0);
    }
  }
}
