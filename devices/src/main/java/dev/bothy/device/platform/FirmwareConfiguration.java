package dev.bothy.device.platform;

import dev.bothy.core.BusDevice;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import java.util.Map;

/**
 * The firmware configuration device, by which conformance guests ask a machine about itself; the
 * port interface of QEMU's fw_cfg specification (docs/specs/fw_cfg), without DMA. Thread-safe.
 *
 * <p>Ports 0x510 and 0x511: a 16-bit write to the first selects an item, each byte read from the
 * second is its next.
 */
public final class FirmwareConfiguration implements BusDevice, Stateful {
  /** First port. */
  public static final int BASE = 0x510;

  /** Ports. */
  public static final int LENGTH = 2;

  private static final int SIGNATURE = 0x00;
  private static final int INTERFACE = 0x01;
  private static final int RAM_SIZE = 0x03;
  private static final int CPUS = 0x05;
  private static final int MAX_CPUS = 0x0f;

  private final Map<Integer, byte[]> items;
  private int selected;
  private int position;

  /**
   * Makes the device.
   *
   * @param memory bytes of RAM
   * @param cpus vCPUs
   */
  public FirmwareConfiguration(long memory, int cpus) {
    items =
        Map.of(
            SIGNATURE, new byte[] {'Q', 'E', 'M', 'U'},
            INTERFACE, littleEndian(1, 4),
            RAM_SIZE, littleEndian(memory, 8),
            CPUS, littleEndian(cpus, 2),
            MAX_CPUS, littleEndian(cpus, 2));
  }

  private static byte[] littleEndian(long value, int length) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (value >>> (8 * i));
    }
    return bytes;
  }

  @Override
  public synchronized long read(long offset, int size) {
    if (offset != 1) {
      return 0;
    }
    byte[] item = items.get(selected);
    return item != null && position < item.length ? item[position++] & 0xff : 0;
  }

  @Override
  public synchronized void write(long offset, int size, long value) {
    if (offset == 0 && size == 2) {
      selected = (int) value & 0xffff;
      position = 0;
    }
  }

  @Override
  public String stateName() {
    return "fw-cfg";
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putInt(selected).putInt(position);
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    selected = in.getInt(0, 0xffff);
    position = in.getInt(0, 8);
  }

  /** As after power-on. */
  public synchronized void reset() {
    selected = 0;
    position = 0;
  }
}
