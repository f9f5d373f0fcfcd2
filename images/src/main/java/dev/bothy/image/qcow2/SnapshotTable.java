package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;

import dev.bothy.image.ImageException;
import dev.bothy.image.Ranges;
import dev.bothy.image.Snapshot;
import dev.bothy.image.storage.Storage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The list of internal snapshots; QCOW2 specification, section "Snapshots". Entries keep the bytes
 * that they were read from, so that what is not known here survives when the list is written anew.
 */
final class SnapshotTable {
  private static final int FIXED = 40;
  private static final int MOST_EXTRA = 1024;
  static final int MOST_BYTES = 16 << 20;
  private static final int EXTRA = 16;

  /** One entry: what it says, and its bytes. */
  record Entry(Snapshot snapshot, long l1Offset, int l1Size, byte[] bytes) {}

  private SnapshotTable() {}

  /**
   * Reads the table.
   *
   * @throws ImageException if it is damaged
   */
  static List<Entry> read(Storage storage, Header header) throws IOException {
    List<Entry> entries = new ArrayList<>();
    long at = header.snapshotsOffset();
    for (int i = 0; i < header.snapshotCount(); i++) {
      byte[] fixed = new byte[FIXED];
      storage.read(at, MemorySegment.ofArray(fixed));
      int idLength = BigEndian.getShort(fixed, 12);
      int nameLength = BigEndian.getShort(fixed, 14);
      long extra = BigEndian.getUnsignedInt(fixed, 36);
      long length = FIXED + extra + idLength + nameLength;
      if (extra > MOST_EXTRA || at + length - header.snapshotsOffset() > MOST_BYTES) {
        throw new ImageException(CORRUPT, "its snapshot table is damaged or too long");
      }
      byte[] bytes = new byte[(int) Ranges.roundUp(length, 8)];
      storage.read(at, MemorySegment.ofArray(bytes).asSlice(0, length));
      entries.add(parse(bytes, (int) extra, idLength, nameLength, header));
      at += bytes.length;
    }
    return entries;
  }

  private static Entry parse(byte[] bytes, int extra, int idLength, int nameLength, Header header)
      throws ImageException {
    long l1Offset = BigEndian.getLong(bytes, 0);
    long l1Size = BigEndian.getUnsignedInt(bytes, 8);
    int id = FIXED + extra;
    long diskSize = extra >= 16 ? BigEndian.getLong(bytes, FIXED + 8) : header.size();
    if (l1Size > Header.MOST_L1_ENTRIES
        || diskSize < 0
        || header.geometry().l1Entries(diskSize) > l1Size) {
      throw new ImageException(CORRUPT, "a snapshot's L1 table has %d entries".formatted(l1Size));
    }
    header.geometry().aligned(l1Offset, "a snapshot's L1 table");
    Snapshot snapshot =
        new Snapshot(
            text(bytes, id, idLength),
            text(bytes, id + idLength, nameLength),
            Instant.ofEpochSecond(
                BigEndian.getUnsignedInt(bytes, 16), BigEndian.getUnsignedInt(bytes, 20)),
            diskSize,
            extra >= 8 ? BigEndian.getLong(bytes, FIXED) : BigEndian.getUnsignedInt(bytes, 32));
    return new Entry(snapshot, l1Offset, (int) l1Size, bytes);
  }

  private static String text(byte[] bytes, int from, int length) {
    return new String(bytes, from, length, StandardCharsets.UTF_8);
  }

  /** A new entry of a snapshot without a machine's state. */
  static Entry entry(Snapshot snapshot, long l1Offset, int l1Size) {
    byte[] id = snapshot.id().getBytes(StandardCharsets.UTF_8);
    byte[] name = snapshot.name().getBytes(StandardCharsets.UTF_8);
    int length = FIXED + EXTRA + id.length + name.length;
    byte[] bytes = new byte[(int) Ranges.roundUp(length, 8)];
    BigEndian.putLong(bytes, 0, l1Offset);
    BigEndian.putInt(bytes, 8, l1Size);
    BigEndian.putShort(bytes, 12, id.length);
    BigEndian.putShort(bytes, 14, name.length);
    BigEndian.putInt(bytes, 16, (int) snapshot.created().getEpochSecond());
    BigEndian.putInt(bytes, 20, snapshot.created().getNano());
    BigEndian.putInt(bytes, 36, EXTRA);
    BigEndian.putLong(bytes, FIXED + 8, snapshot.diskSize());
    System.arraycopy(id, 0, bytes, FIXED + EXTRA, id.length);
    System.arraycopy(name, 0, bytes, FIXED + EXTRA + id.length, name.length);
    return new Entry(snapshot, l1Offset, l1Size, bytes);
  }

  /** The table as it stands in the file. */
  static byte[] bytes(List<Entry> entries) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    entries.forEach(entry -> out.writeBytes(entry.bytes()));
    byte[] bytes = out.toByteArray();
    if (bytes.length > MOST_BYTES) {
      throw new IllegalArgumentException("too many snapshots");
    }
    return bytes;
  }

  /** The L1 table of a snapshot, without the flags of the active one. */
  static long[] l1(Storage storage, Entry entry) throws IOException {
    long[] l1 = ClusterMap.readL1(storage, entry.l1Offset(), entry.l1Size());
    return Arrays.stream(l1).map(e -> e & ~ClusterMap.COPIED).toArray();
  }
}
