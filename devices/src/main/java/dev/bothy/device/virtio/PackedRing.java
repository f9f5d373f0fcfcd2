package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.lang.invoke.VarHandle;

/** A packed virtqueue: Virtual I/O Device (VIRTIO) 1.2, section 2.8. */
final class PackedRing extends Ring {
  static final int MAX_SIZE = 32768;

  // A descriptor.
  private static final int LENGTH = 8;
  private static final int ID = 12;
  private static final int FLAGS = 14;
  private static final int AVAILABLE = 1 << 7;
  private static final int USED = 1 << 15;

  // An event suppression area.
  private static final int EVENT = 0;
  private static final int EVENT_FLAGS = 2;
  private static final int EVENT_ENABLE = 0;
  private static final int EVENT_DISABLE = 1;
  private static final int EVENT_AT = 2;

  private final long ring;
  private final long driverEvents;
  private final long deviceEvents;

  /** Where the next request and the next answer are, and the wrap counters there. */
  private int next;

  private boolean nextWrap = true;
  private int answer;
  private boolean answerWrap = true;

  // Answers that the driver does not know of: the first one's flags are written last.
  private int pendingSlots;
  private long firstPending;
  private int firstFlags;

  PackedRing(
      GuestMemory memory, int size, long features, long ring, long driverEvents, long deviceEvents)
      throws VirtqueueException {
    super(memory, size, features);
    this.ring = ring;
    this.driverEvents = driverEvents;
    this.deviceEvents = deviceEvents;
    if (size <= 0 || size > MAX_SIZE) {
      throw new VirtqueueException("a packed queue of " + size);
    }
    if ((ring & 15) != 0
        || (driverEvents & 3) != 0
        || (deviceEvents & 3) != 0
        || !memory.contains(ring, (long) size * DESCRIPTOR_SIZE)
        || !memory.contains(driverEvents, 4)
        || !memory.contains(deviceEvents, 4)) {
      throw new VirtqueueException("a queue that is misplaced");
    }
  }

  private boolean isAvailable(int flags) {
    return (flags & AVAILABLE) != 0 == nextWrap && (flags & USED) != 0 != nextWrap;
  }

  @Override
  boolean available() {
    return isAvailable(memory.readShortAcquire(ring + (long) next * DESCRIPTOR_SIZE + FLAGS));
  }

  @Override
  DescriptorChain poll() throws VirtqueueException {
    int at = next;
    int flags = memory.readShortAcquire(ring + (long) at * DESCRIPTOR_SIZE + FLAGS);
    if (!isAvailable(flags)) {
      return null;
    }
    DescriptorChain.Builder chain = new DescriptorChain.Builder(memory);
    int slots = 0;
    while (true) {
      if (++slots > size) {
        throw new VirtqueueException("a chain longer than its queue");
      }
      long descriptor = ring + (long) at * DESCRIPTOR_SIZE;
      long address = memory.readLong(descriptor);
      long rest = memory.readLong(descriptor + LENGTH);
      int length = (int) rest;
      if (slots > 1) {
        flags = (int) (rest >>> 48);
      }
      if ((flags & INDIRECT) != 0) {
        if (slots > 1) {
          throw new VirtqueueException("an indirect table within a chain");
        }
        addTable(chain, address, indirectCount(address, length, flags));
      } else {
        chain.add(address, length, (flags & WRITE) != 0);
      }
      if ((flags & NEXT) == 0) {
        advance(slots);
        return chain.build((int) (rest >>> 32) & 0xffff, slots);
      }
      at = at + 1 == size ? 0 : at + 1;
    }
  }

  private void addTable(DescriptorChain.Builder chain, long table, int count)
      throws VirtqueueException {
    for (int i = 0; i < count; i++) {
      long descriptor = table + (long) i * DESCRIPTOR_SIZE;
      long address = memory.readLong(descriptor);
      long rest = memory.readLong(descriptor + LENGTH);
      int flags = (int) (rest >>> 48);
      if ((flags & INDIRECT) != 0) {
        throw new VirtqueueException("an indirect table in an indirect table");
      }
      chain.add(address, (int) rest, (flags & WRITE) != 0);
    }
  }

  private void advance(int slots) {
    next += slots;
    if (next >= size) {
      next -= size;
      nextWrap = !nextWrap;
    }
  }

  @Override
  void undo(DescriptorChain chain) {
    next -= chain.slots;
    if (next < 0) {
      next += size;
      nextWrap = !nextWrap;
    }
  }

  @Override
  void complete(DescriptorChain chain, int written) {
    long descriptor = ring + (long) answer * DESCRIPTOR_SIZE;
    int flags = (answerWrap ? AVAILABLE | USED : 0) | (written != 0 ? WRITE : 0);
    memory.writeInt(descriptor + LENGTH, written);
    memory.writeShort(descriptor + ID, chain.id);
    if (pendingSlots == 0) {
      firstPending = descriptor;
      firstFlags = flags;
    } else {
      memory.writeShortRelease(descriptor + FLAGS, flags);
    }
    pendingSlots += chain.slots;
    answer += chain.slots;
    if (answer >= size) {
      answer -= size;
      answerWrap = !answerWrap;
    }
  }

  @Override
  boolean publish() {
    if (pendingSlots == 0) {
      return false;
    }
    memory.writeShortRelease(firstPending + FLAGS, firstFlags);
    int old = answer - pendingSlots;
    pendingSlots = 0;
    // The driver writes what it wants and then looks at the ring: we the other way round.
    VarHandle.fullFence();
    int wish = memory.readShortAcquire(driverEvents + EVENT_FLAGS) & 3;
    if (wish != EVENT_AT || !events) {
      return wish != EVENT_DISABLE;
    }
    int event = memory.readShort(driverEvents + EVENT);
    int place = event & 0x7fff;
    if (event >>> 15 == 1 != answerWrap) {
      place -= size;
    }
    return passed(place, answer, old);
  }

  @Override
  void wantNotifications(boolean wanted) {
    if (!wanted) {
      memory.writeShort(deviceEvents + EVENT_FLAGS, EVENT_DISABLE);
      return;
    }
    if (events) {
      memory.writeShort(deviceEvents + EVENT, next | (nextWrap ? 1 << 15 : 0));
    }
    memory.writeShortRelease(deviceEvents + EVENT_FLAGS, events ? EVENT_AT : EVENT_ENABLE);
    VarHandle.fullFence();
  }

  @Override
  void save(StateWriter out) {
    out.putInt(next).putBoolean(nextWrap).putInt(answer).putBoolean(answerWrap);
  }

  @Override
  void load(StateReader in) throws StateException {
    next = in.getInt(0, size - 1);
    nextWrap = in.getBoolean();
    answer = in.getInt(0, size - 1);
    answerWrap = in.getBoolean();
    pendingSlots = 0;
  }
}
