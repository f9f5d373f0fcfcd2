package dev.bothy.device.virtio;

import dev.bothy.core.BusDevice;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.Arrays;

/**
 * The registers by which a driver finds out about a device and sets it up: Virtual I/O Device
 * (VIRTIO) 1.2, section 4.1.4.3. A driver accesses each field in its own width, 64-bit ones also in
 * halves; reads in any other way give parts of fields, writes are dropped.
 */
final class CommonConfiguration implements BusDevice {
  static final int LENGTH = 0x3c;

  /** A vector register's value for no vector. */
  static final int NO_VECTOR = 0xffff;

  private static final int DEVICE_FEATURE_SELECT = 0x00; // RW
  private static final int DEVICE_FEATURE = 0x04; // R
  private static final int DRIVER_FEATURE_SELECT = 0x08; // RW
  private static final int DRIVER_FEATURE = 0x0c; // RW
  private static final int CONFIG_VECTOR = 0x10; // RW, 2 bytes
  private static final int NUM_QUEUES = 0x12; // R, 2
  private static final int DEVICE_STATUS = 0x14; // RW, 1
  private static final int CONFIG_GENERATION = 0x15; // R, 1
  private static final int QUEUE_SELECT = 0x16; // RW, 2
  private static final int QUEUE_SIZE = 0x18; // RW, 2
  private static final int QUEUE_VECTOR = 0x1a; // RW, 2
  private static final int QUEUE_ENABLE = 0x1c; // RW, 2
  private static final int QUEUE_NOTIFY_OFFSET = 0x1e; // R, 2
  private static final int QUEUE_AREAS = 0x20; // RW, three of 8: descriptors, driver, device
  private static final int QUEUE_NOTIFY_DATA = 0x38; // R, 2; feature not offered
  private static final int QUEUE_RESET = 0x3a; // RW, 2; feature not offered

  private final VirtioDevice device;
  private final int vectors;

  // Guarded by this.
  private int deviceFeatureSelect;
  private int driverFeatureSelect;
  private int queueSelect;
  private final int[] queueVectors;
  private int configVector = NO_VECTOR;

  /**
   * @param vectors in the table of message-signalled interrupts
   */
  CommonConfiguration(VirtioDevice device, int vectors) {
    this.device = device;
    this.vectors = vectors;
    queueVectors = new int[device.queueCount()];
    Arrays.fill(queueVectors, NO_VECTOR);
  }

  synchronized int configVector() {
    return configVector;
  }

  synchronized int queueVector(int queue) {
    return queueVectors[queue];
  }

  /** The selected queue, or null if the device has none of that number. */
  private Virtqueue selected() {
    return queueSelect < queueVectors.length ? device.queue(queueSelect) : null;
  }

  @Override
  public synchronized long read(long offset, int size) {
    long value = 0;
    for (int i = 0; i < size; i++) {
      int at = (int) offset + i;
      value |= (field(at & ~3) >>> 8 * (at & 3) & 0xff) << 8 * i;
    }
    return value;
  }

  /** The four bytes at {@code at}, a multiple of four. */
  private long field(int at) {
    Virtqueue queue = selected();
    return switch (at) {
      case DEVICE_FEATURE_SELECT -> deviceFeatureSelect & 0xffff_ffffL;
      case DEVICE_FEATURE -> word(device.offeredFeatures(), deviceFeatureSelect);
      case DRIVER_FEATURE_SELECT -> driverFeatureSelect & 0xffff_ffffL;
      case DRIVER_FEATURE -> word(device.acceptedFeatures(), driverFeatureSelect);
      case CONFIG_VECTOR -> configVector | (long) device.queueCount() << 16;
      case DEVICE_STATUS -> device.status() | device.generation() << 8 | (long) queueSelect << 16;
      case QUEUE_SIZE ->
          queue == null
              ? (long) NO_VECTOR << 16
              : queue.size() | (long) queueVectors[queueSelect] << 16;
      case QUEUE_ENABLE -> queue == null ? 0 : (queue.enabled() ? 1 : 0) | (long) queueSelect << 16;
      default -> {
        if (queue == null || at < QUEUE_AREAS || at >= QUEUE_NOTIFY_DATA) {
          yield 0;
        }
        yield word(queue.area((at - QUEUE_AREAS) / 8), at >>> 2 & 1);
      }
    };
  }

  private static long word(long value, int select) {
    return select == 0 ? value & 0xffff_ffffL : select == 1 ? value >>> 32 : 0;
  }

  private static long withWord(long old, int select, long value) {
    return switch (select) {
      case 0 -> old & ~0xffff_ffffL | value & 0xffff_ffffL;
      case 1 -> old & 0xffff_ffffL | value << 32;
      default -> old;
    };
  }

  @Override
  public void write(long offset, int size, long value) {
    int at = (int) offset;
    // What follows may make the device work: no lock is held then.
    if (at == DEVICE_STATUS && size == 1) {
      device.writeStatus((int) value);
      return;
    }
    if (at == QUEUE_ENABLE && size == 2) {
      int index = queueIndex();
      if (value == 1 && index >= 0) {
        device.enableQueue(index);
      }
      return;
    }
    writeField(at, size, value);
  }

  private synchronized int queueIndex() {
    return selected() == null ? -1 : queueSelect;
  }

  private synchronized void writeField(int at, int size, long value) {
    Virtqueue queue = selected();
    if (size >= 4) {
      switch (at) {
        case DEVICE_FEATURE_SELECT -> deviceFeatureSelect = (int) value;
        case DRIVER_FEATURE_SELECT -> driverFeatureSelect = (int) value;
        case DRIVER_FEATURE ->
            device.acceptFeatures(withWord(device.acceptedFeatures(), driverFeatureSelect, value));
        default -> {
          if (queue != null && at >= QUEUE_AREAS && at < QUEUE_NOTIFY_DATA && (at & 3) == 0) {
            writeArea(queue, at, size, value);
          }
        }
      }
    } else if (size == 2) {
      switch (at) {
        case CONFIG_VECTOR -> configVector = vector(value);
        case QUEUE_SELECT -> queueSelect = (int) value & 0xffff;
        case QUEUE_SIZE -> {
          if (queue != null) {
            queue.setSize((int) value & 0xffff);
          }
        }
        case QUEUE_VECTOR -> {
          if (queue != null) {
            queueVectors[queueSelect] = vector(value);
          }
        }
        default -> {
          // Read-only.
        }
      }
    }
  }

  private static void writeArea(Virtqueue queue, int at, int size, long value) {
    int which = (at - QUEUE_AREAS) / 8;
    int half = at >>> 2 & 1;
    if (size == 4) {
      queue.setArea(which, withWord(queue.area(which), half, value));
    } else if (half == 0) {
      queue.setArea(which, value);
    }
  }

  /** A vector that is not there reads back as none (4.1.5.1.2). */
  private int vector(long value) {
    int wanted = (int) value & 0xffff;
    return wanted < vectors ? wanted : NO_VECTOR;
  }

  /** As after power-on. */
  synchronized void reset() {
    deviceFeatureSelect = 0;
    driverFeatureSelect = 0;
    queueSelect = 0;
    configVector = NO_VECTOR;
    Arrays.fill(queueVectors, NO_VECTOR);
  }

  synchronized void save(StateWriter out) {
    out.putInt(deviceFeatureSelect).putInt(driverFeatureSelect).putInt(queueSelect);
    out.putInt(configVector);
    for (int vector : queueVectors) {
      out.putInt(vector);
    }
  }

  synchronized void load(StateReader in) throws StateException {
    deviceFeatureSelect = in.getInt();
    driverFeatureSelect = in.getInt();
    queueSelect = in.getInt(0, 0xffff);
    configVector = vector(in.getInt(0, NO_VECTOR));
    for (int i = 0; i < queueVectors.length; i++) {
      queueVectors[i] = vector(in.getInt(0, NO_VECTOR));
    }
  }
}
