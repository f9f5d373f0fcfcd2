package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;
import static dev.bothy.image.ImageException.Trouble.UNSUPPORTED;

import dev.bothy.image.ImageException;
import dev.bothy.image.qcow2.PieceCache.Piece;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * How often each cluster of the file is referred to; QCOW2 specification, section "Host cluster
 * management". The refcount table is in memory, the blocks in a cache. Wants the image's exclusive
 * lock.
 */
final class Refcounts {
  private static final int CACHE_BYTES = 1 << 20;
  private static final long RESERVED = 0x1ff;

  private final Storage storage;
  private final Header header;
  private final Geometry geometry;
  private final Barrier barrier;
  private final PieceCache cache;
  private long[] table;

  /** Blocks lie below; what is named behind the file's end shall not make it that long. */
  private long end;

  Refcounts(Storage storage, Header header, Barrier barrier) throws IOException {
    this.storage = storage;
    this.header = header;
    this.geometry = header.geometry();
    this.barrier = barrier;
    this.cache = new PieceCache(storage, geometry.pieceSize(), CACHE_BYTES);
    int length = Math.toIntExact(geometry.offsetOf(header.reftableClusters()));
    byte[] bytes = new byte[length];
    storage.read(header.reftableOffset(), MemorySegment.ofArray(bytes));
    this.table = BigEndian.longs(bytes, length / 8);
    this.end = storage.size();
    checkBlocks();
  }

  /** One block for two ranges would let a search go on for ever. */
  private void checkBlocks() throws ImageException {
    long[] offsets = Arrays.stream(table).filter(o -> o != 0).sorted().toArray();
    for (int i = 1; i < offsets.length; i++) {
      if (offsets[i] == offsets[i - 1]) {
        throw new ImageException(
            CORRUPT, "the refcount block at 0x%x stands in its table twice".formatted(offsets[i]));
      }
    }
  }

  PieceCache cache() {
    return cache;
  }

  /** Offsets of the refcount blocks; 0 where there is none. */
  long[] table() {
    return table;
  }

  long highest() {
    int order = geometry.refcountOrder();
    return order == 6 ? Long.MAX_VALUE : (1L << (1 << order)) - 1;
  }

  /** Where the block of a cluster starts, or 0. */
  long block(long cluster) throws ImageException {
    long index = cluster >>> geometry.blockBits();
    if (index >= table.length) {
      return 0;
    }
    long entry = table[(int) index];
    if ((entry & RESERVED) != 0) {
      throw new ImageException(CORRUPT, "refcount table entry 0x%x".formatted(entry));
    }
    return geometry.aligned(entry, "a refcount block");
  }

  private long indexInBlock(long cluster) {
    return cluster & (1L << geometry.blockBits()) - 1;
  }

  /** The count of a cluster; those of 64 bits saturate. */
  long get(long cluster) throws IOException {
    long block = block(cluster);
    return block == 0 ? 0 : get(piece(block, indexInBlock(cluster)), indexInBlock(cluster));
  }

  private Piece piece(long block, long index) throws IOException {
    return cache.at(block + (index << geometry.refcountOrder() >>> 3));
  }

  private long get(Piece piece, long index) {
    int order = geometry.refcountOrder();
    int at = (int) (index << order >>> 3) & cache.pieceSize() - 1;
    return get(piece.bytes, at, order, index);
  }

  private static long get(byte[] bytes, int at, int order, long index) {
    return switch (order) {
      case 0, 1, 2 -> bytes[at] >>> bitOf(order, index) & (1 << (1 << order)) - 1;
      case 3 -> bytes[at] & 0xff;
      case 4 -> BigEndian.getShort(bytes, at);
      case 5 -> BigEndian.getUnsignedInt(bytes, at);
      default -> {
        long value = BigEndian.getLong(bytes, at);
        yield value < 0 ? Long.MAX_VALUE : value;
      }
    };
  }

  /** Counts of less than a byte start at its lowest bit. */
  private static int bitOf(int order, long index) {
    return (int) (index & (1 << (3 - order)) - 1) << order;
  }

  /** Sets the count with that index in a block, of which the bytes are the whole. */
  static void put(byte[] block, int order, long index, long value) {
    put(block, (int) (index << order >>> 3), order, index, value);
  }

  private static void put(byte[] bytes, int at, int order, long index, long value) {
    switch (order) {
      case 0, 1, 2 -> {
        int mask = (1 << (1 << order)) - 1 << bitOf(order, index);
        bytes[at] = (byte) (bytes[at] & ~mask | value << bitOf(order, index));
      }
      case 3 -> bytes[at] = (byte) value;
      case 4 -> BigEndian.putShort(bytes, at, (int) value);
      case 5 -> BigEndian.putInt(bytes, at, (int) value);
      default -> BigEndian.putLong(bytes, at, value);
    }
  }

  /**
   * Changes a count, in memory until {@link Metadata} writes it.
   *
   * @throws ImageException if it would not fit into its bits, go below 0, or has no block
   */
  void add(long cluster, long difference) throws IOException {
    long count = get(cluster) + difference;
    if (count < 0) {
      throw new ImageException(
          CORRUPT, "a reference of cluster %d too many is given up".formatted(cluster));
    }
    if (count > highest()) {
      throw new ImageException(
          UNSUPPORTED,
          "a cluster cannot be referred to more than %d times in this image".formatted(highest()));
    }
    set(cluster, count);
  }

  void set(long cluster, long count) throws IOException {
    long block = block(cluster);
    if (block == 0) {
      throw new ImageException(CORRUPT, "cluster %d has no refcount block".formatted(cluster));
    }
    if (block >= end) {
      throw new ImageException(
          CORRUPT, "the refcount block at 0x%x lies behind the end of the file".formatted(block));
    }
    long index = indexInBlock(cluster);
    Piece piece = piece(block, index);
    int order = geometry.refcountOrder();
    put(piece.bytes, (int) (index << order >>> 3) & cache.pieceSize() - 1, order, index, count);
    cache.changed(piece);
  }

  /** True if the cluster's count has a place. */
  boolean covers(long cluster) throws IOException {
    return block(cluster) != 0;
  }

  /** The first cluster from {@code from} on whose count is 0. */
  long nextFree(long from) throws IOException {
    long cluster = from;
    while (true) {
      long block = block(cluster);
      if (block == 0) {
        return cluster;
      }
      long end = (cluster >>> geometry.blockBits()) + 1 << geometry.blockBits();
      while (cluster < end) {
        long index = indexInBlock(cluster);
        Piece piece = piece(block, index);
        long inPiece = (long) cache.pieceSize() * 8 >>> geometry.refcountOrder();
        long pieceEnd = Math.min(end, cluster - index % inPiece + inPiece);
        for (; cluster < pieceEnd; cluster++) {
          if (get(piece, indexInBlock(cluster)) == 0) {
            return cluster;
          }
        }
      }
    }
  }

  /** The first cluster from {@code from} on, in the same block, whose count is not 0; or end. */
  long nextCounted(long from, long end) throws IOException {
    long block = block(from);
    int inWord = Long.SIZE >> geometry.refcountOrder();
    long cluster = from;
    while (cluster < end) {
      long index = indexInBlock(cluster);
      Piece piece = piece(block, index);
      int at = (int) (index << geometry.refcountOrder() >>> 3) & cache.pieceSize() - 1;
      if (index % inWord == 0 && BigEndian.getLong(piece.bytes, at) == 0) {
        cluster += inWord;
      } else if (get(piece, index) != 0) {
        return cluster;
      } else {
        cluster++;
      }
    }
    return end;
  }

  /**
   * Makes room for the counts of {@code cluster}, a free one, if there is none: at that cluster
   * itself, so that the new block counts itself. It is durable before the table refers to it, and
   * the table before anything refers to what it counts.
   *
   * @return clusters from {@code cluster} on that are now taken
   */
  long cover(long cluster) throws IOException {
    if (block(cluster) != 0) {
      return 0;
    }
    long index = cluster >>> geometry.blockBits();
    if (index >= table.length) {
      return grow(cluster);
    }
    writeBlock(cluster, index, cluster, 1);
    barrier.sync();
    table[(int) index] = geometry.offsetOf(cluster);
    writeTableSector((int) index);
    return 1;
  }

  /**
   * Makes a block for the counts of {@code cluster}, which the table reaches, at {@code place} or
   * behind it, where all is free: a block that counts {@code place} may have to come first.
   *
   * @return behind the last cluster that is taken now
   */
  long coverFrom(long cluster, long place) throws IOException {
    long index = cluster >>> geometry.blockBits();
    if (index >= table.length) {
      throw new ImageException(CORRUPT, "the refcount table ends before cluster " + cluster);
    }
    long at = place;
    for (long taken = cover(at); taken != 0; taken = cover(at)) {
      at += taken;
    }
    if (block(cluster) != 0) {
      return at;
    }
    writeBlock(at, index, at, 1);
    set(at, 1);
    barrier.sync();
    table[(int) index] = geometry.offsetOf(at);
    writeTableSector((int) index);
    return at + 1;
  }

  /**
   * Writes a block at cluster {@code at} in which {@code taken} clusters from {@code first} on
   * count 1.
   */
  private void writeBlock(long at, long index, long first, long taken) throws IOException {
    byte[] bytes = new byte[geometry.clusterSize()];
    int order = geometry.refcountOrder();
    for (long c = first; c < first + taken; c++) {
      if (c >>> geometry.blockBits() == index) {
        put(bytes, order, indexInBlock(c), 1);
      }
    }
    cache.forget(geometry.offsetOf(at), bytes.length);
    end = Math.max(end, geometry.offsetOf(at + 1));
    storage.write(geometry.offsetOf(at), MemorySegment.ofArray(bytes));
  }

  private void writeTableSector(int index) throws IOException {
    int first = index & -(Header.SECTOR / 8);
    long[] sector = Arrays.copyOfRange(table, first, first + Header.SECTOR / 8);
    storage.write(
        header.reftableOffset() + 8L * first,
        MemorySegment.ofArray(BigEndian.bytes(sector, Header.SECTOR)));
  }

  /**
   * A longer table, half as long again, at {@code start}, and behind it the blocks that count table
   * and blocks. The header changes over in one sector.
   */
  private long grow(long start) throws IOException {
    long entries = Math.max(start >>> geometry.blockBits(), (long) table.length * 3 / 2);
    long blocks = 1;
    long tableClusters;
    while (true) {
      tableClusters = geometry.clusters(8 * (entries + blocks + 1));
      long last = start + tableClusters + blocks - 1;
      long needed = (last >>> geometry.blockBits()) - (start >>> geometry.blockBits()) + 1;
      if (needed <= blocks
          && last >>> geometry.blockBits() < geometry.offsetOf(tableClusters) / 8) {
        break;
      }
      blocks = Math.max(needed, blocks + 1);
      entries = Math.max(entries, last >>> geometry.blockBits());
    }
    if (geometry.offsetOf(tableClusters) > 8L << 20) {
      throw new ImageException(UNSUPPORTED, "the image's file cannot grow any more");
    }
    long[] longer = Arrays.copyOf(table, Math.toIntExact(geometry.offsetOf(tableClusters) / 8));
    long taken = tableClusters + blocks;
    for (long b = 0; b < blocks; b++) {
      long index = (start >>> geometry.blockBits()) + b;
      long at = start + tableClusters + b;
      writeBlock(at, index, start, taken);
      longer[Math.toIntExact(index)] = geometry.offsetOf(at);
    }
    long offset = geometry.offsetOf(start);
    storage.write(offset, MemorySegment.ofArray(BigEndian.bytes(longer, longer.length * 8)));
    barrier.sync();
    long oldFirst = geometry.clusterOf(header.reftableOffset());
    int oldClusters = header.reftableClusters();
    header.setReftable(offset, Math.toIntExact(tableClusters));
    header.write();
    barrier.sync();
    table = longer;
    for (int i = 0; i < oldClusters; i++) {
      add(oldFirst + i, -1);
    }
    return taken;
  }

  /** Makes what was written durable, where the image's user cares. */
  @FunctionalInterface
  interface Barrier {
    void sync() throws IOException;
  }
}
