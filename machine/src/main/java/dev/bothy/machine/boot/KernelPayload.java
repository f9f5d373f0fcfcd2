package dev.bothy.machine.boot;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Optional;
import java.util.zip.GZIPInputStream;
import org.tukaani.xz.LZMAInputStream;
import org.tukaani.xz.SingleXZInputStream;

/**
 * The packed kernel inside a bzImage: knows the formats by their first bytes and reads what comes
 * out, forwards only. Holds no more than the format's window, which is all of it for zstd. Not
 * thread-safe.
 */
final class KernelPayload implements ElfImage.Bytes, AutoCloseable {
  /** No kernel is larger than this; a file that unpacks to more is refused. */
  private static final long PLAIN_LIMIT = 1L << 30;

  /** KiB that a dictionary may take: the kernel's build uses 32 MiB. */
  private static final int DICTIONARY_LIMIT_KIB = 80 << 10;

  /** How kernels are packed. */
  enum Format {
    GZIP,
    LZMA,
    XZ,
    LZ4,
    ZSTD;

    /**
     * The format whose magic number {@code head} starts with. Empty for what is not known and for
     * bzip2 and LZO, which the guest unpacks itself.
     */
    static Optional<Format> of(byte[] head) {
      if (head.length < 6) {
        return Optional.empty();
      }
      int first = head[0] & 0xff;
      int second = head[1] & 0xff;
      int third = head[2] & 0xff;
      int fourth = head[3] & 0xff;
      if (first == 0x1f && (second == 0x8b || second == 0x9e)) {
        return Optional.of(GZIP);
      }
      if (first == 0x5d && second == 0 && third == 0) {
        return Optional.of(LZMA);
      }
      if (first == 0xfd && second == '7' && third == 'z' && fourth == 'X') {
        return Optional.of(XZ);
      }
      if (first == 0x02 && second == 0x21 && third == 0x4c && fourth == 0x18) {
        return Optional.of(LZ4);
      }
      if (first == 0x28 && second == 0xb5 && third == 0x2f && fourth == 0xfd) {
        return Optional.of(ZSTD);
      }
      return Optional.empty();
    }

    /**
     * The kernel's build appends the plain length, four bytes, to every format but gzip, which has
     * it anyway.
     */
    int trailer() {
      return this == GZIP ? 0 : 4;
    }
  }

  private final InputStream plain;
  private final byte[] head = new byte[4096];
  private int headLength;
  private long position;

  private KernelPayload(InputStream plain) {
    this.plain = plain;
  }

  /**
   * Starts unpacking {@code packed} on a thread of its own; closes it in the end.
   *
   * @param length bytes that it unpacks to, as the kernel's build has noted; counts for zstd alone
   * @param keeper is given all that comes out, on that thread; may be null
   */
  static KernelPayload open(
      Format format, InputStream packed, long length, UnpackedKernels.Keeper keeper)
      throws IOException {
    InputStream plain =
        switch (format) {
          case GZIP -> new GZIPInputStream(packed, 1 << 16);
          case LZMA -> new LZMAInputStream(packed, DICTIONARY_LIMIT_KIB);
          case XZ -> new SingleXZInputStream(packed, DICTIONARY_LIMIT_KIB);
          case LZ4 -> new Lz4LegacyStream(packed);
          case ZSTD -> new ZstdStream(packed, Math.min(length, PLAIN_LIMIT));
        };
    return new KernelPayload(new ReadAhead(keeper == null ? plain : keeper.listenTo(plain)));
  }

  /** Forwards only, but the first 4 KiB stay readable. */
  @Override
  public void read(long offset, byte[] target, int length) throws IOException {
    if (offset < 0 || offset + length > PLAIN_LIMIT) {
      throw new IOException("it unpacks to more than a kernel can be");
    }
    int from = 0;
    try {
      if (offset < head.length) {
        fillHead((int) Math.min(head.length, offset + length));
        from = (int) Math.min(length, head.length - offset);
        System.arraycopy(head, (int) offset, target, 0, from);
      }
      if (from == length) {
        return;
      }
      fillHead(head.length);
      long start = offset + from;
      if (start < position) {
        throw new IOException("its segments overlap in the file");
      }
      plain.skipNBytes(start - position);
      if (plain.readNBytes(target, from, length - from) != length - from) {
        throw new EOFException("it unpacks to less than its headers say");
      }
      position = start + length - from;
    } catch (EOFException e) {
      throw new EOFException("it unpacks to less than its headers say");
    } catch (RuntimeException e) {
      // The libraries report damaged input this way, too.
      throw new IOException(e.getMessage() == null ? e.toString() : e.getMessage(), e);
    }
  }

  private void fillHead(int length) throws IOException {
    if (headLength < length) {
      int count = plain.readNBytes(head, headLength, length - headLength);
      headLength += count;
      position = headLength;
      if (headLength < length) {
        throw new EOFException();
      }
    }
  }

  /** Reads to the end, so that the format's own checksum is verified. */
  void verify() throws IOException {
    byte[] rest = new byte[1 << 16];
    try {
      for (int count; (count = plain.read(rest)) >= 0; ) {
        position += count;
        if (position > PLAIN_LIMIT) {
          throw new IOException("it unpacks to more than a kernel can be");
        }
      }
    } catch (RuntimeException e) {
      throw new IOException(e.getMessage() == null ? e.toString() : e.getMessage(), e);
    }
  }

  @Override
  public void close() throws IOException {
    plain.close();
  }
}
