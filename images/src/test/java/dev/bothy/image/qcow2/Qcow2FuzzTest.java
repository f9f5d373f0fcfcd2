package dev.bothy.image.qcow2;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.bothy.image.Progress;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * Opens, reads, checks, mends and writes images with bytes that nobody would write, the magic kept:
 * each is refused or works, and none throws anything but an {@link IOException}.
 *
 * <p>{@code -Dbothy.fuzz=N} makes it N images, {@code -Dbothy.fuzz.seed=S} others.
 */
class Qcow2FuzzTest {
  private static final int IMAGES = Integer.getInteger("bothy.fuzz", 4_000);
  private static final long SEED = Long.getLong("bothy.fuzz.seed", 1);
  private static final int SIZE = 150_000;

  private static final long[] INTERESTING = {
    0,
    1,
    2,
    3,
    0x1ff,
    0x200,
    0x201,
    0x400,
    0xffff,
    1L << 31,
    1L << 32,
    1L << 40,
    1L << 55,
    1L << 56,
    1L << 61,
    1L << 62,
    1L << 63,
    -1,
    Long.MAX_VALUE,
    0x00ff_ffff_ffff_fe00L,
    1L << 63 | 0x400,
    1L << 62 | 0x400
  };

  private final Set<String> refusals = new HashSet<>();

  private static byte[] image(Qcow2Layout layout, long seed) throws IOException {
    SparseStorage file = new SparseStorage();
    layout.write(file, SIZE);
    Workload work = new Workload(seed, new byte[SIZE]);
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      for (int i = 0; i < 25; i++) {
        work.change(disk);
        if (i == 10 || i == 20) {
          disk.createSnapshot("at " + i);
        }
      }
      byte[] half = new byte[layout.clusterSize()];
      new Random(seed).nextBytes(half);
      Arrays.fill(half, half.length / 4, half.length, (byte) 3);
      try (ClusterCompressor compressor = disk.compressor()) {
        byte[] packed = compressor.compress(half).orElse(half);
        disk.writeCompressed(0, packed);
        disk.writeCompressed(3L * layout.clusterSize(), packed);
      }
    }
    return file.bytes();
  }

  private static List<byte[]> images() throws IOException {
    List<byte[]> images = new ArrayList<>();
    images.add(image(new Qcow2Layout(3, 1024, 16, false, false, false, "", ""), 1));
    images.add(image(new Qcow2Layout(2, 2048, 16, false, false, false, "", ""), 2));
    images.add(image(new Qcow2Layout(3, 2048, 8, true, false, true, "", ""), 3));
    images.add(image(new Qcow2Layout(3, 1 << 14, 64, false, true, true, "", ""), 4));
    images.add(image(new Qcow2Layout(3, 4096, 32, false, false, true, "base", "raw"), 5));
    return images;
  }

  @Test
  void damagedImagesAreRefusedOrWork() throws IOException {
    List<byte[]> images = images();
    for (int i = 0; i < IMAGES; i++) {
      Random random = new Random(SEED * 1_000_003 + i);
      byte[] image = mutate(images.get(i % images.size()), random);
      try {
        use(image, random);
      } catch (IOException e) {
        refusals.add(e.getMessage().replaceAll("0x[0-9a-f]+|[0-9]+", "N"));
      } catch (Throwable e) {
        fail("image " + i + " of seed " + SEED, e);
      }
    }
    // Else the mutations have missed the parsers.
    assertTrue(refusals.size() > 15, refusals.toString());
  }

  private static byte[] mutate(byte[] original, Random random) {
    byte[] image = original.clone();
    int cluster = 1 << original[23];
    for (int n = 1 + random.nextInt(4); n > 0; n--) {
      // The header, or the start of one of the tables, or anywhere.
      int at =
          switch (random.nextInt(4)) {
            case 0 -> 4 + random.nextInt(108);
            case 1 -> random.nextInt(image.length / cluster) * cluster + 8 * random.nextInt(8);
            case 2 -> random.nextInt(image.length / 8) * 8;
            default -> 4 + random.nextInt(image.length - 4);
          };
      if (at < 4 || at + 8 > image.length) {
        continue;
      }
      switch (random.nextInt(5)) {
        case 0 -> image[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> image[at] = (byte) random.nextInt();
        case 2 -> BigEndian.putLong(image, at, INTERESTING[random.nextInt(INTERESTING.length)]);
        case 3 ->
            BigEndian.putInt(image, at, (int) INTERESTING[random.nextInt(INTERESTING.length)]);
        default -> {
          long target = (long) random.nextInt(image.length / cluster + 2) * cluster;
          BigEndian.putLong(image, at, target | (long) random.nextInt(4) << 62);
        }
      }
    }
    return random.nextInt(20) == 0 ? Arrays.copyOf(image, 8 + random.nextInt(image.length)) : image;
  }

  private static void use(byte[] image, Random random) throws IOException {
    SparseStorage file = SparseStorage.of(image);
    byte[] buffer = new byte[20_000];
    try (Qcow2Image disk = Qcow2Image.open(file.readOnly(true), null, false)) {
      disk.info();
      disk.check(false, Progress.NONE);
      readAll(disk, buffer);
    } finally {
      file.readOnly(false);
      write(file, buffer, random);
    }
  }

  private static void readAll(Qcow2Image disk, byte[] buffer) throws IOException {
    for (long at = 0; at < Math.min(disk.size(), 2 * SIZE); at += buffer.length) {
      int length = (int) Math.min(buffer.length, disk.size() - at);
      try {
        disk.read(at, MemorySegment.ofArray(buffer).asSlice(0, length));
      } catch (IOException e) {
        // The next range may be readable.
      }
    }
  }

  private static void write(SparseStorage file, byte[] buffer, Random random) throws IOException {
    try (Qcow2Image disk = Qcow2Image.open(file, null, random.nextBoolean())) {
      for (int i = 0; i < 4; i++) {
        try {
          switch (random.nextInt(8)) {
            case 0 -> disk.check(true, Progress.NONE);
            case 1 -> disk.createSnapshot("more");
            case 2 -> disk.applySnapshot("at 10");
            case 3 -> disk.deleteSnapshot("at 20");
            case 4 -> disk.discard(0, Math.min(disk.size(), 2 * SIZE));
            case 5 -> disk.resize(Math.min(disk.size(), SIZE) + 100_000);
            default -> {
              if (disk.size() >= buffer.length) {
                long at = random.nextLong(Math.min(disk.size() - buffer.length, SIZE) + 1);
                disk.write(at, MemorySegment.ofArray(buffer));
                disk.flush();
              }
            }
          }
        } catch (IOException e) {
          // The image stays usable, or says again that it is not.
        }
      }
    }
  }
}
