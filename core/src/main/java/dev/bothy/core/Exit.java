package dev.bothy.core;

/** Why {@link Vcpu#run} returned. */
public sealed interface Exit {
  /** HLT: nothing to do until an interrupt, NMI, INIT or kick arrives. */
  record Halted() implements Exit {}

  /** Waiting for a start-up IPI: an application processor after reset or INIT. */
  record WaitingForStartup() implements Exit {}

  /** Triple fault. {@code report} tells registers and code bytes for people. */
  record Shutdown(String report) implements Exit {}

  /** {@link Vcpu#kick} was called. */
  record Kicked() implements Exit {}

  /** The instruction budget is used up. */
  record BudgetSpent() implements Exit {}

  /** A breakpoint, watchpoint or single step set by a debugger of the machine, not by the guest. */
  record DebugStop(StopCause cause) implements Exit {}

  /** The engine cannot go on; {@code report} tells why, with registers and code bytes. */
  record Failed(String report) implements Exit {}
}
