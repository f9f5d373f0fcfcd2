package dev.bothy.machine.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.airlift.compress.zstd.ZstdCompressor;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ZstdBlocksTest {
  /** Something between text, tables and noise. */
  private static byte[] plain(Random random, int length) {
    byte[] plain = new byte[length];
    int alphabet = random.nextInt(1, 256);
    int novelty = random.nextInt(1, 60);
    int reach = random.nextInt(1, 3000);
    for (int i = 0; i < length; ) {
      if (i == 0 || random.nextInt(100) < novelty) {
        plain[i++] = (byte) (random.nextInt(alphabet) & random.nextInt(alphabet));
      } else {
        int distance = random.nextInt(1, Math.min(i, reach) + 1);
        for (int end = Math.min(length, i + random.nextInt(3, 80)); i < end; i++) {
          plain[i] = plain[i - distance];
        }
      }
    }
    return plain;
  }

  private static byte[] pack(byte[] plain) {
    ZstdCompressor compressor = new ZstdCompressor();
    byte[] packed = new byte[compressor.maxCompressedLength(plain.length)];
    int length = compressor.compress(plain, 0, plain.length, packed, 0, packed.length);
    return Arrays.copyOf(packed, length);
  }

  @Test
  void unpacksWhatAnotherLibraryPacked() throws Exception {
    Random random = new Random(11);
    for (int round = 0; round < 150; round++) {
      byte[] plain = plain(random, random.nextInt(1, round % 10 == 0 ? 400_000 : 9_000));
      byte[] out = new byte[plain.length];
      long length =
          ZstdBlocks.unpack(new ByteArrayInputStream(pack(plain)), MemorySegment.ofArray(out));
      assertEquals(plain.length, length);
      assertArrayEquals(plain, out);
    }
  }

  @Test
  void refusesDamageWithoutHarm() {
    Random random = new Random(12);
    byte[] packed = pack(plain(random, 20_000));
    byte[] out = new byte[30_000];
    for (int round = 0; round < 2000; round++) {
      byte[] damaged = packed.clone();
      for (int i = random.nextInt(1, 4); i > 0; i--) {
        int spread = random.nextBoolean() ? 200 : packed.length;
        damaged[random.nextInt(Math.min(spread, packed.length))] = (byte) random.nextInt();
      }
      try {
        ZstdBlocks.unpack(new ByteArrayInputStream(damaged), MemorySegment.ofArray(out));
      } catch (IOException e) {
        // Refused, as it should be.
      }
    }
  }
}
