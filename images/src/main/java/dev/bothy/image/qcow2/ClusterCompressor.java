package dev.bothy.image.qcow2;

import io.airlift.compress.zstd.ZstdCompressor;
import java.util.Arrays;
import java.util.Optional;
import java.util.zip.Deflater;

/**
 * Compresses clusters; QCOW2 specification, section "Compressed Clusters Descriptor". One thread at
 * a time.
 */
public final class ClusterCompressor implements AutoCloseable {
  /**
   * Of programs and libraries, less than half the time of the preset level for five hundredths more
   * bytes: still fewer than QEMU writes, whose window is 4 KiB.
   */
  private static final int LEVEL = 3;

  private final int type;
  private final byte[] packed;
  private final Deflater deflater = new Deflater(LEVEL, true);

  ClusterCompressor(int type, int clusterSize) {
    this.type = type;
    this.packed =
        new byte
            [type == CompressedClusters.ZSTD
                ? new ZstdCompressor().maxCompressedLength(clusterSize)
                : clusterSize];
  }

  /** The compressed form of a cluster, if that is shorter by a sector at least. */
  public Optional<byte[]> compress(byte[] cluster) {
    int length = type == CompressedClusters.ZSTD ? zstd(cluster) : zlib(cluster);
    return length <= cluster.length - CompressedClusters.SECTOR
        ? Optional.of(Arrays.copyOf(packed, length))
        : Optional.empty();
  }

  private int zstd(byte[] cluster) {
    return new ZstdCompressor().compress(cluster, 0, cluster.length, packed, 0, packed.length);
  }

  private int zlib(byte[] cluster) {
    deflater.reset();
    deflater.setInput(cluster);
    deflater.finish();
    int length = deflater.deflate(packed);
    return deflater.finished() ? length : Integer.MAX_VALUE;
  }

  @Override
  public void close() {
    deflater.end();
  }
}
