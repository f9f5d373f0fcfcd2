package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.NOT_FOUND;
import static dev.bothy.image.ImageException.Trouble.REFUSED;

import dev.bothy.image.ImageException;
import dev.bothy.image.Snapshot;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Makes, applies and deletes internal snapshots; QCOW2 specification, section "Snapshots".
 *
 * <p>Each change takes effect by one write of the header, which then refers to tables that are
 * durable. Around it, reference counts and flags are first what the more cautious of before and
 * after says; images of version 3 are marked dirty meanwhile, so that who opens one after a power
 * cut counts anew. Wants both of the image's locks, and an image without changes in memory.
 */
final class Snapshots {
  private static final int MOST_NAME_BYTES = 1023;

  private final Metadata metadata;
  private final Storage storage;
  private final Header header;
  private final Geometry geometry;
  private final References references;

  Snapshots(Metadata metadata, CompressedClusters.Format format) {
    this.metadata = metadata;
    this.storage = metadata.storage();
    this.header = metadata.header();
    this.geometry = metadata.geometry();
    this.references = new References(metadata, format);
  }

  void create(String name) throws IOException {
    List<SnapshotTable.Entry> entries = SnapshotTable.read(storage, header);
    checkNew(name, entries);
    ClusterMap map = metadata.map();
    long[] l1 = shared(map.l1());
    references.checkRoom(l1);
    metadata.setDirty(true);
    long l1Offset = writeTable(BigEndian.bytes(l1, 8 * l1.length));
    // Durable before a count says otherwise: version 2 has no mark that they may contradict.
    references.clearFlags(map.l1());
    metadata.flush(true);
    references.add(l1);
    Snapshot snapshot = new Snapshot(newId(entries), name, Instant.now(), header.size(), 0);
    entries.add(SnapshotTable.entry(snapshot, l1Offset, l1.length));
    replaceTable(entries);
    metadata.settle();
  }

  /** The same references, none of which is the only one. */
  private static long[] shared(long[] l1) {
    return Arrays.stream(l1).map(entry -> entry & ~ClusterMap.COPIED).toArray();
  }

  private static void checkNew(String name, List<SnapshotTable.Entry> entries)
      throws ImageException {
    int length = name.getBytes(StandardCharsets.UTF_8).length;
    if (length == 0 || length > MOST_NAME_BYTES) {
      throw new ImageException(
          REFUSED, "a snapshot's name has 1 to %d bytes".formatted(MOST_NAME_BYTES));
    }
    if (entries.size() >= Header.MOST_SNAPSHOTS
        || SnapshotTable.bytes(entries).length > SnapshotTable.MOST_BYTES - 2 * MOST_NAME_BYTES) {
      throw new ImageException(REFUSED, "it has as many snapshots as an image can have");
    }
    if (entries.stream().anyMatch(e -> e.snapshot().name().equals(name))) {
      throw new ImageException(REFUSED, "there is a snapshot \"" + name + "\" already");
    }
  }

  private static String newId(List<SnapshotTable.Entry> entries) {
    long highest = 0;
    for (SnapshotTable.Entry entry : entries) {
      String id = entry.snapshot().id();
      if (id.matches("[0-9]{1,15}")) {
        highest = Math.max(highest, Long.parseLong(id));
      }
    }
    return Long.toString(highest + 1);
  }

  void delete(String nameOrId) throws IOException {
    List<SnapshotTable.Entry> entries = SnapshotTable.read(storage, header);
    SnapshotTable.Entry entry = find(nameOrId, entries);
    long[] l1 = SnapshotTable.l1(storage, entry);
    metadata.setDirty(true);
    entries.remove(entry);
    replaceTable(entries);
    references.giveUp(l1);
    freeTable(entry.l1Offset(), 8L * entry.l1Size());
    metadata.flush(true);
    references.updateFlags();
    metadata.settle();
  }

  void apply(String nameOrId) throws IOException {
    SnapshotTable.Entry entry = find(nameOrId, SnapshotTable.read(storage, header));
    // Others leave flags in a snapshot's table, of which nobody takes notice there.
    long[] l1 = shared(SnapshotTable.l1(storage, entry));
    long[] before = metadata.map().l1().clone();
    long beforeOffset = metadata.map().l1Offset();
    references.checkRoom(l1);
    metadata.setDirty(true);
    references.clearFlags(l1);
    long offset = writeTable(BigEndian.bytes(l1, 8 * l1.length));
    references.add(l1);
    metadata.flush(true);
    header.setL1(offset, l1.length);
    header.setSize(entry.snapshot().diskSize());
    header.write();
    metadata.map().useL1(offset, l1);
    metadata.flush(true);
    references.giveUp(before);
    freeTable(beforeOffset, 8L * before.length);
    metadata.flush(true);
    references.updateFlags();
    metadata.settle();
  }

  private static SnapshotTable.Entry find(String nameOrId, List<SnapshotTable.Entry> entries)
      throws ImageException {
    return entries.stream()
        .filter(e -> e.snapshot().name().equals(nameOrId))
        .findFirst()
        .or(() -> entries.stream().filter(e -> e.snapshot().id().equals(nameOrId)).findFirst())
        .orElseThrow(
            () -> new ImageException(NOT_FOUND, "there is no snapshot \"" + nameOrId + "\""));
  }

  /** Writes a table to new clusters; 0 if it is empty. */
  private long writeTable(byte[] bytes) throws IOException {
    if (bytes.length == 0) {
      return 0;
    }
    byte[] whole =
        Arrays.copyOf(bytes, Math.toIntExact(geometry.offsetOf(geometry.clusters(bytes.length))));
    long offset = geometry.offsetOf(metadata.allocateTable(geometry.clusterOf(whole.length)));
    storage.write(offset, MemorySegment.ofArray(whole));
    return offset;
  }

  private void freeTable(long offset, long length) throws IOException {
    for (long c = 0; c < geometry.clusters(length); c++) {
      metadata.freeLater(geometry.clusterOf(offset) + c);
    }
  }

  /** Writes a new snapshot table, makes all durable, and changes the header over to it. */
  private void replaceTable(List<SnapshotTable.Entry> entries) throws IOException {
    long before = header.snapshotsOffset();
    int length = SnapshotTable.bytes(SnapshotTable.read(storage, header)).length;
    byte[] bytes = SnapshotTable.bytes(new ArrayList<>(entries));
    long offset = writeTable(bytes);
    metadata.flush(true);
    header.setSnapshots(offset, entries.size());
    header.write();
    metadata.flush(true);
    freeTable(before, length);
  }
}
