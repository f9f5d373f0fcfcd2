package dev.bothy.core;

/**
 * A wire into an interrupt controller. The device that drives it knows neither PIC, IOAPIC nor KVM.
 * Any thread.
 */
@FunctionalInterface
public interface IrqLine {
  /** A wire that leads nowhere. */
  static IrqLine none() {
    // No constant: lambdas of an interface that has one to initialize are in no cache of classes.
    return high -> {};
  }

  /** Drives the wire; setting the level that it has is harmless. */
  void set(boolean high);

  /** A rising and a falling edge. */
  default void pulse() {
    set(true);
    set(false);
  }
}
