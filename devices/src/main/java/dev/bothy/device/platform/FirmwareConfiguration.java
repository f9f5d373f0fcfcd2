package dev.bothy.device.platform;

import dev.bothy.core.BusDevice;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Map;

/**
 * The firmware configuration device, by which conformance guests ask a machine about itself.
 * Follows QEMU's fw_cfg specification (docs/specs/fw_cfg). Thread-safe.
 *
 * <ul>
 *   <li>port 0x510: a 16-bit write selects an item; port 0x511: each byte read is the item's next
 *   <li>ports 0x514 to 0x51B: the guest-physical address of a request, big-endian; the write of its
 *       lower half has the request done, before the write ends. Reads give a signature
 * </ul>
 *
 * <p>Behind an item's end are zeros. Nothing can be written: such requests fail.
 */
public final class FirmwareConfiguration implements BusDevice, Stateful {
  /** First port. */
  public static final int BASE = 0x510;

  /** Ports. */
  public static final int LENGTH = 12;

  private static final int DATA_PORT = 1;
  private static final int REQUEST_HIGH = 4;
  private static final int REQUEST_LOW = 8;

  // Items.
  private static final int SIGNATURE = 0x00;
  private static final int INTERFACE = 0x01;
  private static final int RAM_SIZE = 0x03;
  private static final int CPUS = 0x05;
  private static final int MAX_CPUS = 0x0f;
  private static final int FILES = 0x19;

  /** The port interface, and requests in memory. */
  private static final int INTERFACES = 1 | 1 << 1;

  /** What the request's address reads as: "QEMU CFG". */
  private static final long REQUEST_SIGNATURE = 0x51454d5520434647L;

  // A request: three big-endian fields.
  private static final int CONTROL = 0; // 4 bytes; cleared when done, or the error bit
  private static final int COUNT = 4; // 4 bytes
  private static final int ADDRESS = 8; // 8 bytes
  private static final int REQUEST_SIZE = 16;
  private static final int ERROR = 1;
  private static final int READ = 1 << 1;
  private static final int SKIP = 1 << 2;
  private static final int SELECT = 1 << 3;
  private static final int WRITE = 1 << 4;

  /** Bytes that one request may read: more than any item has. */
  private static final int READ_LIMIT = 1 << 20;

  private final GuestMemory memory;
  private final Map<Integer, byte[]> items;
  private int selected;

  /** In the selected item; it stays at the end. */
  private int position;

  private int requestHigh;

  /**
   * Makes the device.
   *
   * @param memory RAM, told to the guest, and where its requests are
   * @param cpus vCPUs
   */
  public FirmwareConfiguration(GuestMemory memory, int cpus) {
    this.memory = memory;
    items =
        Map.of(
            SIGNATURE, new byte[] {'Q', 'E', 'M', 'U'},
            INTERFACE, littleEndian(INTERFACES, 4),
            RAM_SIZE, littleEndian(memory.size(), 8),
            CPUS, littleEndian(cpus, 2),
            MAX_CPUS, littleEndian(cpus, 2),
            FILES, new byte[4]); // their number: none
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
    if (offset >= REQUEST_HIGH) {
      long value = 0;
      for (int i = 0; i < size; i++) {
        int at = (int) offset - REQUEST_HIGH + i;
        value |= (at < 8 ? REQUEST_SIGNATURE >>> (56 - 8 * at) & 0xff : 0) << (8 * i);
      }
      return value;
    }
    return offset == DATA_PORT ? next() : 0;
  }

  private byte[] item() {
    return items.getOrDefault(selected, new byte[0]);
  }

  private int next() {
    byte[] item = item();
    return position < item.length ? item[position++] & 0xff : 0;
  }

  @Override
  public synchronized void write(long offset, int size, long value) {
    switch ((int) offset) {
      case 0 -> {
        if (size == 2) {
          select((int) value & 0xffff);
        }
      }
      case REQUEST_HIGH -> {
        if (size == 4) {
          requestHigh = Integer.reverseBytes((int) value);
        }
      }
      case REQUEST_LOW -> {
        if (size == 4) {
          request((long) requestHigh << 32 | Integer.reverseBytes((int) value) & 0xffff_ffffL);
          requestHigh = 0;
        }
      }
      default -> {
        // Nothing there.
      }
    }
  }

  private void select(int item) {
    selected = item;
    position = 0;
  }

  private void request(long at) {
    if (!memory.contains(at, REQUEST_SIZE)) {
      return;
    }
    byte[] bytes = new byte[REQUEST_SIZE];
    memory.read(at, bytes, 0, REQUEST_SIZE);
    ByteBuffer request = ByteBuffer.wrap(bytes);
    int control = request.getInt(CONTROL);
    if ((control & SELECT) != 0) {
      select(control >>> 16);
    }
    boolean done = true;
    if ((control & READ) != 0) {
      done = transfer(request.getLong(ADDRESS), request.getInt(COUNT));
    } else if ((control & WRITE) != 0) {
      done = false;
    } else if ((control & SKIP) != 0) {
      skip(request.getInt(COUNT));
    }
    memory.writeInt(at + CONTROL, done ? 0 : Integer.reverseBytes(ERROR));
  }

  /** {@code count}: unsigned. */
  private boolean transfer(long address, int count) {
    if (count < 0 || count > READ_LIMIT || !memory.contains(address, count)) {
      return false;
    }
    byte[] item = item();
    byte[] bytes = Arrays.copyOfRange(item, position, position + count);
    skip(count);
    memory.write(address, bytes);
    return true;
  }

  /** {@code count}: unsigned. */
  private void skip(int count) {
    position = (int) Math.min(item().length, position + (count & 0xffff_ffffL));
  }

  @Override
  public String stateName() {
    return "fw-cfg";
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putInt(selected).putInt(position).putInt(requestHigh);
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    selected = in.getInt(0, 0xffff);
    position = in.getInt(0, item().length);
    requestHigh = in.getInt();
  }

  /** As after power-on. */
  public synchronized void reset() {
    select(0);
    requestHigh = 0;
  }
}
