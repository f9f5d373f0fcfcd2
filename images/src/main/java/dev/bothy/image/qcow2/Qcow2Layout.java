package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.REFUSED;

import dev.bothy.image.ImageException;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/**
 * What a new image of the QCOW2 format shall be; QCOW2 specification, section "Header".
 *
 * @param version 2 or 3
 * @param clusterSize a power of two, 512 bytes to 2 MiB
 * @param refcountBits bits of a reference count: 1 to 64, a power of two; 16 in version 2
 * @param lazyRefcounts write counts late; version 3
 * @param extendedL2 32 subclusters a cluster of 16 KiB at least; version 3
 * @param zstd compressed clusters are zstd and not zlib; version 3
 * @param backing name of the backing file; empty: none
 * @param backingFormat its format; empty: not said
 */
public record Qcow2Layout(
    int version,
    int clusterSize,
    int refcountBits,
    boolean lazyRefcounts,
    boolean extendedL2,
    boolean zstd,
    String backing,
    String backingFormat) {
  /** What QEMU makes too unless told otherwise. */
  public static final Qcow2Layout DEFAULT =
      new Qcow2Layout(3, 1 << 16, 16, false, false, false, "", "");

  private static final int LARGEST_CLUSTER = 2 << 20;

  public Qcow2Layout withBacking(String name, String format) {
    return new Qcow2Layout(
        version, clusterSize, refcountBits, lazyRefcounts, extendedL2, zstd, name, format);
  }

  private void check() throws ImageException {
    refuse(version != 2 && version != 3, "qcow2 has versions 2 and 3");
    refuse(
        Integer.bitCount(clusterSize) != 1 || clusterSize < 512 || clusterSize > LARGEST_CLUSTER,
        "a cluster has 512 to 2M bytes, a power of two");
    refuse(
        Integer.bitCount(refcountBits) != 1 || refcountBits < 1 || refcountBits > 64,
        "a reference count has 1, 2, 4, 8, 16, 32 or 64 bits");
    refuse(
        version == 2 && (refcountBits != 16 || lazyRefcounts || extendedL2 || zstd),
        "version 2 has neither other reference counts, lazy ones, extended L2 entries nor zstd");
    refuse(
        extendedL2 && clusterSize < 1 << 14, "extended L2 entries want clusters of 16K at least");
  }

  private static void refuse(boolean wrong, String why) throws ImageException {
    if (wrong) {
      throw new ImageException(REFUSED, why);
    }
  }

  private int log(int powerOfTwo) {
    return Integer.numberOfTrailingZeros(powerOfTwo);
  }

  /**
   * Writes an empty image: header, refcount table, as many refcount blocks as it takes, L1 table.
   *
   * @throws ImageException if there is no such image
   */
  public void write(Storage storage, long size) throws IOException {
    write(storage, size, true);
  }

  /**
   * As {@link #write(Storage, long)}.
   *
   * @param barriers false: a power cut may leave a header whose tables are not there
   */
  public void write(Storage storage, long size, boolean barriers) throws IOException {
    check();
    Geometry geometry = new Geometry(log(clusterSize), log(refcountBits), extendedL2, version > 2);
    long entries = geometry.l1Entries(size);
    if (entries > Header.MOST_L1_ENTRIES) {
      // Formatted only if it is wanted: the first such text costs a start milliseconds.
      throw new ImageException(
          REFUSED,
          "with clusters of %d bytes a disk can have at most %d bytes"
              .formatted(clusterSize, (long) Header.MOST_L1_ENTRIES << geometry.l1Bits()));
    }
    long l1Clusters = Math.max(1, geometry.clusters(8 * entries));
    long blocks = 1;
    long tableClusters = 1;
    while (1 + tableClusters + blocks + l1Clusters > blocks << geometry.blockBits()) {
      blocks++;
      tableClusters = geometry.clusters(8 * blocks);
    }
    long used = 1 + tableClusters + blocks + l1Clusters;
    byte[] table = new byte[Math.toIntExact(geometry.offsetOf(tableClusters))];
    for (int b = 0; b < blocks; b++) {
      BigEndian.putLong(table, 8 * b, geometry.offsetOf(1 + tableClusters + b));
      byte[] block = new byte[clusterSize];
      for (long c = (long) b << geometry.blockBits();
          c < Math.min(used, (long) (b + 1) << geometry.blockBits());
          c++) {
        Refcounts.put(block, geometry.refcountOrder(), c & (1L << geometry.blockBits()) - 1, 1);
      }
      storage.write(geometry.offsetOf(1 + tableClusters + b), MemorySegment.ofArray(block));
    }
    storage.write(geometry.offsetOf(1), MemorySegment.ofArray(table));
    long l1 = 1 + tableClusters + blocks;
    for (long c = 0; c < l1Clusters; c++) {
      storage.write(geometry.offsetOf(l1 + c), MemorySegment.ofArray(new byte[clusterSize]));
    }
    if (barriers) {
      storage.sync();
    }
    byte[] header = header(size);
    BigEndian.putInt(header, Header.L1_SIZE, Math.toIntExact(entries));
    BigEndian.putLong(header, Header.L1_OFFSET, geometry.offsetOf(l1));
    BigEndian.putLong(header, Header.REFTABLE_OFFSET, geometry.offsetOf(1));
    BigEndian.putInt(header, Header.REFTABLE_CLUSTERS, Math.toIntExact(tableClusters));
    storage.write(0, MemorySegment.ofArray(header));
  }

  private byte[] header(long size) throws ImageException {
    byte[] bytes = new byte[clusterSize];
    BigEndian.putInt(bytes, 0, Header.MAGIC);
    BigEndian.putInt(bytes, Header.VERSION, version);
    BigEndian.putInt(bytes, Header.CLUSTER_BITS, log(clusterSize));
    BigEndian.putLong(bytes, Header.SIZE, size);
    int at = Header.LENGTH_2;
    if (version > 2) {
      at = Header.LENGTH_WITH_COMPRESSION;
      BigEndian.putLong(
          bytes,
          Header.INCOMPATIBLE,
          (zstd ? Header.OTHER_COMPRESSION : 0) | (extendedL2 ? Header.EXTENDED_L2 : 0));
      BigEndian.putLong(bytes, Header.COMPATIBLE, lazyRefcounts ? Header.LAZY_REFCOUNTS : 0);
      BigEndian.putInt(bytes, Header.REFCOUNT_ORDER, log(refcountBits));
      BigEndian.putInt(bytes, Header.HEADER_LENGTH, at);
      bytes[Header.COMPRESSION] = (byte) (zstd ? CompressedClusters.ZSTD : CompressedClusters.ZLIB);
    }
    if (backing.isEmpty()) {
      return bytes;
    }
    byte[] name = backing.getBytes(StandardCharsets.UTF_8);
    byte[] format = backingFormat.getBytes(StandardCharsets.UTF_8);
    int needed = at + 8 + (format.length + 7 & -8) + 8 + name.length;
    refuse(
        name.length > Header.MOST_BACKING_LENGTH || needed > clusterSize,
        "the backing file's name is too long");
    if (format.length > 0) {
      BigEndian.putInt(bytes, at, Header.EXTENSION_BACKING_FORMAT);
      BigEndian.putInt(bytes, at + 4, format.length);
      System.arraycopy(format, 0, bytes, at + 8, format.length);
      at += 8 + (format.length + 7 & -8);
    }
    at += 8;
    System.arraycopy(name, 0, bytes, at, name.length);
    BigEndian.putLong(bytes, Header.BACKING_OFFSET, at);
    BigEndian.putInt(bytes, Header.BACKING_LENGTH, name.length);
    return bytes;
  }
}
