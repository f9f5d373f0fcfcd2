package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.UNSUPPORTED;

import dev.bothy.image.CheckReport;
import dev.bothy.image.ImageException;
import dev.bothy.image.Progress;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * Counts all references of an image anew and compares: QCOW2 specification, sections "Host cluster
 * management" and "Cluster mapping". A count below the references is a corruption, one above them a
 * leak. Wants both of the image's locks, and an image without changes in memory.
 */
final class Checker {
  private static final int MOST_FINDINGS = 100;

  private final Metadata metadata;
  private final Storage storage;
  private final Header header;
  private final Geometry geometry;
  private final CompressedClusters.Format format;
  private final boolean repair;
  private final Progress progress;
  private final ReferenceCounts references = new ReferenceCounts();

  /** What no other entry may refer to: all tables but those of L2. */
  private final ReferenceCounts tableClusters = new ReferenceCounts();

  private final List<String> findings = new ArrayList<>();
  private final long fileEnd;
  private long corruptions;
  private long leaks;
  private long repaired;
  private long allocated;
  private long compressed;
  private long tablesDone;
  private long tablesAll;

  Checker(Metadata metadata, CompressedClusters.Format format, boolean repair, Progress progress)
      throws IOException {
    this.metadata = metadata;
    this.storage = metadata.storage();
    this.header = metadata.header();
    this.geometry = metadata.geometry();
    this.format = format;
    this.repair = repair;
    this.progress = progress;
    this.fileEnd = geometry.clusters(storage.size());
  }

  CheckReport run() throws IOException {
    if ((header.autoclear() & Header.BITMAPS) != 0) {
      throw new ImageException(
          UNSUPPORTED, "it has persistent bitmaps, whose clusters Bothy cannot check");
    }
    referTable(0, 1, "the header");
    referTable(header.reftableOffset(), header.reftableClusters(), "the refcount table");
    for (long block : metadata.refcounts().table()) {
      if (block != 0) {
        referTable(block, 1, "a refcount block");
      }
    }
    long[] l1 = metadata.map().l1();
    List<SnapshotTable.Entry> snapshots = SnapshotTable.read(storage, header);
    tablesAll = l1.length + snapshots.stream().mapToLong(SnapshotTable.Entry::l1Size).sum();
    boolean fresh =
        referTable(header.l1Offset(), geometry.clusters(8L * l1.length), "the L1 table");
    int length = SnapshotTable.bytes(snapshots).length;
    referTable(header.snapshotsOffset(), geometry.clusters(length), "the snapshot table");
    BitSet readable = new BitSet();
    for (int i = 0; i < snapshots.size(); i++) {
      SnapshotTable.Entry snapshot = snapshots.get(i);
      readable.set(
          i,
          referTable(
              snapshot.l1Offset(),
              geometry.clusters(8L * snapshot.l1Size()),
              "the L1 table of snapshot " + snapshot.snapshot().id()));
    }
    // What these refer to must not be any of the above.
    if (fresh) {
      tables(l1, true);
    }
    for (int i = readable.nextSetBit(0); i >= 0; i = readable.nextSetBit(i + 1)) {
      tables(SnapshotTable.l1(storage, snapshots.get(i)), false);
    }
    compareCounts();
    if (fresh) {
      checkFlags(l1);
    }
    if (repair) {
      metadata.flush(true);
    }
    return new CheckReport(
        corruptions,
        leaks,
        repaired,
        List.copyOf(findings),
        allocated,
        compressed,
        geometry.clusters(header.size()),
        geometry.offsetOf(references.end()));
  }

  private void corruption(boolean mended, String what, Object... of) {
    corruptions++;
    note("error: ", mended, what, of);
  }

  private void leak(boolean mended, String what, Object... of) {
    leaks++;
    note("leak: ", mended, what, of);
  }

  /** A small image can have millions of findings: only those that are told become text. */
  private void note(String kind, boolean mended, String what, Object... of) {
    repaired += mended ? 1 : 0;
    if (findings.size() < MOST_FINDINGS) {
      findings.add(kind + what.formatted(of) + (mended ? " (mended)" : ""));
    }
  }

  /**
   * Counts references of clusters.
   *
   * @return false if any had been referred to, or they cannot be
   */
  private boolean refer(long offset, long clusters, String what) throws IOException {
    long first = geometry.clusterOf(offset);
    if (clusters == 0) {
      return true;
    }
    if ((offset & geometry.clusterSize() - 1) != 0 || offset < 0) {
      corruption(false, "%s at 0x%x is not aligned", what, offset);
      return false;
    }
    if (clusters > fileEnd || first > fileEnd - clusters) {
      corruption(false, "%s at 0x%x lies behind the end of the file", what, offset);
      return false;
    }
    boolean fresh = true;
    for (long c = first; c < first + clusters; c++) {
      fresh &= references.add(c) == 1;
    }
    return fresh;
  }

  /**
   * Counts references of a table that is nothing else, as the same one for many would be walked as
   * often, and one that is content changes with it.
   *
   * @return false if it is not to be read
   */
  private boolean referTable(long offset, long clusters, String what) throws IOException {
    long before = corruptions;
    boolean fresh = refer(offset, clusters, what);
    if (corruptions == before) {
      if (!fresh) {
        corruption(false, "%s at 0x%x is something else too", what, offset);
      }
      for (long c = geometry.clusterOf(offset);
          clusters > 0 && c < geometry.clusterOf(offset) + clusters;
          c++) {
        tableClusters.add(c);
      }
    }
    return fresh;
  }

  /** Counts references of what tables refer to. */
  private void referContent(long offset, long clusters, String what) throws IOException {
    long before = corruptions;
    refer(offset, clusters, what);
    long first = geometry.clusterOf(offset);
    for (long c = first; corruptions == before && c < first + clusters; c++) {
      if (tableClusters.get(c) != 0) {
        corruption(false, "%s at 0x%x is a table too", what, offset);
      }
    }
  }

  private void tables(long[] l1, boolean active) throws IOException {
    ReferenceCounts seen = new ReferenceCounts();
    byte[] table = new byte[geometry.clusterSize()];
    for (long entry : l1) {
      progress.update(++tablesDone, tablesAll);
      long l2 = entry & ClusterMap.OFFSET;
      if (l2 == 0) {
        continue;
      }
      referContent(l2, 1, "an L2 table");
      if ((l2 & geometry.clusterSize() - 1) != 0 || geometry.clusterOf(l2) >= fileEnd) {
        continue;
      }
      if (seen.add(geometry.clusterOf(l2)) > 1) {
        corruption(false, "the L2 table at 0x%x stands in an L1 table twice", l2);
        continue;
      }
      storage.read(l2, MemorySegment.ofArray(table));
      table(table, active);
    }
  }

  private void table(byte[] table, boolean active) throws IOException {
    for (int at = 0; at < table.length; at += 1 << geometry.entryBits()) {
      long entry = BigEndian.getLong(table, at);
      long bitmap = geometry.extended() ? BigEndian.getLong(table, at + 8) : 0;
      if ((entry & ClusterMap.COMPRESSED) != 0) {
        compressed(entry, active);
        continue;
      }
      if ((bitmap & bitmap >>> 32 & ClusterMap.ALL_ALLOCATED) != 0
          || (bitmap & ClusterMap.ALL_ALLOCATED) != 0 && (entry & ClusterMap.OFFSET) == 0
          || !geometry.extended() && !geometry.zeroFlag() && (entry & ClusterMap.ZERO) != 0) {
        corruption(false, "L2 entry 0x%x with bitmap 0x%x", entry, bitmap);
      }
      if ((entry & ClusterMap.OFFSET) != 0) {
        referContent(entry & ClusterMap.OFFSET, 1, "a cluster");
        allocated += active ? 1 : 0;
      }
    }
  }

  private void compressed(long entry, boolean active) throws IOException {
    CompressedClusters.Place place = format.place(entry);
    long first = geometry.clusterOf(place.offset());
    long last = geometry.clusterOf(place.offset() + place.length() - 1);
    referContent(geometry.offsetOf(first), last - first + 1, "a compressed cluster");
    allocated += active ? 1 : 0;
    compressed += active ? 1 : 0;
  }

  private void compareCounts() throws IOException {
    Refcounts counts = metadata.refcounts();
    if (repair) {
      cover(counts);
    }
    long end = Math.max(references.end(), counted(counts));
    for (long cluster = 0; cluster < end; cluster++) {
      if (references.end() <= cluster) {
        long last = cluster | (1L << geometry.blockBits()) - 1;
        // Nothing is counted behind the end, however many such blocks the table names.
        cluster = inFile(counts.block(cluster)) ? counts.nextCounted(cluster, last + 1) : last + 1;
        if (cluster > last) {
          cluster = last;
          continue;
        }
      }
      long count = counts.get(cluster);
      int wanted = references.get(cluster);
      if (count == wanted) {
        continue;
      }
      boolean mend = repair && counts.covers(cluster) && wanted <= counts.highest();
      String what = "cluster %d counts %d references and has %d";
      if (count < wanted) {
        corruption(mend, what, cluster, count, wanted);
      } else {
        leak(mend, what, cluster, count, wanted);
      }
      if (mend) {
        counts.set(cluster, wanted);
        if (counts.cache().full()) {
          metadata.flush(false);
        }
      }
    }
  }

  private boolean inFile(long block) {
    return block != 0 && geometry.clusterOf(block) < fileEnd;
  }

  private long counted(Refcounts counts) {
    long[] table = counts.table();
    int last = table.length;
    while (last > 0 && table[last - 1] == 0) {
      last--;
    }
    return (long) last << geometry.blockBits();
  }

  /**
   * Makes refcount blocks for clusters that are in use and have none, behind all that is in use.
   */
  private void cover(Refcounts counts) throws IOException {
    for (long cluster = 0; cluster < references.end(); cluster++) {
      if (references.get(cluster) != 0 && !counts.covers(cluster)) {
        long place = Math.max(references.end(), fileEnd);
        long taken = counts.cover(place);
        for (long c = place; c < place + taken; c++) {
          references.add(c);
        }
        if (!counts.covers(cluster)) {
          long free = references.end();
          long end = counts.coverFrom(cluster, free);
          for (long c = free; c < end; c++) {
            references.add(c);
          }
        }
      }
    }
  }

  /** Compares what the active tables say of their clusters with the references there are. */
  private void checkFlags(long[] l1) throws IOException {
    byte[] table = new byte[geometry.clusterSize()];
    for (int i = 0; i < l1.length; i++) {
      long l2 = l1[i] & ClusterMap.OFFSET;
      if (l2 == 0 || (l2 & geometry.clusterSize() - 1) != 0 || geometry.clusterOf(l2) >= fileEnd) {
        continue;
      }
      if (wrongFlag(l1[i], l2) && repair) {
        metadata.map().setL1Entry(i, l1[i] ^ ClusterMap.COPIED);
      }
      storage.read(l2, MemorySegment.ofArray(table));
      boolean changed = false;
      for (int at = 0; at < table.length; at += 1 << geometry.entryBits()) {
        long entry = BigEndian.getLong(table, at);
        if ((entry & ClusterMap.COMPRESSED) == 0
            && (entry & ClusterMap.OFFSET) != 0
            && wrongFlag(entry, entry & ClusterMap.OFFSET)) {
          BigEndian.putLong(table, at, entry ^ ClusterMap.COPIED);
          changed = true;
        }
      }
      if (changed && repair) {
        // Only flags differ: a cut in between leaves some mended.
        metadata.map().cache().forget(l2, table.length);
        storage.write(l2, MemorySegment.ofArray(table));
      }
    }
  }

  private boolean wrongFlag(long entry, long offset) {
    boolean alone = references.get(geometry.clusterOf(offset)) == 1;
    if (alone == ((entry & ClusterMap.COPIED) != 0)) {
      return false;
    }
    long cluster = geometry.clusterOf(offset);
    if (alone) {
      // Costs a copy when it is next written.
      leak(repair, "the entry of cluster %d says that it is shared", cluster);
    } else {
      corruption(repair, "the entry of cluster %d says that it is not shared", cluster);
    }
    return true;
  }
}
