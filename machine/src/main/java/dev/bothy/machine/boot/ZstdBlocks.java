package dev.bothy.machine.boot;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Unpacks Zstandard frames into memory that holds everything unpacked, which is then the window as
 * well: the kernel's build uses windows of up to 128 MiB. Follows RFC 8878, section 3. Checksums of
 * the content are passed over. Not thread-safe.
 */
final class ZstdBlocks {
  static final int MAGIC = 0xFD2FB528;

  private static final int BLOCK_LIMIT = 1 << 17;
  private static final int TAIL = 16;

  private static final int[] LITERAL_LENGTH_BASE = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48, 64,
    128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536
  };
  private static final int[] LITERAL_LENGTH_BITS = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11,
    12, 13, 14, 15, 16
  };
  private static final int[] MATCH_LENGTH_BASE = {
    3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 32, 33, 34, 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051,
    4099, 8195, 16387, 32771, 65539
  };
  private static final int[] MATCH_LENGTH_BITS = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
  };
  private static final short[] LITERAL_LENGTH_DEFAULT = {
    4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1,
    -1, -1, -1, -1
  };
  private static final short[] MATCH_LENGTH_DEFAULT = {
    1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1
  };
  private static final short[] OFFSET_DEFAULT = {
    1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1
  };

  private final InputStream in;
  private final MemorySegment out;
  private long position;

  /** The block at hand, with room on both sides for {@link ZstdBits}. */
  private final byte[] block = new byte[ZstdBits.MARGIN + BLOCK_LIMIT + TAIL];

  private final byte[] literals = new byte[BLOCK_LIMIT];
  private final ZstdBits bits = new ZstdBits();

  // Kept from block to block of a frame.
  private ZstdTables.Huffman huffman;
  private ZstdTables.Fse literalLengths;
  private ZstdTables.Fse offsets;
  private ZstdTables.Fse matchLengths;
  private final long[] recent = new long[3];
  private long frameStart;

  private ZstdBlocks(InputStream in, MemorySegment out) {
    this.in = in;
    this.out = out;
  }

  static IOException damaged() {
    return new IOException("its zstd data is damaged");
  }

  /**
   * Unpacks all frames of {@code in}.
   *
   * @return bytes written to {@code out}
   * @throws IOException if the data is damaged or does not fit
   */
  static long unpack(InputStream in, MemorySegment out) throws IOException {
    ZstdBlocks blocks = new ZstdBlocks(in, out);
    try {
      while (blocks.frame()) {
        // Frames follow each other.
      }
    } catch (IndexOutOfBoundsException e) {
      throw damaged();
    }
    return blocks.position;
  }

  private long little(int size) throws IOException {
    byte[] value = in.readNBytes(size);
    if (value.length < size) {
      throw new EOFException("its zstd data ends early");
    }
    long result = 0;
    for (int i = 0; i < size; i++) {
      result |= (value[i] & 0xffL) << (8 * i);
    }
    return result;
  }

  private boolean frame() throws IOException {
    int first = in.read();
    if (first < 0) {
      return false;
    }
    int magic = first | (int) little(3) << 8;
    if ((magic & ~15) == 0x184d2a50) {
      in.skipNBytes(little(4));
      return true;
    }
    if (magic != MAGIC) {
      throw damaged();
    }
    int descriptor = (int) little(1);
    boolean singleSegment = (descriptor & 0x20) != 0;
    if (!singleSegment) {
      little(1); // window size: all that was unpacked is there
    }
    int dictionary = descriptor & 3;
    if (dictionary != 0 && little(1 << dictionary - 1) != 0) {
      throw new IOException("its zstd data needs a dictionary");
    }
    int sizeFlag = descriptor >>> 6;
    little(sizeFlag == 0 ? singleSegment ? 1 : 0 : 1 << sizeFlag);
    huffman = null;
    literalLengths = null;
    offsets = null;
    matchLengths = null;
    recent[0] = 1;
    recent[1] = 4;
    recent[2] = 8;
    frameStart = position;
    boolean last;
    do {
      last = block();
    } while (!last);
    if ((descriptor & 4) != 0) {
      little(4);
    }
    return true;
  }

  /** True after the last block of the frame. */
  private boolean block() throws IOException {
    int header = (int) little(3);
    int size = header >>> 3;
    if (size > BLOCK_LIMIT) {
      throw damaged();
    }
    switch (header >>> 1 & 3) {
      case 0 -> {
        readBlock(size);
        emit(block, ZstdBits.MARGIN, size);
      }
      case 1 -> {
        byte value = (byte) little(1);
        requireRoom(size);
        out.asSlice(position, size).fill(value);
        position += size;
      }
      case 2 -> {
        readBlock(size);
        compressed(ZstdBits.MARGIN + size);
      }
      default -> throw damaged();
    }
    return (header & 1) != 0;
  }

  private void readBlock(int size) throws IOException {
    if (in.readNBytes(block, ZstdBits.MARGIN, size) != size) {
      throw new EOFException("its zstd data ends early");
    }
  }

  private void requireRoom(long size) throws IOException {
    if (size > out.byteSize() - position) {
      throw new IOException("it unpacks to more than it says");
    }
  }

  private void emit(byte[] source, int from, int size) throws IOException {
    requireRoom(size);
    MemorySegment.copy(source, from, out, ValueLayout.JAVA_BYTE, position, size);
    position += size;
  }

  private void compressed(int limit) throws IOException {
    ZstdTables.Reader reader = new ZstdTables.Reader(block, ZstdBits.MARGIN, limit);
    int literalCount = literals(reader, limit);
    sequences(reader, limit, literalCount);
  }

  private static int size(ZstdTables.Reader reader, int first, int bytes) throws IOException {
    int value = first;
    for (int i = 1; i < bytes; i++) {
      value |= reader.next() << (8 * i);
    }
    return value;
  }

  /** Fills {@link #literals}; returns how many. */
  private int literals(ZstdTables.Reader reader, int limit) throws IOException {
    int first = reader.next();
    int type = first & 3;
    int format = first >>> 2 & 3;
    if (type < 2) {
      int length =
          switch (format) {
            case 0, 2 -> first >>> 3;
            case 1 -> size(reader, first, 2) >>> 4;
            default -> size(reader, first, 3) >>> 4;
          };
      if (length > BLOCK_LIMIT) {
        throw damaged();
      }
      if (type == 1) {
        Arrays.fill(literals, 0, length, (byte) reader.next());
      } else {
        if (length > limit - reader.position) {
          throw damaged();
        }
        System.arraycopy(block, reader.position, literals, 0, length);
        reader.position += length;
      }
      return length;
    }
    int width = format < 2 ? 10 : format == 2 ? 14 : 18;
    long sizes = first & 0xff;
    for (int i = 1; i < (4 + 2 * width + 7) / 8; i++) {
      sizes |= (long) reader.next() << (8 * i);
    }
    int plain = (int) (sizes >>> 4) & (1 << width) - 1;
    int packed = (int) (sizes >>> 4 + width) & (1 << width) - 1;
    int end = reader.position + packed;
    if (plain > BLOCK_LIMIT || end > limit) {
      throw damaged();
    }
    if (type == 2) {
      ZstdTables.Reader inner = new ZstdTables.Reader(block, reader.position, end);
      huffman = inner.huffman();
      reader.position = inner.position;
    }
    if (huffman == null) {
      throw damaged();
    }
    int from = reader.position;
    if (format == 0) {
      stream(from, end, 0, plain);
    } else {
      if (end - from < 6) {
        throw damaged();
      }
      int quarter = (plain + 3) / 4;
      int start = from + 6;
      int done = 0;
      for (int i = 0; i < 4; i++) {
        int next =
            i == 3
                ? end
                : start + (block[from + 2 * i] & 0xff | (block[from + 2 * i + 1] & 0xff) << 8);
        int count = i == 3 ? plain - done : quarter;
        if (next > end || count < 0) {
          throw damaged();
        }
        stream(start, next, done, count);
        start = next;
        done += count;
      }
    }
    reader.position = end;
    return plain;
  }

  private void stream(int from, int to, int target, int count) throws IOException {
    bits.open(block, from, to);
    ZstdTables.Huffman tree = huffman;
    int width = tree.bits;
    for (int i = target; i < target + count; i++) {
      int index = bits.look(width);
      literals[i] = tree.symbol[index];
      bits.skip(tree.length[index]);
    }
    if (bits.left() != 0) {
      throw damaged();
    }
  }

  private static ZstdTables.Fse table(
      int mode,
      ZstdTables.Reader reader,
      ZstdTables.Fse previous,
      short[] defaults,
      int defaultAccuracy,
      int symbols,
      int maxAccuracy)
      throws IOException {
    ZstdTables.Fse table =
        switch (mode) {
          case 0 -> ZstdTables.Fse.of(defaults, defaultAccuracy);
          case 1 -> ZstdTables.Fse.single(reader.next());
          case 2 -> reader.fse(symbols, maxAccuracy);
          default -> previous;
        };
    if (table == null || mode == 1 && (table.symbol[0] & 0xff) >= symbols) {
      throw damaged();
    }
    return table;
  }

  private void sequences(ZstdTables.Reader reader, int limit, int literalCount) throws IOException {
    int count = reader.next();
    if (count >= 128) {
      count =
          count == 255
              ? size(reader, reader.next(), 2) + 0x7f00
              : (count - 128 << 8) + reader.next();
    }
    if (count == 0) {
      emit(literals, 0, literalCount);
      return;
    }
    int modes = reader.next();
    literalLengths = table(modes >>> 6, reader, literalLengths, LITERAL_LENGTH_DEFAULT, 6, 36, 9);
    offsets = table(modes >>> 4 & 3, reader, offsets, OFFSET_DEFAULT, 5, 32, 8);
    matchLengths = table(modes >>> 2 & 3, reader, matchLengths, MATCH_LENGTH_DEFAULT, 6, 53, 9);
    bits.open(block, reader.position, limit);
    int literalState = (int) bits.take(literalLengths.accuracy);
    int offsetState = (int) bits.take(offsets.accuracy);
    int matchState = (int) bits.take(matchLengths.accuracy);
    int used = 0;
    for (int i = 0; i < count; i++) {
      int offsetCode = offsets.symbol[offsetState];
      int matchCode = matchLengths.symbol[matchState];
      int literalCode = literalLengths.symbol[literalState];
      long offsetValue = (1L << offsetCode) + bits.take(offsetCode);
      int matchLength =
          MATCH_LENGTH_BASE[matchCode] + (int) bits.take(MATCH_LENGTH_BITS[matchCode]);
      int literalLength =
          LITERAL_LENGTH_BASE[literalCode] + (int) bits.take(LITERAL_LENGTH_BITS[literalCode]);
      if (i + 1 < count) {
        literalState = next(literalLengths, literalState);
        matchState = next(matchLengths, matchState);
        offsetState = next(offsets, offsetState);
      }
      if (literalLength > literalCount - used) {
        throw damaged();
      }
      emit(literals, used, literalLength);
      used += literalLength;
      copy(offset(offsetValue, literalLength), matchLength);
    }
    if (bits.left() != 0) {
      throw damaged();
    }
    emit(literals, used, literalCount - used);
  }

  private int next(ZstdTables.Fse table, int state) throws IOException {
    return (table.base[state] & 0xffff) + (int) bits.take(table.bits[state]);
  }

  /** Turns a coded offset into a distance and keeps the three most recent. */
  private long offset(long value, int literalLength) throws IOException {
    if (value > 3) {
      recent[2] = recent[1];
      recent[1] = recent[0];
      recent[0] = value - 3;
      return recent[0];
    }
    int index = (int) value - (literalLength == 0 ? 0 : 1);
    if (index == 0) {
      return recent[0];
    }
    long distance = index == 3 ? recent[0] - 1 : recent[index];
    if (distance <= 0) {
      throw damaged();
    }
    if (index != 1) {
      recent[2] = recent[1];
    }
    recent[1] = recent[0];
    recent[0] = distance;
    return distance;
  }

  private void copy(long distance, int length) throws IOException {
    if (distance > position - frameStart) {
      throw damaged();
    }
    requireRoom(length);
    if (distance >= length) {
      MemorySegment.copy(out, position - distance, out, position, length);
    } else {
      for (int i = 0; i < length; i++) {
        byte value = out.get(ValueLayout.JAVA_BYTE, position + i - distance);
        out.set(ValueLayout.JAVA_BYTE, position + i, value);
      }
    }
    position += length;
  }
}
