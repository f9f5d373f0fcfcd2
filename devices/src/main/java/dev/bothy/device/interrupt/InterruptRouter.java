package dev.bothy.device.interrupt;

import dev.bothy.core.IrqLine;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import java.util.ArrayList;
import java.util.List;

/**
 * The board's interrupt wiring: ISA interrupt n goes to input n of the 8259 pair and pin n of the
 * I/O APIC, but interrupt 0 goes to pin 2; PCI links A to D go to pins 16 to 19 and are ISA
 * interrupts 10, 11, 10, 11 besides.
 */
public final class InterruptRouter implements Stateful {
  /** Global system interrupt of PCI link A. */
  public static final int PCI_GSI = 16;

  /** 8259 inputs of PCI links A to D. */
  private static final int[] PCI_INPUT = {10, 11, 10, 11};

  private final Pic pic;
  private final IoApic ioApic;

  /** Pins 16 to 19 of the I/O APIC. */
  private final SharedWire[] links = new SharedWire[4];

  /** ISA interrupts 10 and 11. */
  private final SharedWire[] inputs = new SharedWire[2];

  public InterruptRouter(Pic pic, IoApic ioApic) {
    this.pic = pic;
    this.ioApic = ioApic;
    for (int i = 0; i < 2; i++) {
      IrqLine input = pic.input(10 + i);
      IrqLine pin = ioApic.pin(10 + i);
      inputs[i] =
          new SharedWire(
              high -> {
                input.set(high);
                pin.set(high);
              });
    }
    for (int i = 0; i < 4; i++) {
      IrqLine pin = ioApic.pin(PCI_GSI + i);
      IrqLine input = inputs[PCI_INPUT[i] - 10].newSource();
      links[i] =
          new SharedWire(
              high -> {
                pin.set(high);
                input.set(high);
              });
    }
  }

  /** The wire of ISA interrupt {@code irq}, 0 to 15 but 2, for one device. */
  public IrqLine isa(int irq) {
    if (irq == 10 || irq == 11) {
      return inputs[irq - 10].newSource();
    }
    IrqLine input = pic.input(irq);
    IrqLine pin = ioApic.pin(irq == 0 ? 2 : irq);
    return high -> {
      input.set(high);
      pin.set(high);
    };
  }

  /**
   * A new source on the shared wire of PCI link {@code (device + pin) mod 4}.
   *
   * @param pin 0 (INTA) to 3 (INTD)
   */
  public IrqLine pci(int device, int pin) {
    return links[device + pin & 3].newSource();
  }

  /** What firmware writes into the interrupt line register of that device: the ISA interrupt. */
  public static int pciInterruptLine(int device, int pin) {
    return PCI_INPUT[device + pin & 3];
  }

  /** The wire of I/O APIC pin {@code gsi} alone, 20 to 23, for one device. */
  public IrqLine gsi(int gsi) {
    if (gsi < PCI_GSI + 4) {
      throw new IllegalArgumentException("global system interrupt " + gsi + " has other users");
    }
    return ioApic.pin(gsi);
  }

  /**
   * The wire of any interrupt, 0 to 23, for a test device: what {@link #isa}, {@link #pci} and
   * {@link #gsi} would give. Where a wire is one device's, whoever drives it last decides.
   */
  public IrqLine any(int interrupt) {
    if (interrupt == 2) {
      return IrqLine.none(); // the second 8259
    }
    if (interrupt < 16) {
      return isa(interrupt);
    }
    return interrupt < PCI_GSI + 4 ? links[interrupt - PCI_GSI].newSource() : gsi(interrupt);
  }

  @Override
  public String stateName() {
    return "interrupt-router";
  }

  @Override
  public void save(StateWriter out) {
    for (SharedWire wire : links) {
      wire.save(out);
    }
    for (SharedWire wire : inputs) {
      wire.save(out);
    }
  }

  @Override
  public void load(StateReader in) throws StateException {
    for (SharedWire wire : links) {
      wire.load(in);
    }
    for (SharedWire wire : inputs) {
      wire.load(in);
    }
  }

  /** A wire that is high while at least one of its sources is. */
  private static final class SharedWire {
    private final IrqOutput output;
    private final List<Boolean> sources = new ArrayList<>();

    SharedWire(IrqLine line) {
      output = new IrqOutput(line);
    }

    synchronized IrqLine newSource() {
      int index = sources.size();
      sources.add(false);
      return high -> {
        synchronized (this) {
          sources.set(index, high);
          output.want(sources.contains(true));
        }
        output.drive();
      };
    }

    synchronized void save(StateWriter out) {
      out.putInt(sources.size());
      sources.forEach(out::putBoolean);
    }

    synchronized void load(StateReader in) throws StateException {
      in.getInt(sources.size(), sources.size());
      for (int i = 0; i < sources.size(); i++) {
        sources.set(i, in.getBoolean());
      }
      output.restore(sources.contains(true));
    }
  }
}
