package dev.bothy.core;

/**
 * A local APIC that an engine has itself, for a vCPU that it runs: in the kernel, for example. The
 * machine's own, which {@link LocalInterruptController#moveTo} has given its registers to, asks for
 * them when it is looked at or saved, and hands on what is loaded. Both while the machine stands.
 */
public interface EngineApic {
  /** The registers as they are. Any thread. */
  ApicState read();

  /** Replaces them. Any thread. */
  void write(ApicState state);
}
