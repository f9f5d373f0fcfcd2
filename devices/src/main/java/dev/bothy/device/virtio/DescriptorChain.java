package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * One request of a driver: buffers that the device reads, then buffers that it writes (Virtual I/O
 * Device (VIRTIO) 1.2, sections 2.6 and 2.7.4.2). Each descriptor has been read once, when the
 * chain was taken from its queue; what the guest does to the descriptors later changes nothing.
 */
public final class DescriptorChain {
  /** A chain of descriptors, the last of which is an indirect table. */
  private static final int MOST_PIECES = SplitRing.MAX_SIZE + Ring.INDIRECT_LIMIT;

  /** What a driver names the request by in the ring. */
  final int id;

  /** Places that it takes in a packed ring; 1 in a split one. */
  final int slots;

  private final Buffers readable;
  private final Buffers writable;
  private final long[] writableAddresses;

  private DescriptorChain(
      int id, int slots, Buffers readable, Buffers writable, long[] writableAddresses) {
    this.id = id;
    this.slots = slots;
    this.readable = readable;
    this.writable = writable;
    this.writableAddresses = writableAddresses;
  }

  /** What the driver has to say. */
  public Buffers readable() {
    return readable;
  }

  /** Where the device may answer. */
  public Buffers writable() {
    return writable;
  }

  /** Tells the memory's observers of the first {@code bytes} bytes of {@link #writable}. */
  void tellWritten(GuestMemory memory, long bytes) {
    long left = bytes;
    int piece = 0;
    for (MemorySegment segment : writable.segments()) {
      if (left <= 0) {
        break;
      }
      memory.tellWritten(writableAddresses[piece++], Math.min(segment.byteSize(), left));
      left -= segment.byteSize();
    }
  }

  /** Gives the buffers that the device may write back to the host; returns bytes. */
  long releaseWritable(GuestMemory memory) {
    int piece = 0;
    long released = 0;
    for (MemorySegment segment : writable.segments()) {
      released += memory.release(writableAddresses[piece++], segment.byteSize());
    }
    return released;
  }

  /** Saves a chain that is to be taken again. */
  void save(StateWriter out, GuestMemory memory) {
    out.putInt(id).putInt(slots);
    save(out, memory, readable);
    save(out, memory, writable);
  }

  private static void save(StateWriter out, GuestMemory memory, Buffers buffers) {
    out.putInt(buffers.segments().size());
    for (MemorySegment segment : buffers.segments()) {
      out.putLong(memory.addressOf(segment)).putInt((int) segment.byteSize());
    }
  }

  static DescriptorChain load(StateReader in, GuestMemory memory) throws StateException {
    int id = in.getInt(0, 0xffff);
    int slots = in.getInt(1, SplitRing.MAX_SIZE);
    Builder builder = new Builder(memory);
    try {
      for (int writing = 0; writing < 2; writing++) {
        for (int left = in.getInt(0, MOST_PIECES); left > 0; left--) {
          long address = in.getLong();
          builder.add(address, in.getInt(), writing == 1);
        }
      }
    } catch (VirtqueueException e) {
      throw in.damaged(e.getMessage());
    }
    return builder.build(id, slots);
  }

  /** A chain as it is read, descriptor by descriptor. */
  static final class Builder {
    private static final long TOTAL_LIMIT = 1L << 32;

    private final GuestMemory memory;
    private MemorySegment[] readable = new MemorySegment[4];
    private MemorySegment[] writable = new MemorySegment[4];
    private long[] addresses = new long[4];
    private int readers;
    private int writers;
    private boolean writing;
    private long total;

    Builder(GuestMemory memory) {
      this.memory = memory;
    }

    /** Adds what a descriptor describes; {@code length} is unsigned. */
    void add(long address, int length, boolean deviceWrites) throws VirtqueueException {
      long bytes = length & 0xffff_ffffL;
      if (writing && !deviceWrites) {
        throw new VirtqueueException("a buffer to read behind one to write");
      }
      writing = deviceWrites;
      total += bytes;
      if (total >= TOTAL_LIMIT) {
        throw new VirtqueueException("buffers of 4 GiB or more in one chain");
      }
      if (bytes == 0) {
        return;
      }
      MemorySegment segment = memory.slice(address, bytes);
      if (segment == null) {
        throw new VirtqueueException(
            "a buffer outside RAM, at 0x" + Long.toHexString(address) + ", " + bytes + " bytes");
      }
      if (deviceWrites) {
        if (writers == writable.length) {
          writable = Arrays.copyOf(writable, 2 * writers);
          addresses = Arrays.copyOf(addresses, 2 * writers);
        }
        addresses[writers] = address;
        writable[writers++] = segment;
      } else {
        if (readers == readable.length) {
          readable = Arrays.copyOf(readable, 2 * readers);
        }
        readable[readers++] = segment;
      }
    }

    DescriptorChain build(int id, int slots) {
      return new DescriptorChain(
          id,
          slots,
          readers == 0 ? Buffers.EMPTY : new Buffers(readable, readers),
          writers == 0 ? Buffers.EMPTY : new Buffers(writable, writers),
          addresses);
    }
  }
}
