package dev.bothy.machine;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.MachineClock;
import dev.bothy.device.pci.PciFunction;
import java.util.concurrent.Executor;

/** A PCI function that a machine is to have: makes it, once, while the machine is made. */
@FunctionalInterface
public interface PciCard {
  /**
   * The machine as a function sees it.
   *
   * @param memory guest RAM, there until the function is closed
   * @param reproducible what the guest sees must not depend on the host: no random numbers, no
   *     threads of a device's own
   * @param pause pauses the machine soon; returns at once
   */
  record Host(
      GuestMemory memory, MachineClock clock, int cpus, boolean reproducible, Runnable pause) {
    /** Runs what may wait for the host: in threads of its own, unless that can be noticed. */
    public Executor io() {
      return reproducible ? Runnable::run : task -> Thread.ofVirtual().start(task);
    }
  }

  /** A new function, which the machine closes. */
  PciFunction create(Host host);
}
