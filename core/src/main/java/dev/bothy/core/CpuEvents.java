package dev.bothy.core;

/**
 * What interrupt hardware tells a vCPU. Any thread; returns at once; wakes the vCPU if it is
 * parked.
 */
public interface CpuEvents {
  /**
   * The local interrupt controller's answer to {@link LocalInterruptController#interruptPending}
   * may have become true.
   */
  void interruptChanged();

  void nmi();

  /** SMI: there is no system management mode; but a guest's guest may leave for it. */
  default void smi() {}

  /**
   * INIT: the processor resets its architectural state and waits for a start-up IPI (the boot
   * processor restarts).
   */
  void init();

  /** Start-up IPI: real mode at {@code page << 12}; ignored unless waiting for it. */
  void startup(int page);
}
