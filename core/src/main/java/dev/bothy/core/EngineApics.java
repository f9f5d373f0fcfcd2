package dev.bothy.core;

/**
 * The local APICs of a machine whose {@linkplain EngineApic engine has them itself}: where messages
 * go, and who is told of ends of interrupt. Any thread.
 */
public interface EngineApics extends MsiSink {
  /**
   * Delivers the message of {@link #send}.
   *
   * @return false if no APIC takes it
   */
  boolean deliver(long address, int data);

  @Override
  default void send(long address, int data) {
    deliver(address, data);
  }

  /**
   * Pin {@code pin} of the I/O APIC sends this message from now on, level-triggered: when the
   * interrupt ends, the processor's {@link LocalInterruptController#endOfInterrupt} is called.
   */
  void watchPin(int pin, long address, int data);

  /** Nobody wants to hear of the ends of that pin's interrupts. */
  void forgetPin(int pin);
}
