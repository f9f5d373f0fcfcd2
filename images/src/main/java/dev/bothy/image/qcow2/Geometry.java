package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;

import dev.bothy.image.ImageException;
import dev.bothy.image.Ranges;

/**
 * How an image is cut into clusters and tables; QCOW2 specification, sections "Header", "L1 and L2
 * tables" and "Extended L2 Entries".
 *
 * @param clusterBits a cluster has 2^clusterBits bytes: 9 to 21
 * @param refcountOrder a reference count has 2^refcountOrder bits: 0 to 6
 * @param extended whether L2 entries have a bitmap of subclusters
 * @param zeroFlag whether entries can say "reads as zeros": version 3 on
 */
record Geometry(int clusterBits, int refcountOrder, boolean extended, boolean zeroFlag) {
  static final int SUBCLUSTERS = 32;

  /** Pieces in which tables are read, cached and written. */
  private static final int PIECE = 4096;

  int clusterSize() {
    return 1 << clusterBits;
  }

  /** Log2 of the smallest unit that has a state of its own: a subcluster, or else a cluster. */
  int unitBits() {
    return extended ? clusterBits - 5 : clusterBits;
  }

  int unitSize() {
    return 1 << unitBits();
  }

  /** Bytes of an L2 entry, as a power of two. */
  int entryBits() {
    return extended ? 4 : 3;
  }

  /** Entries of an L2 table, as a power of two. */
  int l2Bits() {
    return clusterBits - entryBits();
  }

  /** Guest bytes that one L1 entry stands for, as a power of two: at most 39. */
  int l1Bits() {
    return clusterBits + l2Bits();
  }

  /** Counts of a refcount block, as a power of two. */
  int blockBits() {
    return clusterBits + 3 - refcountOrder;
  }

  int pieceSize() {
    return Math.min(PIECE, clusterSize());
  }

  long clusterOf(long offset) {
    return offset >>> clusterBits;
  }

  long offsetOf(long cluster) {
    return cluster << clusterBits;
  }

  /** Clusters that hold so many bytes. */
  long clusters(long bytes) {
    return clusterOf(Ranges.roundUp(bytes, clusterSize()));
  }

  /** L1 entries for a disk of that size. */
  long l1Entries(long diskSize) {
    return (diskSize >>> l1Bits()) + ((diskSize & (1L << l1Bits()) - 1) != 0 ? 1 : 0);
  }

  /**
   * An offset from a table, which must be a cluster's.
   *
   * @throws ImageException if it lies inside one, or no file has it
   */
  long aligned(long offset, String what) throws ImageException {
    if ((offset & clusterSize() - 1) != 0 || offset < 0) {
      throw new ImageException(CORRUPT, "%s at 0x%x is not aligned".formatted(what, offset));
    }
    return offset;
  }
}
