package dev.bothy.device.pci;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.MsiSink;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;

/**
 * PCI root bus 0 with a host bridge at 00:00.0. Its functions' configuration spaces are reached by
 * configuration mechanism 1 (PCI Local Bus specification 3.0, 3.2.2.3.2), which is this object, at
 * ports 0xCF8 to 0xCFF, and by the {@linkplain #ecam() enhanced mechanism} in memory. Where there
 * is no function, reads give all ones and writes are dropped.
 *
 * <p>The two lowest bits of the address register read as 0, as they are to, but are part of the
 * register's number, as on QEMU's host bridges: there are guests that know no other PC. Those that
 * follow the specification leave them 0.
 */
public final class PciHost implements BusDevice, Stateful {
  public static final int PORT = 0xCF8;
  public static final int LENGTH = 8;

  public static final int DEVICES = 32;
  public static final int FUNCTIONS = 8;

  /** Bytes of memory that the enhanced mechanism takes for the bus. */
  public static final int ECAM_LENGTH = 1 << 20;

  private static final int ADDRESS = 0;
  private static final int DATA = 4;
  private static final int ENABLE = 0x8000_0000;
  private static final int ADDRESS_WRITABLE = 0x80ff_ffff;
  private static final int ADDRESS_READABLE = ~3;

  private final AddressSpace ports;
  private final AddressSpace mmio;
  private final Upstream upstream;
  private final PciFunction[] functions = new PciFunction[DEVICES * FUNCTIONS];
  private volatile int address;

  /**
   * @param ports where port base address registers map their ranges
   * @param mmio where memory base address registers do
   * @param messages where message-signalled interrupts go
   */
  public PciHost(AddressSpace ports, AddressSpace mmio, MsiSink messages) {
    this(ports, mmio, Upstream.direct(messages));
  }

  /**
   * @param ports where port base address registers map their ranges
   * @param mmio where memory base address registers do
   */
  public PciHost(AddressSpace ports, AddressSpace mmio, Upstream upstream) {
    this.ports = ports;
    this.mmio = mmio;
    this.upstream = upstream;
    add(0, 0, new HostBridge());
  }

  /**
   * Puts a function at bus 0; before the machine starts.
   *
   * @throws IllegalArgumentException if the place is taken, or is a further function of no device
   */
  public void add(int device, int function, PciFunction card) {
    int at =
        Objects.checkIndex(device, DEVICES) * FUNCTIONS + Objects.checkIndex(function, FUNCTIONS);
    if (functions[at] != null || function != 0 && functions[at & -FUNCTIONS] == null) {
      throw new IllegalArgumentException("PCI device " + device + "." + function);
    }
    card.attach(at, ports, mmio, upstream);
    functions[at] = card;
    if (function != 0) {
      functions[at & -FUNCTIONS].markMultiFunction();
    }
  }

  /** Every function, by address; each saves itself. */
  public List<PciFunction> functions() {
    List<PciFunction> all = new ArrayList<>();
    for (PciFunction function : functions) {
      if (function != null) {
        all.add(function);
      }
    }
    return all;
  }

  /** The numbers of the devices that are there, in order; 0 is the host bridge's. */
  public List<Integer> devices() {
    return IntStream.range(0, DEVICES)
        .filter(i -> functions[i * FUNCTIONS] != null)
        .boxed()
        .toList();
  }

  /** What its functions reach. */
  Upstream upstream() {
    return upstream;
  }

  /** The function that the address register names, or null. */
  private PciFunction selected(int word) {
    boolean bus0 = (word & 0x00ff_0000) == 0;
    return (word & ENABLE) != 0 && bus0 ? functions[word >>> 8 & 0xff] : null;
  }

  @Override
  public long read(long offset, int size) {
    int word = address;
    if (offset == ADDRESS && size == 4) {
      return word & ADDRESS_READABLE;
    }
    int within = (int) offset - DATA;
    PciFunction function = selected(word);
    // The address register answers whole words only.
    if (within < 0 || within + size > 4 || function == null) {
      return -1;
    }
    int register = word & 0xff | within;
    return register + size > PciFunction.CONFIG_SIZE ? -1 : function.readConfig(register, size);
  }

  @Override
  public void write(long offset, int size, long value) {
    if (offset == ADDRESS && size == 4) {
      address = (int) value & ADDRESS_WRITABLE;
      return;
    }
    int word = address;
    int within = (int) offset - DATA;
    PciFunction function = selected(word);
    int register = word & 0xff | within;
    boolean there = within >= 0 && within + size <= 4 && function != null;
    if (there && register + size <= PciFunction.CONFIG_SIZE) {
      function.writeConfig(register, size, value);
    }
  }

  /**
   * The enhanced configuration access mechanism of bus 0 (PCI Express Base specification 3.0,
   * 7.2.2): {@link #ECAM_LENGTH} bytes of memory, 4096 for each function. Accesses of any size and
   * alignment are served.
   */
  public BusDevice ecam() {
    return new Ecam();
  }

  private final class Ecam implements BusDevice {
    private static final int SPACE = 4096;

    @Override
    public long read(long offset, int size) {
      int at = (int) offset & SPACE - 1;
      PciFunction function = functions[(int) offset / SPACE];
      if (at + size <= PciFunction.CONFIG_SIZE) {
        return function == null ? -1 : function.readConfig(at, size);
      }
      long value = -1;
      for (int i = 0; size > 1 && i < size; i++) {
        value ^= (~read(offset + i, 1) & 0xff) << (8 * i);
      }
      return value;
    }

    @Override
    public void write(long offset, int size, long value) {
      int at = (int) offset & SPACE - 1;
      PciFunction function = functions[(int) offset / SPACE];
      if (at + size <= PciFunction.CONFIG_SIZE) {
        if (function != null) {
          function.writeConfig(at, size, value);
        }
        return;
      }
      for (int i = 0; size > 1 && i < size; i++) {
        write(offset + i, 1, value >>> (8 * i));
      }
    }
  }

  /** Resets the bus and everything on it. */
  public void reset() {
    address = 0;
    functions().forEach(PciFunction::reset);
  }

  @Override
  public String stateName() {
    return "pci-host";
  }

  @Override
  public void save(StateWriter out) {
    out.putInt(address);
  }

  @Override
  public void load(StateReader in) throws StateException {
    address = in.getInt() & ADDRESS_WRITABLE;
  }
}
