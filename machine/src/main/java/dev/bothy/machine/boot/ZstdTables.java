package dev.bothy.machine.boot;

import java.io.IOException;
import java.util.Arrays;

/** The two kinds of code tables of Zstandard. Follows RFC 8878, sections 4.1 and 4.2. */
final class ZstdTables {
  private static final int MAX_HUFFMAN_BITS = 11;
  private static final int WEIGHT_ACCURACY = 6;

  private ZstdTables() {}

  /**
   * A finite state entropy table: by state, what it stands for, and how the next state is found.
   */
  static final class Fse {
    final int accuracy;
    final byte[] symbol;
    final byte[] bits;
    final short[] base;

    private Fse(int accuracy) {
      this.accuracy = accuracy;
      symbol = new byte[1 << accuracy];
      bits = new byte[1 << accuracy];
      base = new short[1 << accuracy];
    }

    /** A table of one symbol, which takes no bits. */
    static Fse single(int value) {
      Fse table = new Fse(0);
      table.symbol[0] = (byte) value;
      return table;
    }

    /** Builds the table of a normalised distribution, in which -1 stands for "less than 1". */
    static Fse of(short[] counts, int accuracy) throws IOException {
      Fse table = new Fse(accuracy);
      int size = 1 << accuracy;
      int high = size - 1;
      int[] next = new int[counts.length];
      for (int s = 0; s < counts.length; s++) {
        if (counts[s] == -1) {
          table.symbol[high--] = (byte) s;
          next[s] = 1;
        } else {
          next[s] = counts[s];
        }
      }
      int step = (size >> 1) + (size >> 3) + 3;
      int position = 0;
      for (int s = 0; s < counts.length; s++) {
        for (int i = 0; i < counts[s]; i++) {
          table.symbol[position] = (byte) s;
          do {
            position = position + step & size - 1;
          } while (position > high);
        }
      }
      if (position != 0) {
        throw ZstdBlocks.damaged();
      }
      for (int state = 0; state < size; state++) {
        int x = next[table.symbol[state] & 0xff]++;
        int width = accuracy - (31 - Integer.numberOfLeadingZeros(x));
        table.bits[state] = (byte) width;
        table.base[state] = (short) ((x << width) - size);
      }
      return table;
    }
  }

  /**
   * Reads descriptions of tables from {@code bytes} forwards; {@link #position} is then behind
   * them.
   */
  static final class Reader {
    private final byte[] bytes;
    private final int limit;
    int position;

    Reader(byte[] bytes, int position, int limit) {
      this.bytes = bytes;
      this.position = position;
      this.limit = limit;
    }

    int next() throws IOException {
      if (position >= limit) {
        throw ZstdBlocks.damaged();
      }
      return bytes[position++] & 0xff;
    }

    private int bits(int at, int count) {
      int value = 0;
      for (int i = 0; i < count; i++) {
        int index = at + i >>> 3;
        // What lies behind the end reads as zeros; the caller checks how far it went.
        int bit = index < limit ? bytes[index] >>> (at + i & 7) & 1 : 0;
        value |= bit << i;
      }
      return value;
    }

    /** A description of a distribution over at most {@code symbols} symbols. */
    Fse fse(int symbols, int maxAccuracy) throws IOException {
      int at = position * 8;
      int accuracy = bits(at, 4) + 5;
      at += 4;
      if (accuracy > maxAccuracy) {
        throw ZstdBlocks.damaged();
      }
      short[] counts = new short[symbols];
      int remaining = (1 << accuracy) + 1;
      int symbol = 0;
      while (remaining > 1) {
        if (symbol >= symbols || at > limit * 8) {
          throw ZstdBlocks.damaged();
        }
        int width = 32 - Integer.numberOfLeadingZeros(remaining);
        int value = bits(at, width);
        int small = (1 << width) - 1 - remaining;
        if ((value & (1 << width - 1) - 1) < small) {
          value &= (1 << width - 1) - 1;
          at += width - 1;
        } else {
          if (value >= 1 << width - 1) {
            value -= small;
          }
          at += width;
        }
        int count = value - 1;
        remaining -= Math.abs(count);
        counts[symbol++] = (short) count;
        if (count == 0) {
          int repeat;
          do {
            repeat = bits(at, 2);
            at += 2;
            symbol += repeat;
          } while (repeat == 3 && at <= limit * 8);
        }
      }
      position = at + 7 >>> 3;
      if (remaining != 1 || position > limit) {
        throw ZstdBlocks.damaged();
      }
      return Fse.of(counts, accuracy);
    }

    /** A description of a Huffman tree. */
    Huffman huffman() throws IOException {
      int header = next();
      byte[] weights = new byte[256];
      int count;
      if (header >= 128) {
        count = header - 127;
        for (int i = 0; i < count; i += 2) {
          int pair = next();
          weights[i] = (byte) (pair >>> 4);
          weights[i + 1] = (byte) (pair & 15);
        }
      } else {
        int end = position + header;
        if (end > limit) {
          throw ZstdBlocks.damaged();
        }
        Reader inner = new Reader(bytes, position, end);
        Fse table = inner.fse(16, WEIGHT_ACCURACY);
        count = weights(table, inner.position, end, weights);
        position = end;
      }
      return Huffman.of(weights, count);
    }

    private int weights(Fse table, int from, int end, byte[] weights) throws IOException {
      ZstdBits stream = new ZstdBits();
      stream.open(bytes, from, end);
      int[] state = {(int) stream.take(table.accuracy), (int) stream.take(table.accuracy)};
      int count = 0;
      for (int turn = 0; ; turn ^= 1) {
        if (count > 253) {
          throw ZstdBlocks.damaged();
        }
        weights[count++] = table.symbol[state[turn]];
        int width = table.bits[state[turn]];
        if (stream.left() < width) {
          weights[count++] = table.symbol[state[turn ^ 1]];
          return count;
        }
        state[turn] = (table.base[state[turn]] & 0xffff) + (int) stream.take(width);
      }
    }
  }

  /** A Huffman tree as a table by the next {@link #bits} bits: symbol and code length. */
  static final class Huffman {
    final int bits;
    final byte[] symbol;
    final byte[] length;

    private Huffman(int bits) {
      this.bits = bits;
      symbol = new byte[1 << bits];
      length = new byte[1 << bits];
    }

    /**
     * Builds the tree of {@code count} weights; the weight of one more symbol follows from them.
     */
    static Huffman of(byte[] weights, int count) throws IOException {
      int sum = 0;
      for (int i = 0; i < count; i++) {
        if (weights[i] > MAX_HUFFMAN_BITS) {
          throw ZstdBlocks.damaged();
        }
        sum += weights[i] == 0 ? 0 : 1 << weights[i] - 1;
      }
      if (sum == 0 || count > 255) {
        throw ZstdBlocks.damaged();
      }
      int bits = 32 - Integer.numberOfLeadingZeros(sum);
      int rest = (1 << bits) - sum;
      if (bits > MAX_HUFFMAN_BITS || Integer.bitCount(rest) != 1) {
        throw ZstdBlocks.damaged();
      }
      weights[count] = (byte) (32 - Integer.numberOfLeadingZeros(rest));
      Huffman tree = new Huffman(bits);
      int at = 0;
      for (int weight = 1; weight <= bits; weight++) {
        for (int s = 0; s <= count; s++) {
          if (weights[s] == weight) {
            int span = 1 << weight - 1;
            if (at + span > 1 << bits) {
              throw ZstdBlocks.damaged();
            }
            Arrays.fill(tree.symbol, at, at + span, (byte) s);
            Arrays.fill(tree.length, at, at + span, (byte) (bits + 1 - weight));
            at += span;
          }
        }
      }
      if (at != 1 << bits) {
        throw ZstdBlocks.damaged();
      }
      return tree;
    }
  }
}
