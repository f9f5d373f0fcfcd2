package dev.bothy.net.user;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.net.Frame;
import dev.bothy.net.Offload;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ChecksumTest {
  /** A sum of nothing but zeros is 0, any other that is a multiple of 0xffff is 0xffff. */
  private static int expected(byte[] bytes, int from, int length) {
    return ~Packets.checksum(Arrays.copyOfRange(bytes, from, from + length)) & 0xffff;
  }

  @Test
  void everyLengthFromEveryPlaceIsTheSumOfItsWords() {
    byte[] bytes = new byte[256];
    new Random(3).nextBytes(bytes);
    Arrays.fill(bytes, 60, 110, (byte) 0xff);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = arena.allocate(bytes.length).copyFrom(MemorySegment.ofArray(bytes));
      for (int from = 0; from < 20; from++) {
        for (int length = 0; length <= bytes.length - from; length++) {
          int sum = expected(bytes, from, length);
          assertEquals(sum, Checksum.sum(bytes, from, length));
          assertEquals(sum, Checksum.sum(memory, from, length));
          assertEquals(sum, Checksum.sum(MemorySegment.ofArray(bytes), from, length));
        }
      }
    }
  }

  @Test
  void largestFrameOfOnesInOddPiecesIsSummed() {
    byte[] bytes = new byte[Frame.MAX_LENGTH];
    Arrays.fill(bytes, (byte) 0xff);
    MemorySegment all = MemorySegment.ofArray(bytes);
    Frame frame =
        new Frame(
            Offload.NONE,
            all.asSlice(0, 7),
            all.asSlice(7, 1),
            all.asSlice(8, 30_001),
            all.asSlice(30_009));
    for (int from : new int[] {0, 7, 8, 30_008}) {
      int length = bytes.length - from;
      assertEquals(expected(bytes, from, length), Checksum.sum(frame, from, length));
    }
  }
}
