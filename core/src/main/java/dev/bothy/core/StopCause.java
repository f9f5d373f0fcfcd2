package dev.bothy.core;

/** Why a vCPU has stopped for a debugger of the machine. */
public sealed interface StopCause {
  /** {@link Vcpu#step} is done. */
  record Stepped() implements StopCause {}

  /** The instruction at RIP, at a linear address, is to be looked at before it runs. */
  record Breakpoint(long address) implements StopCause {}

  /** The instruction before RIP has made an access; {@code address} is its first watched byte. */
  record Watched(StopPoints.Watchpoint point, long address) implements StopCause {}
}
