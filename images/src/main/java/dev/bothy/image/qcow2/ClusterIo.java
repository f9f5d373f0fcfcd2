package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;

import dev.bothy.image.ImageException;
import dev.bothy.image.Progress;
import dev.bothy.image.Ranges;
import dev.bothy.image.qcow2.ClusterMap.Kind;
import dev.bothy.image.qcow2.ClusterMap.Run;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Moves the disk's content: finds it in file, backing file and compressed clusters, and writes it,
 * in place or to new clusters with what is around it copied there. QCOW2 specification, sections
 * "Cluster mapping" and "Extended L2 Entries".
 *
 * <p>Data is in the file before the entry changes that says so, and {@link Metadata} syncs between
 * the two. Wants the image's locks as its methods say.
 */
final class ClusterIo {
  private final Metadata metadata;
  private final Storage storage;
  private final Geometry geometry;
  private final ClusterMap map;
  private final CompressedClusters compressed;
  private final Backing backing;
  private final MemorySegment zeros;

  /**
   * @param backing null: none
   */
  ClusterIo(Metadata metadata, Backing backing) {
    this.metadata = metadata;
    this.storage = metadata.storage();
    this.geometry = metadata.geometry();
    this.map = metadata.map();
    this.compressed = new CompressedClusters(storage, metadata.header());
    this.backing = backing;
    this.zeros = MemorySegment.ofArray(new byte[geometry.clusterSize()]).asReadOnly();
  }

  CompressedClusters.Format compressedFormat() {
    return compressed.format();
  }

  private long clusterStart(long offset) {
    return Ranges.roundDown(offset, geometry.clusterSize());
  }

  // --- Reading: shared lock ---

  void read(long offset, List<MemorySegment> targets) throws IOException {
    long length = Ranges.length(targets);
    for (long done = 0; done < length; ) {
      Run run = map.find(offset + done, length - done);
      List<MemorySegment> part = Ranges.slice(targets, done, run.length());
      switch (run.kind()) {
        case UNALLOCATED -> readBacking(offset + done, part, run.length());
        case ZERO -> Ranges.clear(part);
        case OWN, SHARED -> storage.read(run.host(), part);
        default -> {
          MemorySegment cluster = MemorySegment.ofArray(compressed.read(run.host()));
          long at = offset + done & geometry.clusterSize() - 1;
          for (MemorySegment target : part) {
            target.copyFrom(cluster.asSlice(at, target.byteSize()));
            at += target.byteSize();
          }
        }
      }
      done += run.length();
    }
  }

  private void readBacking(long offset, List<MemorySegment> targets, long length)
      throws IOException {
    long there = backing == null ? 0 : Math.clamp(backing.image().size() - offset, 0, length);
    if (there == length) {
      backing.image().read(offset, targets);
      return;
    }
    if (there > 0) {
      backing.image().read(offset, Ranges.slice(targets, 0, there));
    }
    Ranges.clear(Ranges.slice(targets, there, length - there));
  }

  /** Bytes from {@code offset} on that read as zeros without looking at them, at most length. */
  long zeroes(long offset, long length) throws IOException {
    long zero = 0;
    while (zero < length) {
      Run run = map.find(offset + zero, length - zero);
      long part =
          switch (run.kind()) {
            case ZERO -> run.length();
            case UNALLOCATED -> backingZeroes(offset + zero, run.length());
            case OWN, SHARED -> storage.hole(run.host(), run.length());
            case COMPRESSED -> 0;
          };
      zero += part;
      if (part < run.length()) {
        break;
      }
    }
    return zero;
  }

  private long backingZeroes(long offset, long length) throws IOException {
    if (backing == null || offset >= backing.image().size()) {
      return length;
    }
    long there = Math.min(length, backing.image().size() - offset);
    long zero = backing.image().zeroes(offset, there);
    return zero == there ? length : zero;
  }

  // --- Writing ---

  /**
   * Writes what can be written without changing a table; wants the shared lock.
   *
   * @return bytes written, from the first on
   */
  long writeInPlace(long offset, List<MemorySegment> sources, long from, long length)
      throws IOException {
    long done = from;
    while (done < length) {
      Run run = map.find(offset + done, length - done);
      if (run.kind() != Kind.OWN) {
        break;
      }
      checkHost(run.host(), run.length());
      storage.write(run.host(), Ranges.slice(sources, done, run.length()));
      done += run.length();
    }
    return done - from;
  }

  /**
   * Content where the tables are would let a guest write those; content behind the end, make the
   * file as long as no host has room.
   */
  private void checkHost(long host, long length) throws ImageException {
    if (metadata.isTable(host, length)) {
      throw new ImageException(CORRUPT, "it has content where its tables are: check it");
    }
    if (metadata.isBehindEnd(host, length)) {
      throw new ImageException(CORRUPT, "it has content behind the end of its file: check it");
    }
  }

  /** Writes anywhere; wants the exclusive lock. */
  void write(long offset, List<MemorySegment> sources, long from, long length) throws IOException {
    endCompressed();
    long end = from + length;
    for (long done = from; done < end; ) {
      long inPlace = writeInPlace(offset, sources, done, end);
      done += inPlace;
      if (done < end) {
        done += writeCluster(offset + done, Ranges.slice(sources, done, end - done), end - done);
      }
    }
  }

  /**
   * Writes from a byte on that cannot be written in place: to the end of that cluster, or of
   * several in a row that are new.
   */
  private long writeCluster(long offset, List<MemorySegment> sources, long length)
      throws IOException {
    long cluster = geometry.clusterOf(offset);
    metadata.ownTable(cluster);
    long entry = map.entry(cluster);
    if (hasRoom(entry)) {
      long host = entry & ClusterMap.OFFSET;
      checkHost(host, geometry.clusterSize());
      long part = Math.min(length, clusterStart(offset) + geometry.clusterSize() - offset);
      fill(offset, Ranges.slice(sources, 0, part), part, host, false);
      map.set(cluster, host | ClusterMap.COPIED, written(map.bitmap(cluster), offset, part, false));
      return part;
    }
    return writeNew(offset, sources, length);
  }

  /** True if an entry has a cluster of its own that only its entry says not to look at. */
  private static boolean hasRoom(long entry) {
    return (entry & (ClusterMap.COMPRESSED | ClusterMap.COPIED)) == ClusterMap.COPIED
        && (entry & ClusterMap.OFFSET) != 0;
  }

  /** Clusters from {@code offset} on that need a new place, within one L2 table. */
  private int newClusters(long offset, long length) throws IOException {
    long first = geometry.clusterOf(offset);
    long last = geometry.clusterOf(offset + length - 1);
    long tableEnd = (first >>> geometry.l2Bits()) + 1 << geometry.l2Bits();
    int count = 1;
    while (first + count <= last
        && first + count < tableEnd
        && !hasRoom(map.entry(first + count))) {
      count++;
    }
    return count;
  }

  private long writeNew(long offset, List<MemorySegment> sources, long length) throws IOException {
    Metadata.Clusters fresh = metadata.allocate(newClusters(offset, length));
    boolean virgin = metadata.takeVirgin(fresh.first(), fresh.count());
    long start = clusterStart(offset);
    long end = Math.min(offset + length, start + geometry.offsetOf(fresh.count()));
    long first = geometry.clusterOf(offset);
    try {
      fill(
          offset,
          Ranges.slice(sources, 0, end - offset),
          end - offset,
          geometry.offsetOf(fresh.first()),
          virgin);
    } catch (IOException | RuntimeException e) {
      metadata.unallocate(fresh.first(), fresh.count());
      throw e;
    }
    for (int i = 0; i < fresh.count(); i++) {
      long cluster = first + i;
      long old = map.entry(cluster);
      long from = Math.max(offset, geometry.offsetOf(cluster));
      long part = Math.min(end, geometry.offsetOf(cluster + 1)) - from;
      long bitmap = written(map.bitmap(cluster), from, part, moves(old, map.bitmap(cluster)));
      map.set(cluster, geometry.offsetOf(fresh.first() + i) | ClusterMap.COPIED, bitmap);
      metadata.freeLater(old, compressed.format());
    }
    return end - offset;
  }

  /** True if all of a cluster must be written because content of it lies at another place. */
  private boolean moves(long entry, long bitmap) {
    return !geometry.extended()
        || (entry & ClusterMap.COMPRESSED) != 0
        || (bitmap & ClusterMap.ALL_ALLOCATED) != 0 && !hasRoom(entry);
  }

  /** A bitmap after a write to a part of its cluster, with the subclusters around it. */
  private long written(long bitmap, long offset, long length, boolean all) {
    if (!geometry.extended()) {
      return 0;
    }
    long touched = all ? ClusterMap.ALL_ALLOCATED : units(offset, offset + length);
    return bitmap & ~(touched << 32) | touched;
  }

  /** One bit for each subcluster with bytes of the range, which lies in one cluster. */
  private long units(long from, long end) {
    int first = (int) (from >>> geometry.unitBits()) & Geometry.SUBCLUSTERS - 1;
    int last = (int) (end - 1 >>> geometry.unitBits()) & Geometry.SUBCLUSTERS - 1;
    return (1L << last + 1) - (1L << first);
  }

  /**
   * Writes data to its place in clusters at {@code host}, and around it, to the ends of its units,
   * what the disk has there.
   *
   * @param virgin the file has zeros there already
   */
  private void fill(
      long offset, List<MemorySegment> sources, long length, long host, boolean virgin)
      throws IOException {
    long end = offset + length;
    long head = Ranges.roundDown(offset, fillSize(offset));
    long tail = Ranges.roundUp(end, fillSize(end - 1));
    List<MemorySegment> parts = new ArrayList<>(sources.size() + 2);
    long from = offset;
    if (head < offset && !(virgin && zeroes(head, offset - head) == offset - head)) {
      parts.add(content(head, offset - head));
      from = head;
    }
    parts.addAll(sources);
    if (end < tail && !(virgin && zeroes(end, tail - end) == tail - end)) {
      parts.add(content(end, tail - end));
    }
    storage.write(host + (from - clusterStart(offset)), parts);
  }

  /** How much around a byte is written with it. */
  private int fillSize(long offset) throws IOException {
    long cluster = geometry.clusterOf(offset);
    return moves(map.entry(cluster), map.bitmap(cluster))
        ? geometry.clusterSize()
        : geometry.unitSize();
  }

  private MemorySegment content(long offset, long length) throws IOException {
    if (zeroes(offset, length) == length) {
      return zeros.asSlice(0, length);
    }
    MemorySegment copy = MemorySegment.ofArray(new byte[Math.toIntExact(length)]);
    read(offset, List.of(copy));
    return copy;
  }

  // --- Discarding: exclusive lock ---

  /** Gives up the whole clusters in the range, as far as the version can say so. */
  void discard(long offset, long length) throws IOException {
    endCompressed();
    long end = offset + length;
    if (!canDrop()) {
      return;
    }
    for (long at = Ranges.roundUp(offset, geometry.clusterSize());
        at + geometry.clusterSize() <= end;
        at += geometry.clusterSize()) {
      drop(geometry.clusterOf(at));
    }
  }

  /** Version 2 has no way to say that a cluster is zero where the backing file is not. */
  private boolean canDrop() {
    return backing == null || geometry.zeroFlag();
  }

  /** Makes a cluster read as zeros, without a place in the file. */
  private void drop(long cluster) throws IOException {
    long entry = map.entry(cluster);
    long bitmap = map.bitmap(cluster);
    boolean placed = (entry & (ClusterMap.COMPRESSED | ClusterMap.OFFSET)) != 0;
    if (!placed && (backing == null || isZero(entry, bitmap))) {
      return;
    }
    metadata.ownTable(cluster);
    if (backing == null) {
      map.set(cluster, 0, 0);
    } else {
      setZero(cluster, 0);
    }
    metadata.freeLater(entry, compressed.format());
  }

  private boolean isZero(long entry, long bitmap) {
    return geometry.extended()
        ? (bitmap & ClusterMap.ALL_ZERO) == ClusterMap.ALL_ZERO
        : (entry & ClusterMap.ZERO) != 0;
  }

  private void setZero(long cluster, long place) throws IOException {
    map.set(cluster, geometry.extended() ? place : place | ClusterMap.ZERO, ClusterMap.ALL_ZERO);
  }

  /** Makes the range read as zeros; wants the exclusive lock. */
  void writeZeroes(long offset, long length, boolean release) throws IOException {
    endCompressed();
    long end = offset + length;
    for (long at = offset; at < end; ) {
      long next = Math.min(end, clusterStart(at) + geometry.clusterSize());
      long zero = zeroes(at, end - at);
      if (zero > 0 && (release || zero >= next - at)) {
        at += zero;
      } else {
        zeroInCluster(at, next, release);
        at = next;
      }
    }
  }

  private void zeroInCluster(long from, long end, boolean release) throws IOException {
    long cluster = geometry.clusterOf(from);
    long entry = map.entry(cluster);
    // Behind the disk's end nobody looks.
    boolean whole =
        end - from == geometry.clusterSize()
            || from == clusterStart(from) && end == metadata.header().size();
    if (whole && canDrop()) {
      if (!release && hasRoom(entry) && geometry.zeroFlag()) {
        metadata.ownTable(cluster);
        setZero(cluster, entry & (ClusterMap.OFFSET | ClusterMap.COPIED));
      } else {
        drop(cluster);
      }
      return;
    }
    long first = Ranges.roundUp(from, geometry.unitSize());
    long last = Ranges.roundDown(end, geometry.unitSize());
    if (!geometry.extended() || first >= last || (entry & ClusterMap.COMPRESSED) != 0) {
      writeZeros(from, end);
      return;
    }
    writeZeros(from, first);
    metadata.ownTable(cluster);
    long units = units(first, last);
    map.set(cluster, map.entry(cluster), map.bitmap(cluster) & ~units | units << 32);
    writeZeros(last, end);
  }

  private void writeZeros(long from, long end) throws IOException {
    if (from < end && zeroes(from, end - from) < end - from) {
      write(from, List.of(zeros.asSlice(0, end - from)), 0, end - from);
    }
  }

  // --- Compressed clusters: exclusive lock ---

  /** Where the next compressed cluster may go, within a cluster that others share; 0: nowhere. */
  private long nextCompressed;

  /** Replaces a guest cluster by one whose compressed form is {@code packed}. */
  void writeCompressed(long cluster, byte[] packed) throws IOException {
    compressed.forget();
    metadata.ownTable(cluster);
    long offset = placeCompressed(packed.length);
    storage.write(offset, MemorySegment.ofArray(packed));
    long old = map.entry(cluster);
    map.set(cluster, compressed.format().entry(offset, packed.length), 0);
    metadata.freeLater(old, compressed.format());
  }

  private long placeCompressed(int length) throws IOException {
    long room = -nextCompressed & geometry.clusterSize() - 1;
    long offset;
    if (nextCompressed != 0 && room >= length) {
      offset = nextCompressed;
      metadata.refcounts().add(geometry.clusterOf(offset), 1);
    } else {
      long fresh = metadata.allocate(1).first();
      metadata.takeVirgin(fresh, 1);
      boolean follows = room != 0 && geometry.offsetOf(fresh) == nextCompressed + room;
      if (follows) {
        offset = nextCompressed;
        metadata.refcounts().add(fresh - 1, 1);
      } else {
        offset = geometry.offsetOf(fresh);
      }
    }
    if (offset + length > compressed.format().limit()) {
      throw new ImageException(
          ImageException.Trouble.UNSUPPORTED, "it is too large for more compressed clusters");
    }
    nextCompressed = offset + length;
    if ((nextCompressed & geometry.clusterSize() - 1) == 0) {
      nextCompressed = 0;
    }
    return offset;
  }

  /** Forgets places and contents of compressed clusters: others may take their room. */
  void endCompressed() {
    compressed.forget();
    nextCompressed = 0;
  }

  /** Makes clusters of the range come from the backing file again, or be zeros. */
  void dropAll(long from, long end, Progress progress) throws IOException {
    endCompressed();
    long last = geometry.clusterOf(end);
    for (long cluster = geometry.clusterOf(from); cluster < last; cluster++) {
      if ((map.l1Entry(cluster) & ClusterMap.OFFSET) == 0) {
        cluster |= (1L << geometry.l2Bits()) - 1;
        continue;
      }
      long entry = map.entry(cluster);
      if (entry != 0 || map.bitmap(cluster) != 0) {
        metadata.ownTable(cluster);
        map.set(cluster, 0, 0);
        metadata.freeLater(entry, compressed.format());
      }
      if (metadata.full()) {
        metadata.flush(false);
        progress.update(cluster, last);
      }
    }
  }
}
