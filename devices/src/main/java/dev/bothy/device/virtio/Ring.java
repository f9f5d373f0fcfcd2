package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;

/**
 * How requests lie in guest memory: the device's end of a split or a packed ring. Everything in
 * there is shared with vCPUs that run. Guarded by its {@link Virtqueue}.
 */
abstract sealed class Ring permits SplitRing, PackedRing, TracedRing {
  static final int DESCRIPTOR_SIZE = 16;

  // Flags of a descriptor.
  static final int NEXT = 1;
  static final int WRITE = 2;
  static final int INDIRECT = 4;

  /**
   * Descriptors that an indirect table may have. A driver must not make a chain longer than its
   * queue (2.7.5.3.1), but some do when the queue is small.
   */
  static final int INDIRECT_LIMIT = 1024;

  final GuestMemory memory;
  final int size;
  final boolean events;
  private final boolean indirect;

  Ring(GuestMemory memory, int size, long features) {
    this.memory = memory;
    this.size = size;
    this.events = (features & VirtioDevice.F_EVENT_IDX) != 0;
    this.indirect = (features & VirtioDevice.F_INDIRECT_DESC) != 0;
  }

  /** The next request, or null if there is none. */
  abstract DescriptorChain poll() throws VirtqueueException;

  /** Puts back the request that was taken last. */
  abstract void undo(DescriptorChain chain);

  /** Notes that a request is done; the driver learns of it by {@link #publish}. */
  abstract void complete(DescriptorChain chain, int written);

  /** Shows the driver what is done; true if it wants an interrupt for it. */
  abstract boolean publish();

  /** Asks the driver to be notified of requests, or not to. */
  abstract void wantNotifications(boolean wanted);

  /** True if a request waits. */
  abstract boolean available() throws VirtqueueException;

  abstract void save(StateWriter out);

  abstract void load(StateReader in) throws StateException;

  /**
   * Checks the descriptor that refers to a table (2.7.5.3, 2.8.7).
   *
   * @return descriptors in the table
   */
  final int indirectCount(long address, int length, int flags) throws VirtqueueException {
    int count = length >>> 4;
    if (!indirect
        || (flags & NEXT) != 0
        || (length & DESCRIPTOR_SIZE - 1) != 0
        || count == 0
        || count > INDIRECT_LIMIT
        || !memory.contains(address, length)) {
      throw new VirtqueueException("an indirect table of " + (length & 0xffff_ffffL) + " bytes");
    }
    return count;
  }

  /**
   * True if the event that the other side waits for lies in {@code (old, now]}, in 16 bits
   * (2.7.10.2).
   */
  static boolean passed(int event, int now, int old) {
    return (now - event - 1 & 0xffff) < (now - old & 0xffff);
  }
}
