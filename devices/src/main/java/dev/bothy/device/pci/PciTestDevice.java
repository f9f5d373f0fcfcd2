package dev.bothy.device.pci;

import dev.bothy.core.BusDevice;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * The PCI function by which conformance guests measure what an access to a device costs; as QEMU's
 * specification of pci-testdev (docs/specs/pci-testdev) has it. Thread-safe.
 *
 * <p>Base address register 0 is memory, 1 is ports. Each begins with a header: the guest writes the
 * number of a test to its first byte, and finds the width of an access, where it is to write what,
 * how often it has done so, and the test's name.
 */
public final class PciTestDevice extends PciFunction {
  /** Identity: the vendor and device numbers that such guests look for. */
  public static final int VENDOR = 0x1b36;

  public static final int DEVICE = 0x0005;

  private static final int MEMORY_SIZE = 4096;
  private static final int PORTS_SIZE = 256;
  private static final int CLASS_OTHERS = 0xff_0000;

  // The header.
  private static final int TEST = 0x00; // W 1 byte: begins that test
  private static final int WIDTH = 0x01; // R 1 byte: of an access; 0: there is no such test
  private static final int OFFSET = 0x04; // R 4 bytes: where to write
  private static final int DATA = 0x08; // R 4 bytes: what to write
  private static final int COUNT = 0x0c; // R 4 bytes: how often that was done
  private static final int NAME = 0x10; // R: ASCII, a zero at its end

  private static final int NO_TEST = -1;

  /** Tests of each base address register. The third counts only writes of the right value. */
  private static final String[] TESTS = {"no-eventfd", "wildcard-eventfd", "datamatch-eventfd"};

  private static final int DATAMATCH = 2;
  private static final int VALUE = 0xfa;
  private static final int OTHER_VALUE = 0xce;

  private final Range memory = new Range("mmio", MEMORY_SIZE);
  private final Range ports = new Range("portio", PORTS_SIZE);

  public PciTestDevice() {
    super("pci-test", VENDOR, DEVICE, 0, CLASS_OTHERS);
    addMemoryBar(0, MEMORY_SIZE, false, false, memory);
    addPortBar(1, PORTS_SIZE, ports);
  }

  @Override
  protected void resetDevice() {
    memory.reset();
    ports.reset();
  }

  @Override
  protected void saveDevice(StateWriter out) {
    memory.save(out);
    ports.save(out);
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    memory.load(in);
    ports.load(in);
  }

  /** What is behind one base address register. */
  private static final class Range implements BusDevice {
    private final String type;
    private final int half;
    private int test = NO_TEST;
    private int count;

    /**
     * @param size bytes: the header in the first half, what tests write to in the second
     */
    Range(String type, int size) {
      this.type = type;
      half = size / 2;
    }

    private int target() {
      return half + test;
    }

    private int value() {
      return test == DATAMATCH ? VALUE : OTHER_VALUE;
    }

    private byte[] header() {
      byte[] name = (type + "-" + TESTS[test]).getBytes(StandardCharsets.US_ASCII);
      ByteBuffer header = ByteBuffer.allocate(NAME + name.length + 1);
      header.order(ByteOrder.LITTLE_ENDIAN);
      header.put(TEST, (byte) test).put(WIDTH, (byte) 1);
      header.putInt(OFFSET, target()).putInt(DATA, value()).putInt(COUNT, count);
      return header.put(NAME, name).array();
    }

    @Override
    public synchronized long read(long offset, int size) {
      if (test == NO_TEST) {
        return 0;
      }
      byte[] header = header();
      long value = 0;
      for (int i = 0; i < size; i++) {
        long at = offset + i;
        value |= (at < header.length ? header[(int) at] & 0xffL : 0) << (8 * i);
      }
      return value;
    }

    @Override
    public synchronized void write(long offset, int size, long value) {
      if (offset == TEST) {
        int number = (int) value & 0xff;
        test = number < TESTS.length ? number : NO_TEST;
        count = 0;
      } else if (test != NO_TEST
          && offset == target()
          && (test != DATAMATCH || size == 1 && value == VALUE)) {
        count++;
      }
    }

    synchronized void reset() {
      test = NO_TEST;
      count = 0;
    }

    synchronized void save(StateWriter out) {
      out.putInt(test).putInt(count);
    }

    synchronized void load(StateReader in) throws StateException {
      test = in.getInt(NO_TEST, TESTS.length - 1);
      count = in.getInt();
    }
  }
}
