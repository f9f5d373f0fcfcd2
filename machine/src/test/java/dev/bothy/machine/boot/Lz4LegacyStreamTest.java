package dev.bothy.machine.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.airlift.compress.lz4.Lz4Compressor;
import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class Lz4LegacyStreamTest {
  @Test
  void unpacksWhatAnotherLibraryPacked() throws Exception {
    Random random = new Random(7);
    Lz4Compressor compressor = new Lz4Compressor();
    for (int round = 0; round < 200; round++) {
      byte[] plain = new byte[random.nextInt(1, 5000)];
      int alphabet = random.nextInt(1, 20);
      for (int i = 0; i < plain.length; i++) {
        // Runs, repetitions at a distance and noise.
        plain[i] =
            i > 70 && random.nextInt(10) != 0
                ? plain[i - 1 - random.nextInt(3) * 30]
                : (byte) random.nextInt(alphabet);
      }
      byte[] packed = new byte[compressor.maxCompressedLength(plain.length)];
      int length = compressor.compress(plain, 0, plain.length, packed, 0, packed.length);
      byte[] out = new byte[plain.length];
      assertEquals(plain.length, Lz4LegacyStream.decode(packed, length, out));
      assertArrayEquals(plain, out);
    }
  }

  @Test
  void refusesDamageWithoutHarm() {
    Random random = new Random(8);
    byte[] out = new byte[300];
    for (int round = 0; round < 20_000; round++) {
      byte[] packed = new byte[random.nextInt(1, 40)];
      random.nextBytes(packed);
      if (round % 3 == 0) {
        Arrays.fill(packed, random.nextInt(packed.length), packed.length, (byte) 0xff);
      }
      try {
        Lz4LegacyStream.decode(packed, packed.length, out);
      } catch (IOException e) {
        // Refused, as it should be.
      }
    }
  }
}
