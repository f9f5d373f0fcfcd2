package dev.bothy.device.pci;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** PCI root bus 0 with configuration mechanism 1, ports 0xCF8 to 0xCFF. Has a host bridge at 00:00.0. */
public final class PciHost implements BusDevice, Stateful {
  public static final int PORT = 0xCF8;
  public static final int LENGTH = 8;

  public PciHost(AddressSpace ports, AddressSpace mmio) {}

  /** Puts a function at bus 0. */
  public void add(int device, int function, PciFunction card) {}

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "pci-host";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
