package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;

import dev.bothy.image.ImageException;
import dev.bothy.image.qcow2.PieceCache.Piece;
import java.io.IOException;
import java.util.HashSet;
import java.util.Set;

/**
 * Changes the reference counts of all that an L1 table leads to, as snapshots need; QCOW2
 * specification, section "Snapshots". Wants both of the image's locks.
 */
final class References {
  private final Metadata metadata;
  private final Geometry geometry;
  private final CompressedClusters.Format format;

  References(Metadata metadata, CompressedClusters.Format format) {
    this.metadata = metadata;
    this.geometry = metadata.geometry();
    this.format = format;
  }

  @FunctionalInterface
  private interface Visitor {
    void visit(long cluster) throws IOException;
  }

  /** Refuses what cannot get one more reference. */
  void checkRoom(long[] l1) throws IOException {
    Refcounts counts = metadata.refcounts();
    visit(
        l1,
        cluster -> {
          if (counts.get(cluster) >= counts.highest()) {
            throw new ImageException(
                ImageException.Trouble.UNSUPPORTED,
                "reference counts of this image end at "
                    + counts.highest()
                    + ": it cannot have one more snapshot");
          }
        });
  }

  /** Adds 1 to the count of each L2 table and each cluster, once a reference. */
  void add(long[] l1) throws IOException {
    visit(
        l1,
        cluster -> {
          metadata.refcounts().add(cluster, 1);
          if (metadata.refcounts().cache().full()) {
            metadata.flush(false);
          }
        });
  }

  /** Gives all these references up; nothing durable has them any more. */
  void giveUp(long[] l1) throws IOException {
    visit(
        l1,
        cluster -> {
          metadata.freeLater(cluster);
          if (metadata.full()) {
            metadata.flush(false);
          }
        });
  }

  private void visit(long[] l1, Visitor visitor) throws IOException {
    Set<Long> tables = new HashSet<>();
    byte[] table = new byte[geometry.clusterSize()];
    for (long l1Entry : l1) {
      long l2 = ClusterMap.l2Offset(l1Entry, geometry);
      if (l2 == 0) {
        continue;
      }
      if (!tables.add(l2)) {
        throw new ImageException(CORRUPT, "the L2 table at 0x%x is used twice".formatted(l2));
      }
      metadata.readTable(l2, table);
      for (int at = 0; at < table.length; at += 1 << geometry.entryBits()) {
        long entry = BigEndian.getLong(table, at);
        if ((entry & ClusterMap.COMPRESSED) != 0) {
          CompressedClusters.Place place = format.place(entry);
          long last = geometry.clusterOf(place.offset() + place.length() - 1);
          for (long c = geometry.clusterOf(place.offset()); c <= last; c++) {
            visitor.visit(c);
          }
        } else if ((entry & ClusterMap.OFFSET) != 0) {
          visitor.visit(geometry.clusterOf(entry & ClusterMap.OFFSET));
        }
      }
      visitor.visit(geometry.clusterOf(l2));
    }
  }

  /** Makes the active tables say of each cluster whether its count is exactly 1. */
  void updateFlags() throws IOException {
    updateFlags(metadata.map().l1(), false);
  }

  /**
   * Makes an L1 table and the L2 tables that it refers to say that nothing is theirs alone, which
   * is true whatever counts become. Of a table that is not the active one, the L2 tables alone.
   */
  void clearFlags(long[] l1) throws IOException {
    updateFlags(l1, true);
  }

  private void updateFlags(long[] l1, boolean clear) throws IOException {
    ClusterMap map = metadata.map();
    for (int i = 0; i < l1.length; i++) {
      long l2 = ClusterMap.l2Offset(l1[i], geometry);
      if (l2 == 0) {
        continue;
      }
      for (long at = l2; at < l2 + geometry.clusterSize(); at += map.cache().pieceSize()) {
        updateFlags(map, map.cache().at(at), clear);
      }
      long entry = flagged(l1[i], geometry.clusterOf(l2), clear);
      if (entry != l1[i] && l1 == map.l1()) {
        map.setL1Entry(i, entry);
      }
      if (metadata.full()) {
        metadata.flush(false);
      }
    }
  }

  private void updateFlags(ClusterMap map, Piece piece, boolean clear) throws IOException {
    for (int at = 0; at < piece.bytes.length; at += 1 << geometry.entryBits()) {
      long entry = BigEndian.getLong(piece.bytes, at);
      if ((entry & ClusterMap.COMPRESSED) == 0 && (entry & ClusterMap.OFFSET) != 0) {
        long flagged = flagged(entry, geometry.clusterOf(entry & ClusterMap.OFFSET), clear);
        if (flagged != entry) {
          BigEndian.putLong(piece.bytes, at, flagged);
          map.cache().changed(piece);
        }
      }
    }
  }

  private long flagged(long entry, long cluster, boolean clear) throws IOException {
    return !clear && metadata.refcounts().get(cluster) == 1
        ? entry | ClusterMap.COPIED
        : entry & ~ClusterMap.COPIED;
  }
}
