package dev.bothy.machine.boot;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;

/**
 * Unpacks the LZ4 legacy frame format, which the Linux kernel uses: a magic number, then blocks of
 * at most 8 MiB of plain data, each behind its packed length. Follows "LZ4 Frame Format
 * Description", section "Legacy frame", and "LZ4 Block Format Description". Not thread-safe.
 */
final class Lz4LegacyStream extends PiecewiseStream {
  static final int MAGIC = 0x184C2102;

  private static final int BLOCK_SIZE = 8 << 20;
  private static final int MIN_MATCH = 4;

  /** The longest that 8 MiB can become: incompressible data grows by a 255th. */
  private static final int PACKED_LIMIT = BLOCK_SIZE + BLOCK_SIZE / 255 + 16;

  private final InputStream in;
  private byte[] packed = new byte[0];
  private final byte[] plain = new byte[BLOCK_SIZE];
  private boolean started;

  Lz4LegacyStream(InputStream in) {
    this.in = in;
  }

  @Override
  boolean nextPiece() throws IOException {
    int size = nextWord();
    while (size == MAGIC) {
      started = true;
      size = nextWord();
    }
    if (size == -1) {
      return false;
    }
    if (!started) {
      throw new IOException("no LZ4 legacy frame");
    }
    if (size <= 0 || size > PACKED_LIMIT) {
      throw new IOException("an LZ4 block of " + Integer.toUnsignedString(size) + " bytes");
    }
    if (packed.length < size) {
      packed = new byte[size];
    }
    if (in.readNBytes(packed, 0, size) != size) {
      throw new EOFException("the LZ4 data ends early");
    }
    put(plain, decode(packed, size, plain));
    return true;
  }

  /** Four bytes, little-endian; -1 (which is no valid length) at the end of the input. */
  private int nextWord() throws IOException {
    byte[] word = new byte[4];
    int count = in.readNBytes(word, 0, 4);
    if (count == 0) {
      return -1;
    }
    if (count < 4) {
      throw new EOFException("the LZ4 data ends early");
    }
    int value =
        word[0] & 0xff | (word[1] & 0xff) << 8 | (word[2] & 0xff) << 16 | (word[3] & 0xff) << 24;
    if (value == -1) {
      throw new IOException("an LZ4 block of 4294967295 bytes");
    }
    return value;
  }

  /**
   * Unpacks one block.
   *
   * @return bytes in {@code out}
   * @throws IOException if the block is damaged
   */
  static int decode(byte[] in, int inLimit, byte[] out) throws IOException {
    int from = 0;
    int to = 0;
    while (from < inLimit) {
      int token = in[from++] & 0xff;
      int literals = token >>> 4;
      if (literals == 15) {
        int more;
        do {
          if (from >= inLimit) {
            throw damaged();
          }
          more = in[from++] & 0xff;
          literals += more;
        } while (more == 255 && literals >= 0);
      }
      if (literals < 0 || literals > inLimit - from || literals > out.length - to) {
        throw damaged();
      }
      System.arraycopy(in, from, out, to, literals);
      from += literals;
      to += literals;
      if (from == inLimit) {
        return to;
      }
      if (inLimit - from < 2) {
        throw damaged();
      }
      int distance = in[from] & 0xff | (in[from + 1] & 0xff) << 8;
      from += 2;
      int length = token & 15;
      if (length == 15) {
        int more;
        do {
          if (from >= inLimit) {
            throw damaged();
          }
          more = in[from++] & 0xff;
          length += more;
        } while (more == 255 && length >= 0);
      }
      length += MIN_MATCH;
      if (distance == 0 || distance > to || length < 0 || length > out.length - to) {
        throw damaged();
      }
      if (distance >= length) {
        System.arraycopy(out, to - distance, out, to, length);
        to += length;
      } else {
        // The match overlaps what it makes: byte by byte is what the format means.
        for (int end = to + length; to < end; to++) {
          out[to] = out[to - distance];
        }
      }
    }
    return to;
  }

  private static IOException damaged() {
    return new IOException("a damaged LZ4 block");
  }

  @Override
  public void close() throws IOException {
    in.close();
  }
}
