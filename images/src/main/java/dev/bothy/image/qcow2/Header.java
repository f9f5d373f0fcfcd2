package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;
import static dev.bothy.image.ImageException.Trouble.UNSUPPORTED;

import dev.bothy.image.ImageException;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The first cluster of an image; QCOW2 specification, sections "Header" and "Header extensions".
 * All that ever changes lies in the first 512 bytes, which are written as one: a power cut leaves
 * the header before or after, never between. Extensions that are not known here stay as they are.
 */
final class Header {
  /** "QFI\xfb". */
  static final int MAGIC = 0x514649fb;

  static final int LENGTH_2 = 72;
  static final int LENGTH_3 = 104;
  static final int LENGTH_WITH_COMPRESSION = 112;

  // Offsets of fields.
  static final int VERSION = 4;
  static final int BACKING_OFFSET = 8;
  static final int BACKING_LENGTH = 16;
  static final int CLUSTER_BITS = 20;
  static final int SIZE = 24;
  static final int ENCRYPTION = 32;
  static final int L1_SIZE = 36;
  static final int L1_OFFSET = 40;
  static final int REFTABLE_OFFSET = 48;
  static final int REFTABLE_CLUSTERS = 56;
  static final int SNAPSHOTS = 60;
  static final int SNAPSHOTS_OFFSET = 64;
  static final int INCOMPATIBLE = 72;
  static final int COMPATIBLE = 80;
  static final int AUTOCLEAR = 88;
  static final int REFCOUNT_ORDER = 96;
  static final int HEADER_LENGTH = 100;
  static final int COMPRESSION = 104;

  // Incompatible features.
  static final long DIRTY = 1;
  static final long MARKED_CORRUPT = 1 << 1;
  static final long EXTERNAL_DATA = 1 << 2;
  static final long OTHER_COMPRESSION = 1 << 3;
  static final long EXTENDED_L2 = 1 << 4;
  private static final long KNOWN =
      DIRTY | MARKED_CORRUPT | EXTERNAL_DATA | OTHER_COMPRESSION | EXTENDED_L2;

  /** A compatible feature: counts may be written late, with DIRTY set meanwhile. */
  static final long LAZY_REFCOUNTS = 1;

  /** An autoclear feature: the bitmaps extension is consistent. */
  static final long BITMAPS = 1;

  static final int EXTENSION_BACKING_FORMAT = 0xE2792ACA;
  static final int EXTENSION_FEATURE_NAMES = 0x6803f857;

  /** Bounds of what is read into memory. */
  static final int MOST_L1_ENTRIES = (32 << 20) / 8;

  private static final int MOST_REFTABLE_BYTES = 8 << 20;
  static final int MOST_SNAPSHOTS = 65536;
  static final int MOST_BACKING_LENGTH = 1023;
  static final int SECTOR = 512;

  private final Storage storage;
  private final byte[] bytes;
  private final Geometry geometry;
  private String backingFormat = "";
  private volatile boolean unknown;
  private final List<String> featureNames = new ArrayList<>();

  private Header(Storage storage, byte[] bytes, Geometry geometry) {
    this.storage = storage;
    this.bytes = bytes;
    this.geometry = geometry;
  }

  /** A header whose first cluster is {@code bytes}, for a new image; nothing is written yet. */
  static Header create(Storage storage, byte[] bytes) throws IOException {
    Header header = new Header(storage, bytes, geometry(bytes));
    header.readExtensions();
    return header;
  }

  /**
   * Reads and checks a header.
   *
   * @throws ImageException if it is none, or one that is not supported
   */
  static Header read(Storage storage) throws IOException {
    long fileSize = storage.size();
    byte[] start = new byte[SECTOR];
    storage.read(0, MemorySegment.ofArray(start));
    if (fileSize < LENGTH_2 || BigEndian.getInt(start, 0) != MAGIC) {
      throw corrupt("this is no qcow2 image");
    }
    Geometry geometry = geometry(start);
    byte[] bytes = new byte[geometry.clusterSize()];
    storage.read(0, MemorySegment.ofArray(bytes));
    Header header = new Header(storage, bytes, geometry);
    header.readExtensions();
    header.checkFeatures();
    header.checkTables(fileSize);
    return header;
  }

  private static Geometry geometry(byte[] start) throws ImageException {
    int version = BigEndian.getInt(start, VERSION);
    if (version != 2 && version != 3) {
      throw unsupported(
          "version %d of qcow2; Bothy knows 2 and 3".formatted(version & 0xffff_ffffL));
    }
    int clusterBits = BigEndian.getInt(start, CLUSTER_BITS);
    if (clusterBits < 9 || clusterBits > 21) {
      throw corrupt("clusters of 2^%d bytes".formatted(clusterBits & 0xffff_ffffL));
    }
    int refcountOrder = version == 2 ? 4 : BigEndian.getInt(start, REFCOUNT_ORDER);
    if (refcountOrder < 0 || refcountOrder > 6) {
      throw corrupt("reference counts of 2^%d bits".formatted(refcountOrder & 0xffff_ffffL));
    }
    boolean extended = version > 2 && (BigEndian.getLong(start, INCOMPATIBLE) & EXTENDED_L2) != 0;
    if (extended && clusterBits < 14) {
      throw corrupt("subclusters of clusters below 16 KiB");
    }
    return new Geometry(clusterBits, refcountOrder, extended, version > 2);
  }

  private void readExtensions() throws ImageException {
    long length = headerLength();
    if (length < (version() == 2 ? LENGTH_2 : LENGTH_3) || length > bytes.length) {
      throw corrupt("a header of %d bytes".formatted(length));
    }
    long end = bytes.length;
    if (backingOffset() != 0) {
      if (backingLength() == 0
          || backingLength() > MOST_BACKING_LENGTH
          || backingOffset() < length
          || backingOffset() > bytes.length - backingLength()) {
        throw corrupt("the name of the backing file lies outside the first cluster");
      }
      end = backingOffset();
    }
    int at = Math.toIntExact(length);
    while (at + 8 <= end) {
      int type = BigEndian.getInt(bytes, at);
      long size = BigEndian.getUnsignedInt(bytes, at + 4);
      if (type == 0) {
        return;
      }
      if (size > end - at - 8) {
        throw corrupt("a header extension of %d bytes does not fit".formatted(size));
      }
      byte[] content = Arrays.copyOfRange(bytes, at + 8, Math.toIntExact(at + 8 + size));
      switch (type) {
        case EXTENSION_BACKING_FORMAT ->
            backingFormat = new String(content, StandardCharsets.UTF_8);
        case EXTENSION_FEATURE_NAMES -> readFeatureNames(content);
        default -> {}
      }
      at = (int) Math.min(end, at + 8 + (size + 7 & -8));
    }
  }

  private void readFeatureNames(byte[] table) {
    for (int at = 0; at + 48 <= table.length; at += 48) {
      int bit = table[at + 1];
      long unknown = incompatible() & ~KNOWN;
      if (table[at] == 0 && bit >= 0 && bit < 64 && (unknown >>> bit & 1) != 0) {
        featureNames.add(printable(table, at + 2, 46));
      }
    }
  }

  private static String printable(byte[] bytes, int from, int length) {
    StringBuilder text = new StringBuilder();
    for (int i = from; i < from + length && bytes[i] != 0; i++) {
      text.append(bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char) bytes[i] : '?');
    }
    return text.toString();
  }

  private void checkFeatures() throws ImageException {
    if (BigEndian.getInt(bytes, ENCRYPTION) != 0) {
      throw unsupported("encryption, which Bothy does not support");
    }
    if ((incompatible() & ~KNOWN) != 0) {
      throw unsupported(
          "features that Bothy does not know: "
              + (featureNames.isEmpty()
                  ? "bits 0x" + Long.toHexString(incompatible() & ~KNOWN)
                  : String.join(", ", featureNames)));
    }
    if ((incompatible() & EXTERNAL_DATA) != 0) {
      throw unsupported("an external data file, which Bothy does not support");
    }
    if ((compression() != 0) != ((incompatible() & OTHER_COMPRESSION) != 0)) {
      throw corrupt("its compression type contradicts its features");
    }
    if (compression() > CompressedClusters.ZSTD) {
      throw unsupported("compression type %d".formatted(compression()));
    }
  }

  private void checkTables(long fileSize) throws ImageException {
    long entries = BigEndian.getUnsignedInt(bytes, L1_SIZE);
    long reftable = BigEndian.getUnsignedInt(bytes, REFTABLE_CLUSTERS);
    if (size() < 0 || entries > MOST_L1_ENTRIES || geometry.l1Entries(size()) > entries) {
      throw corrupt(
          "an L1 table of %d entries for a disk of %s bytes"
              .formatted(entries, Long.toUnsignedString(size())));
    }
    if (reftable == 0 || reftable > MOST_REFTABLE_BYTES >> geometry.clusterBits()) {
      throw corrupt("a refcount table of %d clusters".formatted(reftable));
    }
    if (Integer.compareUnsigned(BigEndian.getInt(bytes, SNAPSHOTS), MOST_SNAPSHOTS) > 0) {
      throw corrupt(
          "%d snapshots, more than %d"
              .formatted(BigEndian.getUnsignedInt(bytes, SNAPSHOTS), MOST_SNAPSHOTS));
    }
    checkTable("L1 table", l1Offset(), 8 * entries, fileSize);
    checkTable("refcount table", reftableOffset(), geometry.offsetOf(reftable), fileSize);
    checkTable("snapshot table", snapshotsOffset(), snapshotCount() == 0 ? 0 : 1, fileSize);
  }

  private void checkTable(String what, long offset, long length, long fileSize)
      throws ImageException {
    if (length == 0) {
      return;
    }
    geometry.aligned(offset, what);
    long end = dev.bothy.image.Ranges.roundUp(fileSize, geometry.clusterSize());
    if (offset < geometry.clusterSize() || length > end || offset > end - length) {
      throw corrupt("its %s lies outside the file, which may have been cut off".formatted(what));
    }
  }

  private static ImageException corrupt(String what) {
    return new ImageException(CORRUPT, what);
  }

  private static ImageException unsupported(String what) {
    return new ImageException(UNSUPPORTED, "it has " + what);
  }

  Geometry geometry() {
    return geometry;
  }

  int version() {
    return BigEndian.getInt(bytes, VERSION);
  }

  private long headerLength() {
    return version() == 2 ? LENGTH_2 : BigEndian.getUnsignedInt(bytes, HEADER_LENGTH);
  }

  /** Bytes of the disk. */
  long size() {
    return BigEndian.getLong(bytes, SIZE);
  }

  private long backingOffset() {
    return BigEndian.getLong(bytes, BACKING_OFFSET);
  }

  private long backingLength() {
    return BigEndian.getUnsignedInt(bytes, BACKING_LENGTH);
  }

  /** The backing file's name as it stands in the header; empty: none. */
  String backingName() {
    return backingOffset() == 0
        ? ""
        : new String(bytes, (int) backingOffset(), (int) backingLength(), StandardCharsets.UTF_8);
  }

  /** "raw", "qcow2" or something else; empty if the header does not say. */
  String backingFormat() {
    return backingFormat;
  }

  int l1Size() {
    return BigEndian.getInt(bytes, L1_SIZE);
  }

  long l1Offset() {
    return BigEndian.getLong(bytes, L1_OFFSET);
  }

  long reftableOffset() {
    return BigEndian.getLong(bytes, REFTABLE_OFFSET);
  }

  int reftableClusters() {
    return BigEndian.getInt(bytes, REFTABLE_CLUSTERS);
  }

  int snapshotCount() {
    return BigEndian.getInt(bytes, SNAPSHOTS);
  }

  long snapshotsOffset() {
    return BigEndian.getLong(bytes, SNAPSHOTS_OFFSET);
  }

  long incompatible() {
    return version() == 2 ? 0 : BigEndian.getLong(bytes, INCOMPATIBLE);
  }

  long autoclear() {
    return version() == 2 ? 0 : BigEndian.getLong(bytes, AUTOCLEAR);
  }

  boolean dirty() {
    return (incompatible() & DIRTY) != 0;
  }

  boolean markedCorrupt() {
    return (incompatible() & MARKED_CORRUPT) != 0;
  }

  boolean lazyRefcounts() {
    return version() > 2 && (BigEndian.getLong(bytes, COMPATIBLE) & LAZY_REFCOUNTS) != 0;
  }

  /** {@link CompressedClusters#ZLIB} or {@link CompressedClusters#ZSTD}. */
  int compression() {
    return headerLength() > COMPRESSION ? bytes[COMPRESSION] & 0xff : 0;
  }

  void setSize(long size) {
    BigEndian.putLong(bytes, SIZE, size);
  }

  void setL1(long offset, int entries) {
    BigEndian.putLong(bytes, L1_OFFSET, offset);
    BigEndian.putInt(bytes, L1_SIZE, entries);
  }

  void setReftable(long offset, int clusters) {
    BigEndian.putLong(bytes, REFTABLE_OFFSET, offset);
    BigEndian.putInt(bytes, REFTABLE_CLUSTERS, clusters);
  }

  void setSnapshots(long offset, int count) {
    BigEndian.putLong(bytes, SNAPSHOTS_OFFSET, offset);
    BigEndian.putInt(bytes, SNAPSHOTS, count);
  }

  /** Of version 3. */
  void setIncompatible(long bit, boolean on) {
    long bits = incompatible();
    BigEndian.putLong(bytes, INCOMPATIBLE, on ? bits | bit : bits & ~bit);
  }

  void clearAutoclear() {
    BigEndian.putLong(bytes, AUTOCLEAR, 0);
  }

  /** Writes all that can change, in one sector; durable after the next sync. */
  void write() throws IOException {
    try {
      writeSector();
    } catch (IOException e) {
      unknown = true;
      throw e;
    }
  }

  private void writeSector() throws IOException {
    storage.write(0, MemorySegment.ofArray(bytes).asSlice(0, SECTOR));
  }

  /** Sets or clears the dirty bit of version 3; durable after the next sync. */
  void writeDirty(boolean on) throws IOException {
    boolean before = dirty();
    setIncompatible(DIRTY, on);
    try {
      writeSector();
    } catch (IOException e) {
      // What the file says now costs a count at worst.
      setIncompatible(DIRTY, before);
      throw e;
    }
  }

  /** True if the file's header may be another one than this, which says where the tables are. */
  boolean unknown() {
    return unknown;
  }
}
