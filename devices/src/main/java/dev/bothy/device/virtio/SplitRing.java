package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.lang.invoke.VarHandle;

/** A split virtqueue: Virtual I/O Device (VIRTIO) 1.2, section 2.7. */
final class SplitRing extends Ring {
  static final int MAX_SIZE = 32768;

  // Both the available and the used ring start with flags and the index of the next entry.
  private static final int FLAGS = 0;
  private static final int INDEX = 2;
  private static final int ENTRIES = 4;
  private static final int AVAILABLE_ENTRY = 2;
  private static final int USED_ENTRY = 8;

  private static final int NO_INTERRUPT = 1;
  private static final int NO_NOTIFY = 1;

  private final long descriptors;
  private final long available;
  private final long used;

  /** Entries taken, and done, each in 16 bits. */
  private int taken;

  private int done;

  /** How far the driver knows of {@link #done}. */
  private int published;

  /** The driver's index when it was last read. */
  private int seen;

  SplitRing(
      GuestMemory memory, int size, long features, long descriptors, long available, long used)
      throws VirtqueueException {
    super(memory, size, features);
    this.descriptors = descriptors;
    this.available = available;
    this.used = used;
    if (size <= 0 || size > MAX_SIZE || Integer.bitCount(size) != 1) {
      throw new VirtqueueException("a split queue of " + size);
    }
    // With what the event index takes behind the entries.
    if ((descriptors & 15) != 0
        || (available & 1) != 0
        || (used & 3) != 0
        || !memory.contains(descriptors, (long) size * DESCRIPTOR_SIZE)
        || !memory.contains(available, ENTRIES + AVAILABLE_ENTRY * size + 2)
        || !memory.contains(used, ENTRIES + USED_ENTRY * size + 2)) {
      throw new VirtqueueException("a queue that is misplaced");
    }
  }

  @Override
  boolean available() throws VirtqueueException {
    if (seen == taken) {
      seen = memory.readShortAcquire(available + INDEX);
      if ((seen - taken & 0xffff) > size) {
        throw new VirtqueueException("more requests than the queue has room for");
      }
    }
    return seen != taken;
  }

  @Override
  DescriptorChain poll() throws VirtqueueException {
    if (!available()) {
      return null;
    }
    int head = memory.readShort(available + ENTRIES + AVAILABLE_ENTRY * (taken & size - 1));
    if (head >= size) {
      throw new VirtqueueException("descriptor " + head + " of " + size);
    }
    DescriptorChain chain = follow(head);
    taken = taken + 1 & 0xffff;
    return chain;
  }

  private DescriptorChain follow(int head) throws VirtqueueException {
    DescriptorChain.Builder chain = new DescriptorChain.Builder(memory);
    long table = descriptors;
    int limit = size;
    int next = head;
    int steps = 0;
    while (true) {
      // A loop is a chain longer than its table.
      if (next >= limit || ++steps > limit) {
        throw new VirtqueueException("a chain that leaves its table, or a loop");
      }
      long at = table + (long) next * DESCRIPTOR_SIZE;
      long address = memory.readLong(at);
      long rest = memory.readLong(at + 8);
      int length = (int) rest;
      int flags = (int) (rest >>> 32) & 0xffff;
      if ((flags & INDIRECT) != 0) {
        if (table != descriptors) {
          throw new VirtqueueException("an indirect table in an indirect table");
        }
        limit = indirectCount(address, length, flags);
        table = address;
        next = 0;
        steps = 0;
        continue;
      }
      chain.add(address, length, (flags & WRITE) != 0);
      if ((flags & NEXT) == 0) {
        return chain.build(head, 1);
      }
      next = (int) (rest >>> 48);
    }
  }

  @Override
  void undo(DescriptorChain chain) {
    taken = taken - 1 & 0xffff;
  }

  @Override
  void complete(DescriptorChain chain, int written) {
    long entry = used + ENTRIES + (long) USED_ENTRY * (done & size - 1);
    memory.writeLong(entry, chain.id | (long) written << 32);
    done = done + 1 & 0xffff;
  }

  @Override
  boolean publish() {
    if (published == done) {
      return false;
    }
    int old = published;
    published = done;
    memory.writeShortRelease(used + INDEX, done);
    // The driver writes what it wants and then looks at the index: we the other way round.
    VarHandle.fullFence();
    return events
        ? passed(memory.readShort(available + ENTRIES + AVAILABLE_ENTRY * size), done, old)
        : (memory.readShort(available + FLAGS) & NO_INTERRUPT) == 0;
  }

  @Override
  void wantNotifications(boolean wanted) {
    if (!events) {
      memory.writeShort(used + FLAGS, wanted ? 0 : NO_NOTIFY);
    } else if (wanted) {
      memory.writeShort(used + ENTRIES + (long) USED_ENTRY * size, taken);
    }
    // Else the driver has passed the event that it was told, and keeps quiet.
    if (wanted) {
      VarHandle.fullFence();
    }
  }

  @Override
  void save(StateWriter out) {
    out.putInt(taken).putInt(done).putInt(published);
  }

  @Override
  void load(StateReader in) throws StateException {
    taken = in.getInt(0, 0xffff);
    done = in.getInt(0, 0xffff);
    published = in.getInt(0, 0xffff);
    seen = taken;
  }
}
