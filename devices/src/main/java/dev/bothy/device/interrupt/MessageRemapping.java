package dev.bothy.device.interrupt;

/** What becomes of interrupt messages on their way to the local APICs. Any thread. */
public interface MessageRemapping {
  /** The requester of messages that come from an I/O APIC, inside the chipset. */
  int IO_APIC = -1;

  /** A write of {@code data} to {@code address}. */
  record Message(long address, int data) {}

  /**
   * What {@code message} of {@code requester} becomes, or null if it is not let through.
   *
   * @param sent it is under way, so that a refusal is to be reported
   */
  Message remap(int requester, Message message, boolean sent);
}
