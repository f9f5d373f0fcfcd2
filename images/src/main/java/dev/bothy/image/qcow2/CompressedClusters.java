package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;

import dev.bothy.image.ImageException;
import dev.bothy.image.storage.Storage;
import io.airlift.compress.zstd.ZstdDecompressor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * Reads compressed clusters; QCOW2 specification, section "Compressed Clusters Descriptor". The
 * last one read is kept, for those who read a cluster in parts. Thread-safe.
 */
final class CompressedClusters {
  static final int ZLIB = 0;
  static final int ZSTD = 1;
  static final int SECTOR = 512;

  /** Where compressed data lies in the file; the last sector may hold others' data behind it. */
  record Place(long offset, int length) {}

  /** How descriptors say where: the number of sectors has as many bits as a cluster needs. */
  record Format(int clusterBits) {
    private int sectorsAt() {
      return 62 - (clusterBits - 8);
    }

    Place place(long entry) {
      long offset = entry & (1L << sectorsAt()) - 1;
      long more = (entry & ~(3L << 62)) >>> sectorsAt();
      return new Place(offset, Math.toIntExact((more + 1) * SECTOR - (offset & SECTOR - 1)));
    }

    /** The L2 entry of {@code length} bytes at {@code offset}. */
    long entry(long offset, int length) {
      long more = (offset + length - 1 >>> 9) - (offset >>> 9);
      return ClusterMap.COMPRESSED | more << sectorsAt() | offset;
    }

    /** Behind the last byte of a file that descriptors reach. */
    long limit() {
      return 1L << sectorsAt();
    }
  }

  private final Storage storage;
  private final Format format;
  private final int clusterSize;
  private final int type;
  private long keptEntry;
  private byte[] kept;

  CompressedClusters(Storage storage, Header header) {
    this.storage = storage;
    this.format = new Format(header.geometry().clusterBits());
    this.clusterSize = header.geometry().clusterSize();
    this.type = header.compression();
  }

  Format format() {
    return format;
  }

  /**
   * The content of the cluster with that L2 entry; not to be changed.
   *
   * @throws ImageException if it cannot be decompressed
   */
  byte[] read(long entry) throws IOException {
    synchronized (this) {
      if (kept != null && keptEntry == entry) {
        return kept;
      }
    }
    Place place = format.place(entry);
    byte[] packed = new byte[place.length()];
    storage.read(place.offset(), MemorySegment.ofArray(packed));
    byte[] content = type == ZSTD ? zstd(packed, place) : zlib(packed, place);
    synchronized (this) {
      keptEntry = entry;
      kept = content;
    }
    return content;
  }

  /** Forgets what was kept: its place in the file may get another content. */
  synchronized void forget() {
    kept = null;
  }

  private byte[] zlib(byte[] packed, Place place) throws IOException {
    byte[] content = new byte[clusterSize];
    try (Inflater inflater = new Inflater(true)) {
      inflater.setInput(packed);
      int length = 0;
      while (length < clusterSize) {
        int part = inflater.inflate(content, length, clusterSize - length);
        if (part == 0) {
          throw corrupt(place, null);
        }
        length += part;
      }
      return content;
    } catch (DataFormatException e) {
      throw corrupt(place, e);
    }
  }

  private byte[] zstd(byte[] packed, Place place) throws IOException {
    byte[] content = new byte[clusterSize];
    try {
      int length = zstdFrame(packed);
      int unpacked = new ZstdDecompressor().decompress(packed, 0, length, content, 0, clusterSize);
      if (unpacked < clusterSize) {
        throw corrupt(place, null);
      }
      return content;
    } catch (RuntimeException e) {
      // The decoder has several ways to say that something is wrong with a frame.
      throw corrupt(place, e);
    }
  }

  /**
   * Length of the frame at the start of {@code packed}: what follows in its last sector belongs to
   * others. RFC 8878, sections 3.1.1.1 and 3.1.1.2.
   *
   * @throws IndexOutOfBoundsException if it does not end in there
   */
  private static int zstdFrame(byte[] packed) {
    int descriptor = packed[4];
    boolean single = (descriptor & 0x20) != 0;
    int sizeField = descriptor >>> 6 & 3;
    int at = 5 + (single ? 0 : 1);
    at += (descriptor & 3) == 3 ? 4 : descriptor & 3;
    at += sizeField == 0 ? (single ? 1 : 0) : 1 << sizeField;
    while (true) {
      int header = packed[at] & 0xff | (packed[at + 1] & 0xff) << 8 | (packed[at + 2] & 0xff) << 16;
      boolean repeated = (header >>> 1 & 3) == 1;
      at += 3 + (repeated ? 1 : header >>> 3);
      if ((header & 1) != 0) {
        return java.util.Objects.checkIndex(
            at + ((descriptor & 4) != 0 ? 4 : 0), packed.length + 1);
      }
    }
  }

  private static ImageException corrupt(Place place, Exception e) {
    return new ImageException(
        CORRUPT, "the compressed cluster at 0x%x is damaged".formatted(place.offset()), e);
  }
}
