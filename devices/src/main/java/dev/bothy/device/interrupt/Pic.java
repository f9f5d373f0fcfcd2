package dev.bothy.device.interrupt;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.IrqLine;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/**
 * Pair of 8259A interrupt controllers (Intel 8259A data sheet), the slave on input 2 of the master,
 * with the edge/level control registers of a PCI chip set. The output is LINT0 of every local APIC.
 */
public final class Pic implements Stateful {
  public static final int MASTER_PORT = 0x20;
  public static final int SLAVE_PORT = 0xA0;
  public static final int ELCR_PORT = 0x4D0;

  private static final int CASCADE = 2;

  private final Chip master = new Chip(0xf8, 1 << CASCADE);
  private final Chip slave = new Chip(0xde, 0);
  private final IrqOutput intr;

  /** The INTR wire, as the local APICs may look at any time. */
  private volatile boolean output;

  /** Makes the pair and connects it to {@code bus}. */
  public Pic(ApicBus bus) {
    intr = new IrqOutput(bus::driveLint0);
    bus.connect(this);
  }

  /** The wire of input {@code irq}, 0 to 15 but 2. */
  public IrqLine input(int irq) {
    if (irq < 0 || irq > 15 || irq == CASCADE) {
      throw new IllegalArgumentException("8259 input " + irq);
    }
    Chip chip = irq < 8 ? master : slave;
    return high -> {
      synchronized (this) {
        chip.drive(irq & 7, high);
        update();
      }
      intr.drive();
    };
  }

  /** Maps the registers at their usual ports. */
  public void attach(AddressSpace ports) {
    ports.map("pic", MASTER_PORT, 2, new Registers(master));
    ports.map("pic", SLAVE_PORT, 2, new Registers(slave));
    ports.map("pic", ELCR_PORT, 2, new EdgeLevelControl());
  }

  /** True while the pair asks for an interrupt. */
  boolean output() {
    return output;
  }

  /** INTA cycle: the vector; that of input 7 of a chip whose request has gone meanwhile. */
  int acknowledge() {
    int vector;
    synchronized (this) {
      int input = master.acknowledge();
      vector = input == CASCADE ? slave.base | slave.acknowledge() : master.base | input;
      update();
    }
    intr.drive();
    return vector;
  }

  /** Undoes an INTA cycle; false unless {@code vector} is that of an input in service. */
  boolean giveBack(int vector) {
    synchronized (this) {
      boolean ofMaster = master.base == (vector & 0xf8) && master.giveBack(vector & 7);
      boolean ofSlave = !ofMaster && slave.base == (vector & 0xf8) && slave.giveBack(vector & 7);
      if (!ofMaster && !ofSlave) {
        return false;
      }
      if (ofSlave) {
        master.giveBack(CASCADE);
      }
      update();
    }
    intr.drive();
    return true;
  }

  private void update() {
    master.drive(CASCADE, slave.request() >= 0);
    output = master.request() >= 0;
    intr.want(output);
  }

  /** One 8259A. */
  private static final class Chip {
    /** Inputs that the board allows to be level-triggered. */
    final int levelCapable;

    /**
     * The master's input 2 follows the slave's output: a request that the slave withdraws is no
     * more.
     */
    final int following;

    int requests;
    int inService;
    int mask;
    int lines;
    int level;
    int base;

    /** Input of the lowest priority; the next one has the highest. */
    int lowest;

    /** ICW expected next at the data port: 2, 3, 4, or 0 for none. */
    int expected;

    boolean needsIcw4;
    boolean single;
    boolean autoEoi;
    boolean rotateOnAutoEoi;
    boolean fullyNested;
    boolean specialMask;
    boolean readInService;
    boolean poll;

    Chip(int levelCapable, int following) {
      this.levelCapable = levelCapable;
      this.following = following;
      reset();
    }

    void reset() {
      level = 0;
      initialize();
      base = 0;
      expected = 0;
      needsIcw4 = false;
      single = false;
    }

    /** What ICW1 does. */
    void initialize() {
      requests = lines & level;
      inService = 0;
      mask = 0;
      lowest = 7;
      autoEoi = false;
      rotateOnAutoEoi = false;
      fullyNested = false;
      specialMask = false;
      readInService = false;
      poll = false;
    }

    void drive(int input, boolean high) {
      int bit = 1 << input;
      boolean rising = high && (lines & bit) == 0;
      lines = high ? lines | bit : lines & ~bit;
      if (((level | following) & bit) != 0) {
        requests = high ? requests | bit : requests & ~bit;
      } else if (rising) {
        requests |= bit;
      }
    }

    /** Place of {@code input} in the order of priority: 0 is the highest. */
    private int rank(int input) {
      return input - lowest - 1 & 7;
    }

    private int highest(int set) {
      for (int i = 1; i <= 8; i++) {
        int input = lowest + i & 7;
        if ((set >>> input & 1) != 0) {
          return input;
        }
      }
      return -1;
    }

    /** The input that interrupts, or -1. */
    int request() {
      int input = highest(requests & ~mask & (specialMask ? ~inService : -1));
      if (input < 0 || specialMask) {
        return input;
      }
      // Special fully nested mode: the slave may interrupt its own service.
      int serving = highest(fullyNested ? inService & ~(1 << CASCADE) : inService);
      return serving < 0 || rank(input) < rank(serving) ? input : -1;
    }

    int acknowledge() {
      int input = request();
      if (input < 0) {
        return 7;
      }
      int bit = 1 << input;
      if ((level & bit) == 0) {
        requests &= ~bit;
      }
      if (autoEoi) {
        lowest = rotateOnAutoEoi ? input : lowest;
      } else {
        inService |= bit;
      }
      return input;
    }

    boolean giveBack(int input) {
      int bit = 1 << input;
      boolean served = (inService & bit) != 0;
      if (served) {
        inService &= ~bit;
        requests |= bit & ~(level | following);
      }
      return served;
    }

    int read(int port) {
      if (poll) {
        poll = false;
        return request() < 0 ? 0 : 0x80 | acknowledge();
      }
      return port != 0 ? mask : readInService ? inService : requests;
    }

    void write(int port, int value) {
      if (port != 0) {
        writeData(value);
      } else if ((value & 0x10) != 0) {
        initialize();
        needsIcw4 = (value & 1) != 0;
        single = (value & 2) != 0;
        expected = 2;
      } else if ((value & 8) != 0) {
        writeOcw3(value);
      } else {
        writeOcw2(value);
      }
    }

    private void writeData(int value) {
      switch (expected) {
        case 2 -> {
          base = value & 0xf8;
          expected = single ? needsIcw4 ? 4 : 0 : 3;
        }
        case 3 -> expected = needsIcw4 ? 4 : 0;
        case 4 -> {
          autoEoi = (value & 2) != 0;
          fullyNested = (value & 0x10) != 0;
          expected = 0;
        }
        default -> mask = value;
      }
    }

    private void writeOcw3(int value) {
      poll = (value & 4) != 0;
      if ((value & 2) != 0) {
        readInService = (value & 1) != 0;
      }
      if ((value & 0x40) != 0) {
        specialMask = (value & 0x20) != 0;
      }
    }

    private void writeOcw2(int value) {
      int input = value & 7;
      switch (value >>> 5) {
        case 0 -> rotateOnAutoEoi = false;
        case 1 -> endOfInterrupt(false);
        case 3 -> inService &= ~(1 << input);
        case 4 -> rotateOnAutoEoi = true;
        case 5 -> endOfInterrupt(true);
        case 6 -> lowest = input;
        case 7 -> {
          inService &= ~(1 << input);
          lowest = input;
        }
        default -> {
          // 2: no operation
        }
      }
    }

    private void endOfInterrupt(boolean rotate) {
      // In special mask mode an input that is masked is passed over.
      int input = highest(specialMask ? inService & ~mask : inService);
      if (input >= 0) {
        inService &= ~(1 << input);
        lowest = rotate ? input : lowest;
      }
    }

    void setLevel(int value) {
      level = value & levelCapable;
      requests = requests & ~level | lines & level;
    }

    void save(StateWriter out) {
      out.putByte(requests).putByte(inService).putByte(mask).putByte(lines).putByte(level);
      out.putByte(base).putByte(lowest).putByte(expected);
      out.putBoolean(needsIcw4).putBoolean(single).putBoolean(autoEoi);
      out.putBoolean(rotateOnAutoEoi).putBoolean(fullyNested).putBoolean(specialMask);
      out.putBoolean(readInService).putBoolean(poll);
    }

    void load(StateReader in) throws StateException {
      requests = in.getByte();
      inService = in.getByte();
      mask = in.getByte();
      lines = in.getByte();
      level = in.getByte() & levelCapable;
      base = in.getByte() & 0xf8;
      lowest = in.getByte() & 7;
      expected = in.getByte();
      needsIcw4 = in.getBoolean();
      single = in.getBoolean();
      autoEoi = in.getBoolean();
      rotateOnAutoEoi = in.getBoolean();
      fullyNested = in.getBoolean();
      specialMask = in.getBoolean();
      readInService = in.getBoolean();
      poll = in.getBoolean();
    }
  }

  /** The two ports of one chip. */
  private final class Registers implements BusDevice {
    private final Chip chip;

    Registers(Chip chip) {
      this.chip = chip;
    }

    @Override
    public long read(long offset, int size) {
      long value = 0;
      synchronized (Pic.this) {
        for (int i = 0; i < size; i++) {
          value |= (long) chip.read((int) offset + i & 1) << (8 * i);
        }
        update();
      }
      intr.drive();
      return value;
    }

    @Override
    public void write(long offset, int size, long value) {
      synchronized (Pic.this) {
        for (int i = 0; i < size; i++) {
          chip.write((int) offset + i & 1, (int) (value >>> (8 * i)) & 0xff);
        }
        update();
      }
      intr.drive();
    }
  }

  /** One bit an input: 1 makes it level-triggered. */
  private final class EdgeLevelControl implements BusDevice {
    @Override
    public long read(long offset, int size) {
      synchronized (Pic.this) {
        int both = master.level | slave.level << 8;
        return both >>> (8 * (offset & 1));
      }
    }

    @Override
    public void write(long offset, int size, long value) {
      synchronized (Pic.this) {
        for (int i = 0; i < Math.min(size, 2); i++) {
          Chip chip = (offset + i & 1) == 0 ? master : slave;
          chip.setLevel((int) (value >>> (8 * i)) & 0xff);
        }
        update();
      }
      intr.drive();
    }
  }

  public void reset() {
    synchronized (this) {
      master.reset();
      slave.reset();
      update();
    }
    intr.drive();
  }

  @Override
  public String stateName() {
    return "pic";
  }

  @Override
  public synchronized void save(StateWriter out) {
    master.save(out);
    slave.save(out);
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    master.load(in);
    slave.load(in);
    output = master.request() >= 0;
    intr.restore(output);
  }
}
