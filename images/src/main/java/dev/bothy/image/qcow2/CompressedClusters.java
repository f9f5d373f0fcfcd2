package dev.bothy.image.qcow2;

import static dev.bothy.image.ImageException.Trouble.CORRUPT;

import dev.bothy.image.ImageException;
import dev.bothy.image.storage.Storage;
import io.airlift.compress.MalformedInputException;
import io.airlift.compress.zstd.ZstdInputStream;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
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

  /** What follows the frame in its last sector is not looked at. */
  private byte[] zstd(byte[] packed, Place place) throws IOException {
    byte[] content = new byte[clusterSize];
    try (InputStream in = new ZstdInputStream(new ByteArrayInputStream(packed))) {
      if (in.readNBytes(content, 0, clusterSize) < clusterSize) {
        throw corrupt(place, null);
      }
      return content;
    } catch (MalformedInputException | IndexOutOfBoundsException e) {
      throw corrupt(place, e);
    }
  }

  private static ImageException corrupt(Place place, Exception e) {
    return new ImageException(
        CORRUPT, "the compressed cluster at 0x%x is damaged".formatted(place.offset()), e);
  }
}
