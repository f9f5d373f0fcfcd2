package dev.bothy.device.platform;

import dev.bothy.core.BusDevice;
import dev.bothy.core.IrqLine;
import dev.bothy.core.MachineClock;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;

/** ACPI fixed hardware: PM1a event and control, PM timer, GPE0. */
public final class AcpiPm implements BusDevice, Stateful {
  /** Port of the block; everything else is relative to it. */
  public static final int BASE = 0x600;
  public static final int PM1A_EVENT = 0x00;
  public static final int PM1A_CONTROL = 0x04;
  public static final int PM_TIMER = 0x08;
  /** Four bytes: two of status, two of enable. */
  public static final int GPE0 = 0x20;
  public static final int LENGTH = 0x40;
  /** SLP_TYP of S5 in the DSDT's _S5_ package. */
  public static final int SLEEP_TYPE_S5 = 5;
  public static final int SCI_IRQ = 9;

  public AcpiPm(MachineClock clock, IrqLine sci, Runnable powerOff) {}

  /** Presses the power button. */
  public void pressPowerButton() {}

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "acpi-pm";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}

  public void reset() {}
}
