package dev.bothy.device.interrupt;

import dev.bothy.core.CpuEvents;
import dev.bothy.core.MachineClock;
import dev.bothy.core.MsiSink;

/** Connects local APICs, I/O APIC, 8259 pair and message-signalled interrupts. */
public final class ApicBus implements MsiSink {
  /** Makes {@code processors} local APICs with ids from 0; id 0 is the boot processor's. */
  public ApicBus(MachineClock clock, int processors) {}

  /** Local APIC {@code index}. */
  public LocalApic localApic(int index) {
    return null;
  }

  /** Tells where to signal processor {@code index}; until then its signals go nowhere. */
  public void connect(int index, CpuEvents events) {}

  @Override
  public void send(long address, int data) {}
}
