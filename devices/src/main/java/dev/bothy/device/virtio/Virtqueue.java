package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Consumer;

/**
 * A virtqueue from the device's side: Virtual I/O Device (VIRTIO) 1.2, sections 2.6 to 2.8. A
 * device takes requests with {@link #poll}, answers them in any order with {@link #complete}, and
 * lets the driver know with {@link VirtioDevice#publish}.
 *
 * <p>Any thread. What a driver puts into a ring is checked when it is taken: whatever is wrong with
 * it is a {@link VirtqueueException}, after which the device does nothing until it is reset.
 */
public final class Virtqueue {
  private static final int SPLIT = 0;
  private static final int PACKED = 1;

  private final int index;
  private final int largest;

  // As the driver sets them up (4.1.4.3).
  private int size;
  private boolean enabled;
  private long descriptorArea;
  private long driverArea;
  private long deviceArea;

  private GuestMemory memory;
  private Ring ring;
  private boolean packed;

  /** Gets a line about each request, or null. */
  private Consumer<String> traced;

  /** Places in the ring of requests that were taken and are not done. */
  private int taken;

  /** Requests that were put back, the next one first. */
  private final Deque<DescriptorChain> putBack = new ArrayDeque<>();

  Virtqueue(int index, int largest) {
    this.index = index;
    this.largest = largest;
    this.size = largest;
  }

  /** Number of the queue in its device, from 0. */
  public int index() {
    return index;
  }

  /** True from when the driver has set it up to the reset. */
  public synchronized boolean enabled() {
    return enabled;
  }

  /**
   * The next request, or null if there is none.
   *
   * @throws VirtqueueException if it is malformed
   */
  public synchronized DescriptorChain poll() throws VirtqueueException {
    if (!enabled) {
      return null;
    }
    DescriptorChain chain = putBack.isEmpty() ? ring.poll() : putBack.removeFirst();
    if (chain != null) {
      taken += chain.slots;
      if (taken > size) {
        throw new VirtqueueException("more requests than the queue has room for");
      }
    }
    return chain;
  }

  /** True if {@link #poll} would give a request, or refuse one. */
  public synchronized boolean hasRequest() throws VirtqueueException {
    return enabled && (!putBack.isEmpty() || ring.available());
  }

  /** True if all places in the ring have been taken: there is no request that may yet come. */
  public synchronized boolean exhausted() {
    return taken >= size;
  }

  /**
   * Puts back a request that was taken, untouched, so that it is taken again before those that
   * never were. Wants {@link #undo} to be used by nobody.
   */
  public synchronized void putBack(DescriptorChain chain) {
    if (enabled) {
      putBack.addLast(chain);
      taken -= chain.slots;
    }
  }

  /** Puts back the request that was taken last, untouched, so that it is taken again later. */
  public synchronized void undo(DescriptorChain chain) {
    if (enabled) {
      ring.undo(chain);
      taken -= chain.slots;
    }
  }

  /**
   * Answers a request. The driver learns of it when answers are published.
   *
   * @param written how many bytes of {@link DescriptorChain#writable}, from its start on, the
   *     device may have written
   */
  public synchronized void complete(DescriptorChain chain, long written) {
    if (enabled) {
      chain.tellWritten(memory, written);
      ring.complete(chain, (int) written);
      taken -= chain.slots;
    }
  }

  /** Shows the driver all answers; true if it wants an interrupt for that. */
  synchronized boolean publish() {
    return enabled && ring.publish();
  }

  /**
   * Asks the driver for notifications, or tells it that none are needed since the device looks by
   * itself. Having asked, look once more: a request may have come before the driver knew.
   */
  public synchronized void wantNotifications(boolean wanted) {
    if (enabled) {
      ring.wantNotifications(wanted);
    }
  }

  // For the transport.

  synchronized int size() {
    return size;
  }

  synchronized void setSize(int value) {
    if (!enabled) {
      size = value;
    }
  }

  /** The areas by number: descriptors, driver, device. */
  synchronized long area(int which) {
    return which == 0 ? descriptorArea : which == 1 ? driverArea : deviceArea;
  }

  synchronized void setArea(int which, long value) {
    if (enabled) {
      return;
    }
    switch (which) {
      case 0 -> descriptorArea = value;
      case 1 -> driverArea = value;
      default -> deviceArea = value;
    }
  }

  /** From when it is put to use next, {@code lines} gets one about each request. */
  synchronized void trace(Consumer<String> lines) {
    traced = lines;
  }

  /** Puts the queue to use as the driver has set it up. */
  synchronized void enable(GuestMemory ram, long features) throws VirtqueueException {
    if (enabled) {
      return;
    }
    if (size > largest) {
      throw new VirtqueueException("a queue of " + size + ", at most " + largest + " is allowed");
    }
    memory = ram;
    packed = (features & VirtioDevice.F_RING_PACKED) != 0;
    ring =
        packed
            ? new PackedRing(ram, size, features, descriptorArea, driverArea, deviceArea)
            : new SplitRing(ram, size, features, descriptorArea, driverArea, deviceArea);
    if (traced != null) {
      ring = new TracedRing(ring, features, traced);
    }
    enabled = true;
  }

  synchronized void reset() {
    size = largest;
    enabled = false;
    ring = null;
    descriptorArea = 0;
    driverArea = 0;
    deviceArea = 0;
    taken = 0;
    putBack.clear();
  }

  /** Nothing is being worked on. */
  synchronized void save(StateWriter out) {
    out.putInt(size).putLong(descriptorArea).putLong(driverArea).putLong(deviceArea);
    out.putBoolean(enabled);
    if (enabled) {
      out.putByte(packed ? PACKED : SPLIT).putInt(taken);
      ring.save(out);
      out.putInt(putBack.size());
      for (DescriptorChain chain : putBack) {
        chain.save(out, memory);
      }
    }
  }

  synchronized void load(StateReader in, GuestMemory ram, long features) throws StateException {
    reset();
    size = in.getInt(0, 0xffff);
    descriptorArea = in.getLong();
    driverArea = in.getLong();
    deviceArea = in.getLong();
    if (!in.getBoolean()) {
      return;
    }
    try {
      enable(ram, features);
    } catch (VirtqueueException e) {
      throw in.damaged(e.getMessage());
    }
    if (in.getByte() != (packed ? PACKED : SPLIT)) {
      throw in.damaged("a queue of another layout");
    }
    taken = in.getInt(0, size);
    ring.load(in);
    for (int left = in.getInt(0, size); left > 0; left--) {
      putBack.addLast(DescriptorChain.load(in, memory));
    }
  }
}
