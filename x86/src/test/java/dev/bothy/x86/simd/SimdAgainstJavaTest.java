package dev.bothy.x86.simd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.SplittableRandom;
import java.util.function.DoubleUnaryOperator;
import java.util.zip.CRC32C;
import javax.crypto.Cipher;
import javax.crypto.spec.SecretKeySpec;
import org.junit.jupiter.api.Test;

/**
 * The pure functions against the Java platform, on any host: IEEE arithmetic, AES, SHA, CRC-32C,
 * big integers.
 */
final class SimdAgainstJavaTest {
  private static final int ROUNDS = 20_000;
  private final SplittableRandom random = new SplittableRandom(11);

  private static FloatEnvironment environment(int mxcsr) {
    FloatEnvironment e = new FloatEnvironment();
    e.begin(mxcsr);
    return e;
  }

  private long anyDouble() {
    long bits = random.nextLong();
    return random.nextBoolean()
        ? bits
        : bits & 0x800f_ffff_ffff_ffffL | (1000L + random.nextInt(50)) << 52;
  }

  @Test
  void softDoublesRoundToNearestAsJavaDoes() {
    FloatEnvironment e = environment(0x1f80);
    for (int n = 0; n < ROUNDS; n++) {
      long a = anyDouble();
      long b = anyDouble();
      double x = Double.longBitsToDouble(a);
      double y = Double.longBitsToDouble(b);
      same(x + y, SoftFloat.add(FloatFormat.DOUBLE, a, b, e));
      same(x - y, SoftFloat.subtract(FloatFormat.DOUBLE, a, b, e));
      same(x * y, SoftFloat.multiply(FloatFormat.DOUBLE, a, b, e));
      same(x / y, SoftFloat.divide(FloatFormat.DOUBLE, a, b, e));
      same(Math.sqrt(x), SoftFloat.squareRoot(FloatFormat.DOUBLE, a, e));
    }
  }

  private static void same(double expected, long bits) {
    assertEquals(
        Double.doubleToLongBits(expected), Double.doubleToLongBits(Double.longBitsToDouble(bits)));
  }

  @Test
  void fastPathsRaiseWhatTheSoftOnesRaise() {
    for (int n = 0; n < ROUNDS; n++) {
      long a = anyDouble();
      long b = anyDouble();
      for (int function = PackedFloat.ADD; function <= PackedFloat.SQRT; function++) {
        FloatEnvironment fast = environment(0x1f80);
        // Flush-to-zero alone changes nothing but tiny results, and keeps the fast path out.
        FloatEnvironment soft = environment(0x9f80);
        long got = PackedFloat.doubles(function, a, b, fast);
        long expected = PackedFloat.doubles(function, a, b, soft);
        if ((soft.flags & FloatEnvironment.UNDERFLOW) == 0) {
          assertEquals(expected, got);
          assertEquals(soft.flags, fast.flags);
        }
      }
    }
  }

  @Test
  void aesRoundsMakeTheCipher() throws GeneralSecurityException {
    byte[] key = new byte[16];
    byte[] block = new byte[16];
    for (int n = 0; n < 50; n++) {
      random.nextBytes(key);
      random.nextBytes(block);
      Cipher cipher = Cipher.getInstance("AES/ECB/NoPadding");
      cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "AES"));
      byte[] expected = cipher.doFinal(block);
      long[] keys = expand(key);
      assertArrayEquals(expected, encrypted(block, keys));
      assertArrayEquals(block, decrypted(expected, keys));
    }
  }

  private static long[] expand(byte[] key) {
    ByteBuffer k = ByteBuffer.wrap(key).order(ByteOrder.LITTLE_ENDIAN);
    long[] keys = new long[22];
    keys[0] = k.getLong(0);
    keys[1] = k.getLong(8);
    int constant = 1;
    for (int i = 2; i < 22; i += 2) {
      long assisted = AesRound.keyAssist(keys[i - 1], constant);
      constant = constant << 1 ^ (constant >> 7) * 0x11b;
      int w = (int) (assisted >>> 32);
      int w0 = (int) keys[i - 2] ^ w;
      int w1 = (int) (keys[i - 2] >>> 32) ^ w0;
      int w2 = (int) keys[i - 1] ^ w1;
      int w3 = (int) (keys[i - 1] >>> 32) ^ w2;
      keys[i] = w0 & 0xffff_ffffL | (long) w1 << 32;
      keys[i + 1] = w2 & 0xffff_ffffL | (long) w3 << 32;
    }
    return keys;
  }

  private static byte[] bytes(long low, long high) {
    return ByteBuffer.allocate(16)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(low)
        .putLong(high)
        .array();
  }

  private static byte[] encrypted(byte[] block, long[] keys) {
    ByteBuffer b = ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN);
    long low = b.getLong(0) ^ keys[0];
    long high = b.getLong(8) ^ keys[1];
    for (int i = 2; i < 20; i += 2) {
      long next = AesRound.encrypt(low, high) ^ keys[i];
      high = AesRound.encrypt(high, low) ^ keys[i + 1];
      low = next;
    }
    return bytes(
        AesRound.encryptLast(low, high) ^ keys[20], AesRound.encryptLast(high, low) ^ keys[21]);
  }

  private static byte[] decrypted(byte[] block, long[] keys) {
    ByteBuffer b = ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN);
    long low = b.getLong(0) ^ keys[20];
    long high = b.getLong(8) ^ keys[21];
    for (int i = 18; i > 0; i -= 2) {
      long next = AesRound.decrypt(low, high) ^ AesRound.inverseMixColumns(keys[i]);
      high = AesRound.decrypt(high, low) ^ AesRound.inverseMixColumns(keys[i + 1]);
      low = next;
    }
    return bytes(
        AesRound.decryptLast(low, high) ^ keys[0], AesRound.decryptLast(high, low) ^ keys[1]);
  }

  @Test
  void crcIsCastagnoli() {
    byte[] data = new byte[64];
    random.nextBytes(data);
    CRC32C expected = new CRC32C();
    expected.update(data);
    ByteBuffer b = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
    int crc = -1;
    crc = BinaryPolynomial.crc32(crc, b.get(), 1);
    crc = BinaryPolynomial.crc32(crc, b.getShort(), 2);
    crc = BinaryPolynomial.crc32(crc, b.getInt(), 4);
    while (b.remaining() >= 8) {
      crc = BinaryPolynomial.crc32(crc, b.getLong(), 8);
    }
    while (b.hasRemaining()) {
      crc = BinaryPolynomial.crc32(crc, b.get(), 1);
    }
    assertEquals((int) expected.getValue(), ~crc);
  }

  @Test
  void carrylessProductIsTheSumOfShifts() {
    for (int n = 0; n < 200; n++) {
      long a = n == 0 ? -1 : random.nextLong();
      long b = n < 2 ? -1 : random.nextLong();
      BigInteger wide = new BigInteger(Long.toUnsignedString(a));
      BigInteger sum = BigInteger.ZERO;
      for (int i = 0; i < 64; i++) {
        if ((b >>> i & 1) != 0) {
          sum = sum.xor(wide.shiftLeft(i));
        }
      }
      assertEquals(sum.longValue(), BinaryPolynomial.multiplyLow(a, b));
      assertEquals(sum.shiftRight(64).longValue(), BinaryPolynomial.multiplyHigh(a, b));
    }
  }

  /** SHA-256 of one block, as the instructions are meant to be used. */
  @Test
  void shaRoundsMakeTheDigest() throws GeneralSecurityException {
    byte[] message = new byte[20];
    random.nextBytes(message);
    ByteBuffer block = ByteBuffer.allocate(64);
    block.put(message).put((byte) 0x80).putLong(56, message.length * 8L);
    // Sixteen vectors of four words, the last twelve computed.
    long[] low = new long[16];
    long[] high = new long[16];
    long[] out = new long[2];
    for (int i = 0; i < 4; i++) {
      low[i] = pair(block.getInt(16 * i), block.getInt(16 * i + 4));
      high[i] = pair(block.getInt(16 * i + 8), block.getInt(16 * i + 12));
    }
    for (int i = 4; i < 16; i++) {
      // The words seven back.
      long addLow = low[i - 2] >>> 32 | high[i - 2] << 32;
      long addHigh = high[i - 2] >>> 32 | low[i - 1] << 32;
      long x = PackedInteger.paddd(ShaRound.sha256Message1(low[i - 4], (int) high[i - 4]), addLow);
      long y = PackedInteger.paddd(ShaRound.sha256Message1(high[i - 4], (int) low[i - 3]), addHigh);
      ShaRound.sha256Message2(x, y, high[i - 1], out);
      low[i] = out[0];
      high[i] = out[1];
    }
    int[] h = primes(Math::sqrt, 8);
    int[] k = primes(Math::cbrt, 64);
    long abefLow = pair(h[5], h[4]);
    long abefHigh = pair(h[1], h[0]);
    long cdghLow = pair(h[7], h[6]);
    long cdghHigh = pair(h[3], h[2]);
    for (int r = 0; r < 32; r++) {
      long words =
          PackedInteger.paddd(
              (r & 1) == 0 ? low[r / 2] : high[r / 2], pair(k[2 * r], k[2 * r + 1]));
      ShaRound.sha256Rounds2(cdghLow, cdghHigh, abefLow, abefHigh, words, out);
      cdghLow = abefLow;
      cdghHigh = abefHigh;
      abefLow = out[0];
      abefHigh = out[1];
    }
    ByteBuffer digest = ByteBuffer.allocate(32);
    digest.putInt(h[0] + (int) (abefHigh >>> 32)).putInt(h[1] + (int) abefHigh);
    digest.putInt(h[2] + (int) (cdghHigh >>> 32)).putInt(h[3] + (int) cdghHigh);
    digest.putInt(h[4] + (int) (abefLow >>> 32)).putInt(h[5] + (int) abefLow);
    digest.putInt(h[6] + (int) (cdghLow >>> 32)).putInt(h[7] + (int) cdghLow);
    assertArrayEquals(MessageDigest.getInstance("SHA-256").digest(message), digest.array());
  }

  private static long pair(int low, int high) {
    return low & 0xffff_ffffL | (long) high << 32;
  }

  /**
   * The first 32 fraction bits of a root of the first primes: FIPS 180-4, sections 4.2.2 and 5.3.3.
   */
  private static int[] primes(DoubleUnaryOperator root, int count) {
    int[] out = new int[count];
    int n = 0;
    for (int p = 2; n < count; p++) {
      if (BigInteger.valueOf(p).isProbablePrime(20)) {
        double x = root.applyAsDouble(p);
        out[n++] = (int) (long) ((x - Math.floor(x)) * 0x1p32);
      }
    }
    return out;
  }
}
