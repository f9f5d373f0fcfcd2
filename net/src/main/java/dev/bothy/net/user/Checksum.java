package dev.bothy.net.user;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import dev.bothy.net.Frame;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * The Internet checksum (RFC 1071). Sums are folded to 16 bits and not complemented; the sum of two
 * even-sized pieces is the folded sum of their sums.
 */
final class Checksum {
  private static final ValueLayout.OfInt WORD =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Checksum() {}

  /** The sum of bytes of an array. */
  static int sum(byte[] bytes, int from, int length) {
    long sum = 0;
    int at = from;
    int end = from + length;
    for (; at + 4 <= end; at += 4) {
      sum += Wire.get32(bytes, at) & 0xffff_ffffL;
    }
    if (at + 2 <= end) {
      sum += Wire.get16(bytes, at);
      at += 2;
    }
    return fold(at < end ? sum + (Wire.get8(bytes, at) << 8) : sum);
  }

  /** The sum of bytes in memory. */
  static int sum(MemorySegment memory, long from, long length) {
    // Byte order does not matter until the end (RFC 1071, 2 (B)): little-endian words, swapped
    // last.
    long low = 0;
    long high = 0;
    long at = from;
    long end = from + length;
    for (; at + 32 <= end; at += 32) {
      long first = memory.get(LONG, at);
      long second = memory.get(LONG, at + 8);
      long third = memory.get(LONG, at + 16);
      long fourth = memory.get(LONG, at + 24);
      low +=
          (first & 0xffff_ffffL)
              + (second & 0xffff_ffffL)
              + (third & 0xffff_ffffL)
              + (fourth & 0xffff_ffffL);
      high += (first >>> 32) + (second >>> 32) + (third >>> 32) + (fourth >>> 32);
    }
    long sum = low + high;
    for (; at + 4 <= end; at += 4) {
      sum += memory.get(WORD, at) & 0xffff_ffffL;
    }
    for (int shift = 0; at < end; at++, shift += 8) {
      sum += (long) (memory.get(JAVA_BYTE, at) & 0xff) << shift;
    }
    int folded = fold(sum);
    return (folded & 0xff) << 8 | folded >>> 8;
  }

  /** The sum of a frame's bytes. */
  static int sum(Frame frame, int from, int length) {
    int sum = 0;
    int skip = from;
    int left = length;
    boolean odd = false;
    for (int i = 0; left > 0; i++) {
      int size = (int) frame.part(i).byteSize();
      int here = Math.min(size - skip, left);
      if (here > 0) {
        sum += after(odd, sum(frame.part(i), skip, here));
        odd ^= (here & 1) != 0;
        left -= here;
      }
      skip = Math.max(0, skip - size);
    }
    return fold(sum);
  }

  /** What a piece's sum counts for behind an odd number of bytes. */
  static int after(boolean odd, int sum) {
    return odd ? (sum & 0xff) << 8 | sum >>> 8 : sum;
  }

  /** Adds up to 16 bits, with carries around. */
  static int fold(long sum) {
    long folded = sum;
    while (folded >>> 16 != 0) {
      folded = (folded & 0xffff) + (folded >>> 16);
    }
    return (int) folded;
  }

  /** The sum of the pseudo header of TCP, UDP and ICMPv6 (RFC 9293, 3.1; RFC 8200, 8.1). */
  static int pseudo(IpAddress source, IpAddress destination, int protocol, int length) {
    return fold(
        (long) words(source) + words(destination) + protocol + (length >>> 16) + (length & 0xffff));
  }

  private static int words(IpAddress address) {
    if (address.isV4()) {
      return (address.v4() >>> 16) + (address.v4() & 0xffff);
    }
    return words(address.high()) + words(address.low());
  }

  private static int words(long value) {
    return (int)
        ((value >>> 48) + (value >>> 32 & 0xffff) + (value >>> 16 & 0xffff) + (value & 0xffff));
  }
}
