package dev.bothy.machine.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ReadAheadTest {
  /** Bytes in pieces of odd sizes, then what is thrown, if anything. */
  private static final class Source extends InputStream {
    private final InputStream bytes;
    private final Throwable trouble;
    private boolean closed;
    private int most = 1;

    Source(byte[] bytes, Throwable trouble) {
      this.bytes = new ByteArrayInputStream(bytes);
      this.trouble = trouble;
    }

    @Override
    public int read() {
      throw new AssertionError("one by one");
    }

    @Override
    public int read(byte[] target, int from, int length) throws IOException {
      most = most * 7 % 100_003;
      int count = bytes.read(target, from, Math.min(length, most));
      if (count < 0 && trouble instanceof IOException e) {
        throw e;
      }
      if (count < 0 && trouble instanceof RuntimeException e) {
        throw e;
      }
      return count;
    }

    @Override
    public void close() {
      closed = true;
    }
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    return bytes;
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 5, 262_143, 262_144, 262_145, 3_000_000})
  void bytesAreThoseOfTheOtherStream(int length) throws IOException {
    byte[] bytes = random(length);
    Source source = new Source(bytes, null);
    try (InputStream ahead = new ReadAhead(source)) {
      byte[] read = new byte[length];
      int at = 0;
      for (int step = 1; at < length; step = step * 5 % 400_009) {
        int one = ahead.read();
        assertEquals(bytes[at] & 0xff, one);
        read[at++] = (byte) one;
        at += ahead.readNBytes(read, at, Math.min(step, length - at));
      }
      assertArrayEquals(bytes, read);
      assertEquals(-1, ahead.read());
      assertEquals(-1, ahead.read(read.length == 0 ? new byte[1] : read));
    }
    assertTrue(source.closed);
  }

  @Test
  void whatGoesWrongIsThrownBehindTheBytesBeforeIt() throws IOException {
    for (Exception trouble : new Exception[] {new IOException("a"), new RuntimeException("b")}) {
      byte[] bytes = random(700_001);
      Source source = new Source(bytes, trouble);
      try (InputStream ahead = new ReadAhead(source)) {
        assertArrayEquals(bytes, ahead.readNBytes(bytes.length));
        assertSame(trouble, assertThrows(Exception.class, ahead::read));
        assertSame(trouble, assertThrows(Exception.class, ahead::read));
      }
      assertTrue(source.closed);
    }
  }

  @Test
  void closingEndsTheReadingWhereverItIs() throws IOException {
    for (int read : new int[] {0, 1, 600_000, 5_000_000}) {
      byte[] bytes = random(5_000_000);
      Source source = new Source(bytes, null);
      try (InputStream ahead = new ReadAhead(source)) {
        assertArrayEquals(Arrays.copyOf(bytes, read), ahead.readNBytes(read));
      }
      assertTrue(source.closed);
    }
  }
}
