package dev.bothy.device.pci;

import dev.bothy.core.MsiSink;

/**
 * What functions of a bus reach beyond it: processors by messages, and memory. A function is its
 * number on the bus, eight for each device, which is its requester id there. Any thread.
 */
public interface Upstream {
  /** The result for an access that is not let through. */
  long BLOCKED = -1;

  /** Where messages of {@code function} go. */
  MsiSink messages(int function);

  /**
   * Where in memory {@code function}'s access of 1 byte to {@code address} goes, or {@link
   * #BLOCKED}; those behind it on the same 4 KiB page go behind that.
   */
  long physical(int function, long address, boolean write);

  /** Everything reaches {@code messages} and memory as it is. */
  static Upstream direct(MsiSink messages) {
    return new Upstream() {
      @Override
      public MsiSink messages(int function) {
        return messages;
      }

      @Override
      public long physical(int function, long address, boolean write) {
        return address;
      }
    };
  }
}
