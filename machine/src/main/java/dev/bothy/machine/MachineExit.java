package dev.bothy.machine;

/** How a machine ended. */
public sealed interface MachineExit {
  /** The guest switched the machine off. */
  record PoweredOff() implements MachineExit {}

  /** The guest reset a machine that is not to restart. */
  record Reset() implements MachineExit {}

  /** Triple fault. {@code report} tells registers and code bytes for people. */
  record TripleFault(String report) implements MachineExit {}

  /** The engine cannot go on; {@code report} tells why. */
  record EngineFailed(String report) implements MachineExit {}

  /** The guest wrote {@code code} to the debug-exit port. */
  record DebugExit(int code) implements MachineExit {}

  /** The time that the machine was given is over. */
  record TimedOut() implements MachineExit {}

  /** Somebody stopped it from outside. */
  record Stopped() implements MachineExit {}

  /** Something on the host's side went wrong; {@code message} is for the user. */
  record HostError(String message, Throwable cause) implements MachineExit {}
}
