package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;
import static dev.bothy.image.ImageException.Trouble.LOST;

import dev.bothy.image.ImageException;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * The tables of an open image, which of its clusters are free, and the order in which changes reach
 * the file.
 *
 * <p><b>Order.</b> A power cut may keep any of the writes since the last sync and lose the others.
 * Nothing durable may refer to what is not durable, and nothing be reused while something durable
 * refers to it. So {@link #flush} writes in two stages with a sync behind each:
 *
 * <ol>
 *   <li>reference counts, which have only grown for what is not durable yet; data and new L2 tables
 *       have been written before;
 *   <li>L2 entries and L1 entries.
 * </ol>
 *
 * <p>Only then are clusters given up that entries referred to before. A cut between leaves counts
 * that are too high: leaks. With lazy reference counts the first stage leaves the counts out, the
 * header's dirty bit says so, and who opens the image next counts anew.
 *
 * <p><b>Locks.</b> {@link #exclusive} guards all that is here; holding the shared lock is enough to
 * look things up and to read and write clusters that nothing moves. {@link #flushing} is taken
 * first where both are.
 */
final class Metadata {
  private static final int MOST_TO_FREE = 1 << 16;
  private static final int MOST_IN_VAIN = 1 << 20;

  private final Storage storage;
  private final Header header;
  private final Geometry geometry;
  private final Refcounts refcounts;
  private final ClusterMap map;
  private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
  private final ReentrantLock flushing = new ReentrantLock();
  private volatile boolean barriers = true;
  private volatile boolean failed;

  /** No cluster below is free. */
  private long hint;

  /** Nothing was ever written from here on: reads as zeros. */
  private long virgin;

  /** Clusters that lose a reference when what is in memory has become durable. */
  private List<Long> toFree = new ArrayList<>();

  private volatile int waitingToFree;

  Metadata(Storage storage, Header header) throws IOException {
    this.storage = storage;
    this.header = header;
    this.geometry = header.geometry();
    this.refcounts = new Refcounts(storage, header, this::barrier);
    this.map = new ClusterMap(storage, header);
    this.virgin = geometry.clusters(storage.size());
  }

  Storage storage() {
    return storage;
  }

  Header header() {
    return header;
  }

  Geometry geometry() {
    return geometry;
  }

  Refcounts refcounts() {
    return refcounts;
  }

  ClusterMap map() {
    return map;
  }

  ReentrantReadWriteLock.ReadLock shared() {
    return lock.readLock();
  }

  ReentrantReadWriteLock.WriteLock exclusive() {
    return lock.writeLock();
  }

  ReentrantLock flushing() {
    return flushing;
  }

  /** Leaves out all syncs, for images that are worth nothing until they are complete. */
  void setBarriers(boolean on) {
    barriers = on;
  }

  private void barrier() throws IOException {
    if (barriers) {
      sync();
    }
  }

  /** What a host could not make durable may be lost though the next sync succeeds. */
  private void sync() throws IOException {
    checkAlive();
    try {
      storage.sync();
    } catch (IOException e) {
      failed = true;
      throw ImageException.lost(e);
    }
  }

  void checkAlive() throws ImageException {
    if (failed || header.unknown()) {
      throw new ImageException(LOST, "an earlier flush failed; nothing is written any more");
    }
  }

  // --- Allocation ---

  /** Clusters in a row. */
  record Clusters(long first, int count) {}

  /** Takes up to {@code most} free clusters in a row, at least one. */
  Clusters allocate(int most) throws IOException {
    startChanging();
    while (true) {
      long first = findFree(hint);
      hint = first;
      long taken = refcounts.cover(first);
      if (taken != 0) {
        raiseVirgin(first + taken);
        continue;
      }
      int count = 0;
      while (count < most && refcounts.covers(first + count) && refcounts.get(first + count) == 0) {
        guard(first + count);
        refcounts.add(first + count, 1);
        count++;
      }
      hint = first + count;
      return new Clusters(first, count);
    }
  }

  /** Takes {@code count} free clusters in a row, for a table. */
  long allocateTable(long count) throws IOException {
    startChanging();
    long first = findFree(hint);
    for (long end = freeEnd(first, count); end < first + count; end = freeEnd(first, count)) {
      first = findFree(end);
    }
    long behind = coverTable(first, count);
    for (long c = first; c < first + count; c++) {
      guard(c);
      refcounts.add(c, 1);
    }
    raiseVirgin(behind);
    return first;
  }

  /** The first cluster from {@code first} on that is not free, or the end of the range. */
  private long freeEnd(long first, long count) throws IOException {
    for (long c = first; c < first + count; c++) {
      if (refcounts.covers(c) ? refcounts.get(c) != 0 : c < virgin) {
        return c;
      }
    }
    return first + count;
  }

  /** Makes room for the counts of free clusters in a row, behind them; returns where that ends. */
  private long coverTable(long first, long count) throws IOException {
    long place = Math.max(first + count, virgin);
    for (long c = first; c < first + count; c++) {
      if (!refcounts.covers(c)) {
        place = findFree(place);
        place += refcounts.cover(place);
        if (!refcounts.covers(c)) {
          place = refcounts.coverFrom(c, findFree(place));
        }
        raiseVirgin(place);
      }
    }
    return Math.max(place, first + count);
  }

  private long findFree(long from) throws IOException {
    long free = refcounts.nextFree(from);
    if (!refcounts.covers(free)) {
      // What no block counts is free only where the file does not reach.
      free = refcounts.nextFree(Math.max(free, virgin));
    }
    if (free > virgin + MOST_IN_VAIN) {
      throw new ImageException(CORRUPT, "it counts references far behind its end: check it");
    }
    return free;
  }

  /** An image whose counts are wrong shall not lose more. */
  private void guard(long cluster) throws ImageException {
    if (isTable(geometry.offsetOf(cluster), geometry.clusterSize())) {
      throw new ImageException(
          CORRUPT,
          "it counts no references of cluster %d, which is in use: check it".formatted(cluster));
    }
  }

  /** True if any of the file's bytes is of the header, the refcount table or the L1 table. */
  boolean isTable(long offset, long length) {
    return offset < geometry.clusterSize()
        || overlap(offset, length, map.l1Offset(), 8L * map.l1().length)
        || overlap(
            offset, length, header.reftableOffset(), geometry.offsetOf(header.reftableClusters()));
  }

  private static boolean overlap(long offset, long length, long other, long otherLength) {
    return offset < other + otherLength && other < offset + length;
  }

  /** True if any of the file's bytes lies where nothing was ever written. */
  boolean isBehindEnd(long offset, long length) {
    return offset < 0 || offset + length > geometry.offsetOf(virgin);
  }

  /** True if the cluster has not been written since the file was made: the rest of it is zeros. */
  boolean takeVirgin(long cluster, int count) {
    boolean was = cluster >= virgin;
    raiseVirgin(cluster + count);
    return was;
  }

  private void raiseVirgin(long end) {
    virgin = Math.max(virgin, end);
  }

  /** Gives clusters back that nothing ever referred to. */
  void unallocate(long first, int count) throws IOException {
    for (long c = first; c < first + count; c++) {
      refcounts.add(c, -1);
    }
    hint = Math.min(hint, first);
  }

  /** Gives up one reference of a cluster once that is durable. */
  void freeLater(long cluster) {
    toFree.add(cluster);
    waitingToFree = toFree.size();
  }

  /** Gives up what an L2 entry refers to. */
  void freeLater(long entry, CompressedClusters.Format format) {
    if ((entry & ClusterMap.COMPRESSED) != 0) {
      CompressedClusters.Place place = format.place(entry);
      long last = geometry.clusterOf(place.offset() + place.length() - 1);
      for (long c = geometry.clusterOf(place.offset()); c <= last; c++) {
        freeLater(c);
      }
    } else if ((entry & ClusterMap.OFFSET) != 0) {
      freeLater(geometry.clusterOf(entry & ClusterMap.OFFSET));
    }
  }

  // --- Writing tables ---

  /** Makes a guest cluster's L2 table one that may be changed. */
  void ownTable(long guestCluster) throws IOException {
    startChanging();
    long old = ClusterMap.l2Offset(map.l1Entry(guestCluster), geometry);
    if (map.ownsTable(guestCluster) && old != 0) {
      if (isBehindEnd(old, geometry.clusterSize())) {
        throw new ImageException(
            CORRUPT, "the L2 table at 0x%x lies behind the end of the file".formatted(old));
      }
      return;
    }
    long fresh = allocateTable(1);
    long offset = geometry.offsetOf(fresh);
    byte[] bytes = new byte[geometry.clusterSize()];
    try {
      if (old != 0) {
        readTable(old, bytes);
      }
      map.cache().forget(offset, bytes.length);
      storage.write(offset, MemorySegment.ofArray(bytes));
    } catch (IOException e) {
      unallocate(fresh, 1);
      throw e;
    }
    map.setTable(guestCluster, offset);
    if (old != 0) {
      freeLater(geometry.clusterOf(old));
    }
  }

  /** An L2 table with all changes that are in memory. */
  void readTable(long offset, byte[] bytes) throws IOException {
    int piece = map.cache().pieceSize();
    for (int at = 0; at < bytes.length; at += piece) {
      System.arraycopy(map.cache().at(offset + at).bytes, 0, bytes, at, piece);
    }
  }

  /** Says in the header, before tables change, what holds while they do. */
  private void startChanging() throws IOException {
    checkAlive();
    if (header.lazyRefcounts() && !header.dirty()) {
      setDirty(true);
    }
  }

  /** Sets or clears the header's dirty bit, durable when this returns. */
  void setDirty(boolean dirty) throws IOException {
    if (geometry.zeroFlag()) {
      header.writeDirty(dirty);
      barrier();
    }
  }

  /** True if so much waits in memory that it should be flushed before more changes. */
  boolean full() {
    return waitingToFree > MOST_TO_FREE || map.cache().full() || refcounts.cache().full();
  }

  /** Makes all that was changed durable, in order. Takes the locks that it needs. */
  void flush(boolean withData) throws IOException {
    flushing.lock();
    try {
      checkAlive();
      ClusterMap.L1Sectors l1;
      List<Long> frees;
      boolean counts;
      boolean entries;
      exclusive().lock();
      try {
        counts = (!header.dirty() || refcounts.cache().full()) && refcounts.cache().begin();
        entries = map.cache().begin();
        l1 = map.takeL1Changes();
        frees = toFree;
        toFree = new ArrayList<>();
        waitingToFree = 0;
      } finally {
        exclusive().unlock();
      }
      boolean written = false;
      try {
        refcounts.cache().write();
        if (withData || counts || entries || !l1.isEmpty()) {
          barrier();
        }
        map.cache().write();
        map.write(l1);
        if (entries || !l1.isEmpty()) {
          barrier();
        }
        written = true;
      } finally {
        exclusive().lock();
        try {
          refcounts.cache().end(written);
          map.cache().end(written);
          if (written) {
            free(frees);
          } else {
            map.writeAgain(l1);
            frees.addAll(toFree);
            toFree = frees;
          }
          waitingToFree = toFree.size();
        } finally {
          exclusive().unlock();
        }
      }
    } finally {
      flushing.unlock();
    }
  }

  private void free(List<Long> clusters) throws IOException {
    long[] emptied = new long[clusters.size()];
    int count = 0;
    for (long cluster : clusters) {
      if (refcounts.get(cluster) == 0) {
        // Counted too low by whoever wrote the image: a check says so.
        continue;
      }
      refcounts.add(cluster, -1);
      if (refcounts.get(cluster) == 0) {
        emptied[count++] = cluster;
        hint = Math.min(hint, cluster);
        map.cache().forget(geometry.offsetOf(cluster), geometry.clusterSize());
      }
    }
    Arrays.sort(emptied, 0, count);
    for (int i = 0; i < count; ) {
      int next = i + 1;
      while (next < count && emptied[next] == emptied[next - 1] + 1) {
        next++;
      }
      storage.punch(geometry.offsetOf(emptied[i]), geometry.offsetOf(next - i));
      i = next;
    }
  }

  /** Flushes, and writes what lazy reference counts left out; the image is clean then. */
  void settle() throws IOException {
    flushing.lock();
    try {
      flush(true);
      exclusive().lock();
      try {
        // Freeing has changed counts again.
        if (refcounts.cache().isDirty()) {
          refcounts.cache().begin();
          boolean written = false;
          try {
            refcounts.cache().write();
            written = true;
          } finally {
            refcounts.cache().end(written);
          }
          barrier();
        }
        if (header.dirty()) {
          setDirty(false);
        }
      } finally {
        exclusive().unlock();
      }
    } finally {
      flushing.unlock();
    }
  }
}
