package dev.bothy.image.qcow2;

import dev.bothy.image.Ranges;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * A file that remembers all writes and syncs, and what a power cut could have left of it: all
 * writes up to the last sync, and of those since then any sectors of 512 bytes, in any order.
 */
final class PowerCut extends SparseStorage {
  /** A write of one sector, or a sync if there are no bytes. */
  private record Event(long position, byte[] bytes) {}

  private static final Event SYNC = new Event(0, new byte[0]);

  private final SparseStorage start;
  private final List<Event> events = new ArrayList<>();

  /** Starts with what {@code file} has. */
  PowerCut(SparseStorage file) throws IOException {
    this.start = file.copy();
    super.write(0, List.of(MemorySegment.ofArray(file.bytes())));
  }

  synchronized int events() {
    return events.size();
  }

  @Override
  public synchronized void write(long position, List<MemorySegment> sources) throws IOException {
    super.write(position, sources);
    long length = Ranges.length(sources);
    for (long at = position / PAGE; length > 0 && at <= (position + length - 1) / PAGE; at++) {
      events.add(new Event(at * PAGE, pages.get(at).clone()));
    }
  }

  @Override
  public synchronized void sync() {
    if (events.isEmpty() || events.getLast() != SYNC) {
      events.add(SYNC);
    }
  }

  /** What a cut after so many events could have left; cuts must be asked for in order. */
  SparseStorage cut(int after, Random random) throws IOException {
    int synced = 0;
    for (int i = applied; i < after; i++) {
      if (events.get(i) == SYNC) {
        synced = i;
      }
    }
    for (; applied < synced; applied++) {
      apply(start, events.get(applied));
    }
    SparseStorage left = start.copy();
    // All, none or some of what is under way.
    int keep = random.nextInt(4) * 33;
    for (int i = applied; i < after; i++) {
      if (random.nextInt(99) < keep) {
        apply(left, events.get(i));
      }
    }
    return left;
  }

  private int applied;

  private static void apply(SparseStorage file, Event event) throws IOException {
    if (event != SYNC) {
      file.write(event.position(), MemorySegment.ofArray(event.bytes()));
    }
  }
}
