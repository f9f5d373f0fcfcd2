package dev.bothy.image.qcow2;

import dev.bothy.image.Progress;
import dev.bothy.image.Ranges;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Changes the size of a disk; QCOW2 specification, section "Header", fields size and l1_size. What
 * grows gets its L1 table and its zeros first, what shrinks gives up its content first; the header
 * changes over in one sector. Wants both of the image's locks, and nothing in memory only.
 */
final class DiskSize {
  private final Metadata metadata;
  private final ClusterIo io;
  private final Backing backing;
  private final Geometry geometry;
  private final Header header;

  DiskSize(Metadata metadata, ClusterIo io, Backing backing) {
    this.metadata = metadata;
    this.io = io;
    this.backing = backing;
    this.geometry = metadata.geometry();
    this.header = metadata.header();
  }

  void change(long size) throws IOException {
    long before = header.size();
    long lastCluster = Ranges.roundUp(Math.min(before, size), geometry.clusterSize());
    if (size > before) {
      growTable(Math.toIntExact(geometry.l1Entries(size)));
      // Of the last cluster, what lay behind the end; of the backing file, what did not show.
      zero(before, Math.min(size, lastCluster));
      zero(lastCluster, backing == null ? 0 : Math.min(size, backing.image().size()));
    } else {
      long end = Ranges.roundUp(before, geometry.clusterSize());
      io.dropAll(lastCluster, end, Progress.NONE);
    }
    metadata.flush(true);
    header.setSize(size);
    header.write();
    metadata.settle();
  }

  private void zero(long from, long end) throws IOException {
    for (long at = from; at < end; ) {
      long part = Math.min(end - at, 1L << 26);
      io.writeZeroes(at, part, true);
      at += part;
      if (metadata.full()) {
        metadata.flush(false);
      }
    }
  }

  private void growTable(int entries) throws IOException {
    ClusterMap map = metadata.map();
    if (entries <= map.l1().length) {
      return;
    }
    Storage storage = metadata.storage();
    long[] longer = Arrays.copyOf(map.l1(), entries);
    long clusters = geometry.clusters(8L * entries);
    long first = metadata.allocateTable(clusters);
    byte[] bytes = BigEndian.bytes(longer, Math.toIntExact(geometry.offsetOf(clusters)));
    storage.write(geometry.offsetOf(first), MemorySegment.ofArray(bytes));
    long oldFirst = geometry.clusterOf(map.l1Offset());
    long oldClusters = geometry.clusters(8L * map.l1().length);
    metadata.flush(true);
    header.setL1(geometry.offsetOf(first), entries);
    header.write();
    map.useL1(geometry.offsetOf(first), longer);
    metadata.flush(true);
    for (long c = oldFirst; c < oldFirst + oldClusters; c++) {
      metadata.freeLater(c);
    }
  }
}
