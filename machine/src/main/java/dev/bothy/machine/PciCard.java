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
    /** Runs what may wait for the host: in threads of its own, unless that can be noticed. */
    public Executor io() {
      return reproducible ? Runnable::run : task -> Thread.ofVirtual().start(task);
    }

    /**
     * As {@link #io}, for what waits in calls of the C library, for files above all: a virtual
     * thread would keep others from their processor meanwhile.
     */
    public Executor files() {
      return reproducible ? Runnable::run : FILE_THREADS;
    }

    private static final Executor FILE_THREADS =
        new ThreadPoolExecutor(
            0,
            Integer.MAX_VALUE,
            10,
            TimeUnit.SECONDS,
            new SynchronousQueue<>(),
            Thread.ofPlatform().daemon().name("bothy-file-", 1).factory());
  }

  /** A new function, which the machine closes. */
  PciFunction create(Host host);
}
