package dev.bothy.machine;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.MachineClock;
import dev.bothy.device.pci.PciFunction;
import java.util.concurrent.Executor;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

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
    /**
     * Platform threads, kept for a while: to hand a request to one of them costs half of what a new
     * virtual thread does, and one that waits for a file keeps nobody from a processor.
     */
    private static final Executor THREADS =
        new ThreadPoolExecutor(
            0,
            Integer.MAX_VALUE,
            10,
            TimeUnit.SECONDS,
            new SynchronousQueue<>(),
            Thread.ofPlatform().daemon().name("bothy-io-", 1).factory());

    /** Runs what may wait for the host: in threads of its own, unless that can be noticed. */
    public Executor io() {
      return reproducible ? Runnable::run : THREADS;
    }
  }

  /** A new function, which the machine closes. */
  PciFunction create(Host host);
}
