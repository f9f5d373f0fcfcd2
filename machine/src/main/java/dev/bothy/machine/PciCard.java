package dev.bothy.machine;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.MachineClock;
import dev.bothy.device.pci.PciFunction;

/** A PCI function that a machine is to have: makes it, once, while the machine is made. */
@FunctionalInterface
public interface PciCard {
  /**
   * The machine as a function sees it.
   *
   * @param memory guest RAM, there until the function is closed
   */
  record Host(GuestMemory memory, MachineClock clock) {}

  /** A new function, which the machine closes. */
  PciFunction create(Host host);
}
