package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;

/** A driver's end of a virtqueue, well-behaved, at a fixed place in guest memory. */
abstract class DriverRing {
  /** A buffer of a request. */
  record Piece(long address, int length, boolean deviceWrites) {
    static Piece out(long address, int length) {
      return new Piece(address, length, false);
    }

    static Piece in(long address, int length) {
      return new Piece(address, length, true);
    }
  }

  /** An answer. */
  record Used(int id, int written) {}

  final GuestMemory memory;
  final int size;
  final long descriptors;
  final long driverArea;
  final long deviceArea;
  private long tables;

  DriverRing(GuestMemory memory, int size, long base) {
    this.memory = memory;
    this.size = size;
    descriptors = base;
    driverArea = base + 16L * size;
    deviceArea = driverArea + (8 + 2L * size + 3 & ~3);
    tables = base + 0x4_0000;
  }

  static DriverRing make(boolean packed, GuestMemory memory, int size, long base) {
    return packed ? new Packed(memory, size, base) : new Split(memory, size, base);
  }

  /** Offers a request; returns its id. */
  abstract int offer(boolean indirect, Piece... pieces);

  /** The next answer, or null. */
  abstract Used poll();

  /** No interrupts, or all. */
  abstract void wantInterrupts(boolean wanted);

  /** Where in a descriptor the flags are. */
  final int flagsAt() {
    return this instanceof Packed ? 14 : 12;
  }

  final void descriptor(long at, Piece piece, int flags, int rest) {
    memory.writeLong(at, piece.address);
    memory.writeInt(at + 8, piece.length);
    boolean packed = this instanceof Packed;
    memory.writeShort(at + (packed ? 12 : 14), rest);
    memory.writeShort(at + flagsAt(), flags);
  }

  final long table(Piece[] pieces, boolean chained) {
    long table = tables;
    tables += 16L * pieces.length;
    for (int i = 0; i < pieces.length; i++) {
      int flags = pieces[i].deviceWrites ? Ring.WRITE : 0;
      if (chained && i < pieces.length - 1) {
        flags |= Ring.NEXT;
      }
      descriptor(table + 16L * i, pieces[i], flags, chained ? i + 1 : 0);
    }
    return table;
  }

  static final class Split extends DriverRing {
    private final ArrayDeque<Integer> free = new ArrayDeque<>();
    private final Map<Integer, int[]> chains = new HashMap<>();
    int available;
    int used;

    Split(GuestMemory memory, int size, long base) {
      super(memory, size, base);
      for (int i = 0; i < size; i++) {
        free.add(i);
      }
    }

    @Override
    int offer(boolean indirect, Piece... pieces) {
      int[] places = new int[indirect ? 1 : pieces.length];
      for (int i = 0; i < places.length; i++) {
        places[i] = free.remove();
      }
      if (indirect) {
        Piece all = Piece.out(table(pieces, true), 16 * pieces.length);
        descriptor(descriptors + 16L * places[0], all, Ring.INDIRECT, 0);
      } else {
        for (int i = 0; i < places.length; i++) {
          boolean last = i == places.length - 1;
          int flags = (pieces[i].deviceWrites ? Ring.WRITE : 0) | (last ? 0 : Ring.NEXT);
          descriptor(
              descriptors + 16L * places[i], pieces[i], flags, last ? 0x7777 : places[i + 1]);
        }
      }
      chains.put(places[0], places);
      memory.writeShort(driverArea + 4 + 2L * (available % size), places[0]);
      available = available + 1 & 0xffff;
      memory.writeShortRelease(driverArea + 2, available);
      return places[0];
    }

    @Override
    Used poll() {
      if (memory.readShortAcquire(deviceArea + 2) == used) {
        return null;
      }
      long entry = deviceArea + 4 + 8L * (used % size);
      used = used + 1 & 0xffff;
      int id = memory.readInt(entry);
      for (int place : chains.remove(id)) {
        free.add(place);
      }
      return new Used(id, memory.readInt(entry + 4));
    }

    @Override
    void wantInterrupts(boolean wanted) {
      memory.writeShort(driverArea, wanted ? 0 : 1);
    }
  }

  static final class Packed extends DriverRing {
    private final ArrayDeque<Integer> ids = new ArrayDeque<>();
    private final Map<Integer, Integer> slots = new HashMap<>();
    int next;
    boolean wrap = true;
    int used;
    boolean usedWrap = true;

    Packed(GuestMemory memory, int size, long base) {
      super(memory, size, base);
      for (int i = 0; i < size; i++) {
        ids.add(i);
      }
    }

    @Override
    int offer(boolean indirect, Piece... pieces) {
      int id = ids.remove();
      Piece[] own =
          indirect ? new Piece[] {Piece.out(table(pieces, false), 16 * pieces.length)} : pieces;
      int firstFlags = 0;
      long first = descriptors + 16L * next;
      for (int i = 0; i < own.length; i++) {
        int flags = (wrap ? 1 << 7 : 1 << 15) | (own[i].deviceWrites ? Ring.WRITE : 0);
        flags |= i < own.length - 1 ? Ring.NEXT : 0;
        flags |= indirect ? Ring.INDIRECT : 0;
        long at = descriptors + 16L * next;
        if (i == 0) {
          firstFlags = flags;
          descriptor(at, own[i], memory.readShort(at + 14), id);
        } else {
          descriptor(at, own[i], flags, id);
        }
        if (++next == size) {
          next = 0;
          wrap = !wrap;
        }
      }
      slots.put(id, own.length);
      memory.writeShortRelease(first + 14, firstFlags);
      return id;
    }

    @Override
    Used poll() {
      long at = descriptors + 16L * used;
      int flags = memory.readShortAcquire(at + 14);
      if ((flags & 1 << 7) != 0 != usedWrap || (flags & 1 << 15) != 0 != usedWrap) {
        return null;
      }
      int id = memory.readShort(at + 12);
      used += slots.remove(id);
      if (used >= size) {
        used -= size;
        usedWrap = !usedWrap;
      }
      ids.add(id);
      return new Used(id, (flags & Ring.WRITE) != 0 ? memory.readInt(at + 8) : 0);
    }

    @Override
    void wantInterrupts(boolean wanted) {
      memory.writeShort(driverArea + 2, wanted ? 0 : 1);
    }
  }
}
