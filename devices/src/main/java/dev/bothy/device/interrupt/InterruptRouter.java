package dev.bothy.device.interrupt;

import dev.bothy.core.IrqLine;

/**
 * The board's interrupt wiring: ISA interrupt n goes to input n of the 8259 pair and pin n of the I/O APIC, but interrupt 0
 * goes to pin 2; PCI links A to D go to pins 16 to 19 and, for the 8259 pair, to inputs 10, 11, 10, 11.
 */
public final class InterruptRouter {
  /** Global system interrupt of PCI link A. */
  public static final int PCI_GSI = 16;

  public InterruptRouter(Pic pic, IoApic ioApic) {}

  /** The one wire of ISA interrupt {@code irq}, 0 to 15 but 2. */
  public IrqLine isa(int irq) {
    return IrqLine.NONE;
  }

  /** A new source on the shared wire of PCI link {@code (device + pin) mod 4}. @param pin 0 (INTA) to 3 (INTD) */
  public IrqLine pci(int device, int pin) {
    return IrqLine.NONE;
  }

  /** The wire of I/O APIC pin {@code gsi} alone, 20 to 23. */
  public IrqLine gsi(int gsi) {
    return IrqLine.NONE;
  }

  public void reset() {}
}
