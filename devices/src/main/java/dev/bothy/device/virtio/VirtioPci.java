package dev.bothy.device.virtio;

import dev.bothy.core.BusDevice;
import dev.bothy.core.Doorbell;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.pci.Msix;
import dev.bothy.device.pci.PciFunction;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * A virtio device as a PCI function: Virtual I/O Device (VIRTIO) 1.2, section 4.1, modern interface
 * only. One range of memory with all registers, another with the MSI-X table: a vector for each
 * queue and one for changes of the configuration, which the driver may share out as it likes. The
 * interrupt pin serves drivers without MSI-X.
 */
public final class VirtioPci extends PciFunction implements VirtioDevice.Transport {
  private static final int VENDOR = 0x1af4;
  private static final int FIRST_DEVICE = 0x1040;
  private static final int FIRST_SUBSYSTEM = 0x40;
  private static final int REVISION_MODERN = 1;

  // Base address registers.
  private static final int REGISTERS = 0;
  private static final int MESSAGES = 1;

  // The range of registers, a page each.
  private static final int PAGE = 0x1000;
  private static final int COMMON = 0;
  private static final int ISR = PAGE;
  private static final int DEVICE = 2 * PAGE;
  private static final int NOTIFY = 3 * PAGE;
  private static final int RANGE = 4 * PAGE;
  private static final int NOTIFY_MULTIPLIER = 4;

  // Capabilities (4.1.4): types, and offsets in one.
  private static final int VENDOR_SPECIFIC = 9;
  private static final int TYPE_COMMON = 1;
  private static final int TYPE_NOTIFY = 2;
  private static final int TYPE_ISR = 3;
  private static final int TYPE_DEVICE = 4;
  private static final int TYPE_PCI = 5;
  private static final int CAP_LENGTH = 2;
  private static final int CAP_TYPE = 3;
  private static final int CAP_BAR = 4;
  private static final int CAP_OFFSET = 8;
  private static final int CAP_RANGE = 12;
  private static final int CAP_SIZE = 16;
  private static final int CAP_MULTIPLIER = 16;
  private static final int CAP_DATA = 16;

  private static final int ISR_QUEUE = 1;
  private static final int ISR_CONFIG = 2;

  private final VirtioDevice device;
  private final CommonConfiguration common;
  private final DeviceConfiguration specific;
  private final BusDevice registers = new Registers();
  private final Msix messages;
  private final List<Doorbell> doorbells;
  private final AtomicInteger isr = new AtomicInteger();

  /** The capability that gives access to the registers through configuration space (4.1.4.9). */
  private final int window;

  /** A function for {@code device}, which it closes with itself. */
  public VirtioPci(VirtioDevice device) {
    super(
        device.stateName(),
        VENDOR,
        FIRST_DEVICE + device.deviceId(),
        REVISION_MODERN,
        classCode(device.deviceId()));
    this.device = device;
    int vectors = device.queueCount() + 1;
    common = new CommonConfiguration(device, vectors);
    doorbells =
        IntStream.range(0, device.servedElsewhere() ? device.queueCount() : 0)
            .mapToObj(i -> new Doorbell(NOTIFY + NOTIFY_MULTIPLIER * i, 2, () -> notified(i)))
            .toList();
    specific = new DeviceConfiguration(device);
    put(SUBSYSTEM_VENDOR_ID, 2, VENDOR);
    put(SUBSYSTEM_ID, 2, FIRST_SUBSYSTEM + device.deviceId());
    setInterruptPin(0);
    addMemoryBar(REGISTERS, RANGE, false, false, registers);
    messages = addMsix(MESSAGES, vectors);
    capability(TYPE_COMMON, COMMON, CommonConfiguration.LENGTH, 0);
    capability(TYPE_ISR, ISR, 1, 0);
    int notify = capability(TYPE_NOTIFY, NOTIFY, NOTIFY_MULTIPLIER * device.queueCount(), 4);
    put(notify + CAP_MULTIPLIER, 4, NOTIFY_MULTIPLIER);
    if (device.configSize() > 0) {
      capability(TYPE_DEVICE, DEVICE, device.configSize(), 0);
    }
    window = capability(TYPE_PCI, 0, 0, 4);
    setWritable(window + CAP_BAR, 1, 0xff);
    setWritable(window + CAP_OFFSET, 4, -1);
    setWritable(window + CAP_RANGE, 4, -1);
    setWritable(window + CAP_DATA, 4, -1);
    device.connect(this);
  }

  /** Before the machine starts: {@code lines} gets one about each request. Any thread. */
  public void trace(Consumer<String> lines) {
    device.trace(lines);
  }

  private static int classCode(int deviceId) {
    return switch (deviceId) {
      case 1 -> 0x02_0000; // Ethernet
      case 2 -> 0x01_8000; // mass storage
      case 3 -> 0x07_8000; // communication
      case 19 -> 0x02_8000; // network, other
      default -> 0xff_0000;
    };
  }

  private int capability(int type, int offset, int length, int more) {
    int at = addCapability(VENDOR_SPECIFIC, CAP_SIZE + more);
    put(at + CAP_LENGTH, 1, CAP_SIZE + more);
    put(at + CAP_TYPE, 1, type);
    put(at + CAP_BAR, 1, REGISTERS);
    put(at + CAP_OFFSET, 4, offset);
    put(at + CAP_RANGE, 4, length);
    return at;
  }

  private final class Registers implements BusDevice {
    @Override
    public long read(long offset, int size) {
      int at = (int) offset & PAGE - 1;
      return switch ((int) offset & -PAGE) {
        case COMMON -> at + size <= PAGE ? common.read(at, size) : -1;
        case ISR -> at == 0 ? readIsr() : 0;
        case DEVICE -> specific.read(at, size);
        default -> 0;
      };
    }

    @Override
    public void write(long offset, int size, long value) {
      int at = (int) offset & PAGE - 1;
      switch ((int) offset & -PAGE) {
        case COMMON -> common.write(at, size, value);
        case DEVICE -> specific.write(at, size, value);
        case NOTIFY -> {
          // The place alone tells the queue: no other data was agreed on.
          if (at % NOTIFY_MULTIPLIER == 0) {
            notified(at / NOTIFY_MULTIPLIER);
          }
        }
        default -> {
          // Nothing to write there.
        }
      }
    }

    @Override
    public List<Doorbell> doorbells() {
      return doorbells;
    }
  }

  private void notified(int queue) {
    if (busMaster()) {
      device.notifyQueue(queue);
    }
  }

  /** Reading clears and ends the interrupt (4.1.4.5). */
  private int readIsr() {
    int value = isr.getAndSet(0);
    if (value != 0) {
      showIsr();
    }
    return value;
  }

  private void showIsr() {
    interruptWhile(() -> isr.get() != 0);
  }

  @Override
  public void queueInterrupt(int index) {
    raise(ISR_QUEUE, common.queueVector(index));
  }

  @Override
  public void configInterrupt() {
    raise(ISR_CONFIG, common.configVector());
  }

  private void raise(int reason, int vector) {
    if (messages.enabled()) {
      messages.signal(vector);
    } else {
      isr.getAndUpdate(old -> old | reason);
      showIsr();
    }
  }

  // Registers through configuration space.

  private boolean touchesWindow(int at, int size) {
    return at < window + CAP_DATA + 4 && at + size > window + CAP_DATA;
  }

  /** Bytes that the window is for, or 0 if it is for nothing. */
  private int windowSize() {
    long length = get(window + CAP_RANGE, 4);
    long offset = get(window + CAP_OFFSET, 4);
    boolean plain = length == 1 || length == 2 || length == 4;
    return plain
            && get(window + CAP_BAR, 1) == REGISTERS
            && offset % length == 0
            && offset + length <= RANGE
        ? (int) length
        : 0;
  }

  @Override
  protected void configReading(int at, int size) {
    int bytes = touchesWindow(at, size) ? windowSize() : 0;
    if (bytes > 0) {
      put(window + CAP_DATA, bytes, registers.read(get(window + CAP_OFFSET, 4), bytes));
    }
  }

  @Override
  protected void configWritten(int at, int size) {
    int bytes = touchesWindow(at, size) ? windowSize() : 0;
    if (bytes > 0) {
      registers.write(get(window + CAP_OFFSET, 4), bytes, get(window + CAP_DATA, bytes));
    }
  }

  // Life.

  /** The device is being reset by its driver. */
  @Override
  public void reset(VirtioDevice which) {
    common.reset();
    isr.set(0);
    showIsr();
  }

  @Override
  protected void resetDevice() {
    device.reset();
  }

  @Override
  public void resume() {
    device.resume();
  }

  @Override
  public void pause() {
    device.suspend();
  }

  @Override
  public void close() {
    device.close();
  }

  @Override
  public int stateVersion() {
    return device.stateVersion();
  }

  @Override
  protected void saveDevice(StateWriter out) {
    common.save(out);
    out.putInt(isr.get());
    device.save(out);
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    common.load(in);
    isr.set(in.getInt(0, ISR_QUEUE | ISR_CONFIG));
    device.load(in);
  }
}
