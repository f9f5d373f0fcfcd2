package dev.bothy.core;

/**
 * The synthetic interrupt controllers of a machine's vCPUs, as devices use them: sixteen sources
 * each. Any thread while the machine is there; a vCPU or source that does not exist, or that its
 * guest has not enabled, does nothing.
 */
public interface SyntheticInterruptTarget {
  /** Interrupts. */
  void interrupt(int vcpu, int source);

  /**
   * Puts a message into the source's place, and interrupts.
   *
   * @return false if the place is taken: {@link SyntheticConnections#endOfMessage} follows
   */
  boolean post(int vcpu, int source, int type, byte[] payload);

  /** Sets one of the source's 2048 flags, and interrupts if it was clear. */
  void setFlag(int vcpu, int source, int flag);
}
