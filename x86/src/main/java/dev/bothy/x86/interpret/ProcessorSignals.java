package dev.bothy.x86.interpret;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * INIT, NMIs, start-up IPIs and expiries that other threads have sent to a processor. Any thread.
 */
final class ProcessorSignals {
  /** A start-up IPI; its page is in the low byte. */
  static final int STARTUP = 0x100;

  static final int INIT = 0x200;
  static final int NMI = 0x400;

  /** One more NMI than {@link #NMI} alone. */
  static final int NMI_AGAIN = 0x800;

  /** A synthetic timer is due. */
  static final int TIMER = 0x1000;

  static final int SMI = 0x2000;

  private final AtomicInteger bits = new AtomicInteger();

  void add(int more) {
    bits.getAndUpdate(old -> old | more);
  }

  void addNmi() {
    bits.getAndUpdate(old -> (old & NMI) != 0 ? old | NMI_AGAIN : old | NMI);
  }

  /** Makes earlier start-up IPIs meaningless. */
  void addInit() {
    bits.getAndUpdate(old -> old & ~(STARTUP | 0xff) | INIT);
  }

  /** Replaces an earlier one. */
  void addStartup(int page) {
    bits.getAndUpdate(old -> old & ~0xff | STARTUP | page & 0xff);
  }

  boolean any() {
    return bits.get() != 0;
  }

  /** All, which are forgotten here. */
  int take() {
    return bits.getAndSet(0);
  }
}
