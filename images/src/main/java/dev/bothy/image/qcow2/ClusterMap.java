package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;

import dev.bothy.image.ImageException;
import dev.bothy.image.qcow2.PieceCache.Piece;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.BitSet;

/**
 * Where the disk's clusters are in the file: QCOW2 specification, sections "Cluster mapping", "L1
 * table", "L2 table" and "Extended L2 entries". The active L1 table is in memory, the L2 tables in
 * a cache. Looking up wants the image's shared lock, changing its exclusive one.
 */
final class ClusterMap {
  /** What an area of the disk is. */
  enum Kind {
    /** Content comes from the backing file; zeros without one. */
    UNALLOCATED,
    /** Reads as zeros. */
    ZERO,
    /** In the file at {@link Run#host}, nobody else's: may be written in place. */
    OWN,
    /** In the file at {@link Run#host}, a snapshot's too: must be copied to be written. */
    SHARED,
    /** Compressed; {@link Run#host} is the cluster's L2 entry. */
    COMPRESSED,
  }

  /** An area of the disk of one kind, consecutive in the file. */
  record Run(Kind kind, long host, long length) {}

  /** Of L1 and standard L2 entries: the reference count is exactly 1. */
  static final long COPIED = 1L << 63;

  static final long COMPRESSED = 1L << 62;

  /** Of standard L2 entries, from version 3 on and without subclusters: reads as zeros. */
  static final long ZERO = 1;

  static final long OFFSET = 0x00ff_ffff_ffff_fe00L;
  static final long ALL_ALLOCATED = 0xffff_ffffL;
  static final long ALL_ZERO = ALL_ALLOCATED << 32;

  private static final int CACHE_BYTES = 4 << 20;

  private final Storage storage;
  private final Geometry geometry;
  private final PieceCache cache;
  private long[] l1;
  private long l1Offset;
  private final BitSet l1Changes = new BitSet();

  ClusterMap(Storage storage, Header header) throws IOException {
    this.storage = storage;
    this.geometry = header.geometry();
    this.cache = new PieceCache(storage, geometry.pieceSize(), CACHE_BYTES);
    useL1(header.l1Offset(), readL1(storage, header.l1Offset(), header.l1Size()));
  }

  static long[] readL1(Storage storage, long offset, int entries) throws IOException {
    if (entries == 0) {
      // Of a disk of no bytes: its offset means nothing.
      return new long[0];
    }
    byte[] bytes = new byte[Math.multiplyExact(entries, 8)];
    storage.read(offset, MemorySegment.ofArray(bytes));
    return BigEndian.longs(bytes, entries);
  }

  /** Makes another L1 table the active one; the caller has written it and freed the old one. */
  void useL1(long offset, long[] entries) {
    l1Offset = offset;
    l1 = entries;
    l1Changes.clear();
  }

  PieceCache cache() {
    return cache;
  }

  long[] l1() {
    return l1;
  }

  long l1Offset() {
    return l1Offset;
  }

  /**
   * Offset of the L2 table of an L1 entry; 0: none.
   *
   * @throws ImageException if it is not a cluster's
   */
  static long l2Offset(long l1Entry, Geometry geometry) throws ImageException {
    return geometry.aligned(l1Entry & OFFSET, "an L2 table");
  }

  private int l1Index(long cluster) {
    return (int) (cluster >>> geometry.l2Bits());
  }

  private long entryOffset(long l2, long cluster) {
    return l2 + ((cluster & (1L << geometry.l2Bits()) - 1) << geometry.entryBits());
  }

  /** The L2 entry of a guest cluster, 0 without a table. */
  long entry(long cluster) throws IOException {
    return word(cluster, 0);
  }

  /** The subclusters' bitmap of a guest cluster: bit n allocated, bit 32 + n zero. */
  long bitmap(long cluster) throws IOException {
    return geometry.extended() ? word(cluster, 8) : 0;
  }

  private long word(long cluster, int displacement) throws IOException {
    long l2 = l2Offset(l1[l1Index(cluster)], geometry);
    if (l2 == 0) {
      return 0;
    }
    long offset = entryOffset(l2, cluster);
    Piece piece = cache.at(offset);
    return BigEndian.getLong(piece.bytes, (int) (offset - piece.offset) + displacement);
  }

  /** True if the guest cluster's L2 table may be changed in place. */
  boolean ownsTable(long cluster) {
    return (l1[l1Index(cluster)] & COPIED) != 0;
  }

  /** The L1 entry of a guest cluster. */
  long l1Entry(long cluster) {
    return l1[l1Index(cluster)];
  }

  void setL1Entry(int index, long entry) {
    l1[index] = entry;
    l1Changes.set(index / (Header.SECTOR / 8));
  }

  /** Gives a guest cluster an L2 table of its own, which lies durable or soon durable there. */
  void setTable(long cluster, long l2) {
    setL1Entry(l1Index(cluster), l2 | COPIED);
  }

  /** Changes an entry; the guest cluster has an L2 table of its own. */
  void set(long cluster, long entry, long bitmap) throws IOException {
    long offset = entryOffset(l2Offset(l1[l1Index(cluster)], geometry), cluster);
    Piece piece = cache.at(offset);
    int at = (int) (offset - piece.offset);
    BigEndian.putLong(piece.bytes, at, entry);
    if (geometry.extended()) {
      BigEndian.putLong(piece.bytes, at + 8, bitmap);
    }
    cache.changed(piece);
  }

  /** What is at {@code offset} of the disk, and how far, at most {@code length} bytes. */
  Run find(long offset, long length) throws IOException {
    long cluster = geometry.clusterOf(offset);
    long l2 = l2Offset(l1[l1Index(cluster)], geometry);
    if (l2 == 0) {
      long left = (1L << geometry.l1Bits()) - (offset & (1L << geometry.l1Bits()) - 1);
      return new Run(Kind.UNALLOCATED, 0, Math.min(length, left));
    }
    long at = entryOffset(l2, cluster);
    Piece piece = cache.at(at);
    int unitBits = geometry.unitBits();
    int units = geometry.clusterBits() - unitBits;
    int unit = (int) (offset >>> unitBits) & (1 << units) - 1;
    int index = (int) (at - piece.offset);
    Kind kind = kind(piece.bytes, index, unit);
    long entry = BigEndian.getLong(piece.bytes, index);
    if (kind == Kind.COMPRESSED) {
      long left = geometry.clusterSize() - (offset & geometry.clusterSize() - 1);
      return new Run(kind, entry, Math.min(length, left));
    }
    boolean inFile = kind == Kind.OWN || kind == Kind.SHARED;
    long host = inFile ? (entry & OFFSET) + (offset & geometry.clusterSize() - 1) : 0;
    long run = (1L << unitBits) - (offset & (1L << unitBits) - 1);
    while (run < length) {
      if (++unit == 1 << units) {
        unit = 0;
        index += 1 << geometry.entryBits();
        if (index == piece.bytes.length) {
          break;
        }
      }
      if (kind(piece.bytes, index, unit) != kind) {
        break;
      }
      if (inFile
          && (BigEndian.getLong(piece.bytes, index) & OFFSET) + ((long) unit << unitBits)
              != host + run) {
        break;
      }
      run += 1L << unitBits;
    }
    return new Run(kind, host, Math.min(run, length));
  }

  private Kind kind(byte[] bytes, int index, int unit) throws ImageException {
    long entry = BigEndian.getLong(bytes, index);
    return kind(entry, geometry.extended() ? BigEndian.getLong(bytes, index + 8) : 0, unit);
  }

  /** What a unit of a cluster is: a subcluster, or else the cluster. */
  Kind kind(long entry, long bitmap, int unit) throws ImageException {
    if ((entry & COMPRESSED) != 0) {
      return Kind.COMPRESSED;
    }
    long host = entry & OFFSET;
    if ((host & geometry.clusterSize() - 1) != 0) {
      throw new ImageException(CORRUPT, "L2 entry 0x%x is not aligned".formatted(entry));
    }
    if (geometry.extended()) {
      boolean allocated = (bitmap >>> unit & 1) != 0;
      boolean zero = (bitmap >>> unit + 32 & 1) != 0;
      if (allocated && (zero || host == 0)) {
        throw new ImageException(
            CORRUPT, "L2 entry 0x%x contradicts its bitmap 0x%x".formatted(entry, bitmap));
      }
      if (!allocated) {
        return zero ? Kind.ZERO : Kind.UNALLOCATED;
      }
    } else if ((entry & ZERO) != 0) {
      if (!geometry.zeroFlag()) {
        throw new ImageException(
            CORRUPT, "L2 entry 0x%x of a version that has no zero flag".formatted(entry));
      }
      return Kind.ZERO;
    } else if (host == 0) {
      return Kind.UNALLOCATED;
    }
    return (entry & COPIED) != 0 ? Kind.OWN : Kind.SHARED;
  }

  /** True if entries of the L1 table wait to be written. */
  boolean l1Dirty() {
    return !l1Changes.isEmpty();
  }

  /** The changed sectors of the L1 table as they are now, to be written by the caller. */
  L1Sectors takeL1Changes() {
    BitSet sectors = (BitSet) l1Changes.clone();
    byte[][] contents = new byte[sectors.length()][];
    for (int s = sectors.nextSetBit(0); s >= 0; s = sectors.nextSetBit(s + 1)) {
      int first = s * (Header.SECTOR / 8);
      int last = Math.min(l1.length, first + Header.SECTOR / 8);
      contents[s] = BigEndian.bytes(Arrays.copyOfRange(l1, first, last), (last - first) * 8);
    }
    l1Changes.clear();
    return new L1Sectors(l1Offset, sectors, contents);
  }

  /** Sectors of an L1 table on their way to the file. */
  record L1Sectors(long offset, BitSet sectors, byte[][] contents) {
    boolean isEmpty() {
      return sectors.isEmpty();
    }
  }

  void write(L1Sectors changes) throws IOException {
    BitSet sectors = changes.sectors();
    for (int s = sectors.nextSetBit(0); s >= 0; s = sectors.nextSetBit(s + 1)) {
      storage.write(
          changes.offset() + (long) s * Header.SECTOR,
          MemorySegment.ofArray(changes.contents()[s]));
    }
  }

  /** After a failure of {@link #write}. */
  void writeAgain(L1Sectors changes) {
    if (changes.offset() == l1Offset) {
      l1Changes.or(changes.sectors());
    }
  }
}
