package dev.bothy.image.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.image.CheckReport;
import dev.bothy.image.DiskImage;
import dev.bothy.image.ImageException;
import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.ImageFormat;
import dev.bothy.image.Images;
import dev.bothy.image.Progress;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A host whose disk is full at any point of random work: what was flushed is there, nothing is
 * corrupt, and once there is room all goes on as if nothing had been.
 */
class FullHostTest {
  private static final int SIZE = 200 << 10;
  private static final int OPERATIONS = 150;
  private static final int SEEDS = 12;

  /** A file on a disk with so much room. */
  private static final class Full extends SparseStorage {
    int room = Integer.MAX_VALUE;

    void fillUp(int left) {
      room = pages.size() + left;
    }

    @Override
    public synchronized void write(long position, List<MemorySegment> sources) throws IOException {
      long at = position;
      for (MemorySegment source : sources) {
        for (long done = 0; done < source.byteSize(); ) {
          long part = Math.min(source.byteSize() - done, PAGE - at % PAGE);
          if (pages.size() >= room && !pages.containsKey(at / PAGE)) {
            throw new ImageException(Trouble.NO_SPACE, "no room");
          }
          super.write(at, List.of(source.asSlice(done, part)));
          done += part;
          at += part;
        }
      }
    }
  }

  private interface Change {
    void run(DiskImage disk) throws IOException;
  }

  static Stream<Qcow2Layout> layouts() {
    return Stream.of(
        new Qcow2Layout(3, 4096, 16, false, false, false, "", ""),
        new Qcow2Layout(2, 1024, 16, false, false, false, "", ""),
        new Qcow2Layout(3, 512, 64, false, false, false, "", ""),
        new Qcow2Layout(3, 1024, 16, true, false, false, "", ""),
        new Qcow2Layout(3, 1 << 14, 16, false, true, false, "", ""));
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void nothingFlushedIsLostAndAllGoesOnWithMoreRoom(Qcow2Layout layout) throws IOException {
    int refusals = 0;
    for (int seed = 0; seed < SEEDS; seed++) {
      try {
        refusals += work(layout, new Random(seed));
      } catch (IOException | AssertionError e) {
        fail("seed " + seed, e);
      }
    }
    assertTrue(refusals > SEEDS, "the disk was full " + refusals + " times");
  }

  private static int work(Qcow2Layout layout, Random random) throws IOException {
    Full file = new Full();
    layout.write(file, SIZE);
    byte[] model = new byte[SIZE];
    byte[] flushed = model.clone();
    boolean[] changed = new boolean[SIZE];
    int refusals = 0;
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      for (int i = 0; i < OPERATIONS; i++) {
        int length = 1 + random.nextInt(random.nextInt(8) == 0 ? SIZE / 3 : 10_000);
        int offset = random.nextInt(SIZE - length + 1);
        byte[] data = new byte[length];
        boolean flush = random.nextInt(6) == 0;
        boolean zero = random.nextInt(5) == 0;
        boolean release = random.nextBoolean();
        if (!zero) {
          random.nextBytes(data);
        }
        Change change =
            target -> {
              if (flush) {
                target.flush();
              } else if (zero) {
                target.writeZeroes(offset, length, release);
              } else {
                target.write(offset, MemorySegment.ofArray(data));
              }
            };
        if (random.nextInt(3) == 0) {
          file.fillUp(random.nextInt(20));
        }
        if (!flush) {
          Arrays.fill(changed, offset, offset + length, true);
        }
        try {
          change.run(disk);
        } catch (ImageException e) {
          assertEquals(Trouble.NO_SPACE, e.trouble());
          refusals++;
          check(file, flushed, changed);
          assertSameOutside(model, read(disk), flush ? 0 : offset, flush ? 0 : length);
          file.room = Integer.MAX_VALUE;
          change.run(disk);
        }
        file.room = Integer.MAX_VALUE;
        if (flush) {
          flushed = model.clone();
          Arrays.fill(changed, false);
        } else {
          System.arraycopy(data, 0, model, offset, length);
        }
      }
      assertArrayEquals(model, read(disk));
    }
    try (Qcow2Image disk = Qcow2Image.open(file.readOnly(true), null, false)) {
      assertArrayEquals(model, read(disk));
      CheckReport report = disk.check(false, Progress.NONE);
      assertEquals(0, report.corruptions() + report.leaks(), () -> report.findings().toString());
    }
    return refusals;
  }

  private static byte[] read(DiskImage disk) throws IOException {
    byte[] content = new byte[SIZE];
    disk.read(0, MemorySegment.ofArray(content));
    return content;
  }

  private static void assertSameOutside(byte[] model, byte[] now, int offset, int length) {
    byte[] expected = model.clone();
    System.arraycopy(now, offset, expected, offset, length);
    assertArrayEquals(expected, now);
  }

  /** The process ends now: what is in the file. */
  private static void check(SparseStorage file, byte[] flushed, boolean[] changed)
      throws IOException {
    try (Qcow2Image left = Qcow2Image.open(file.copy(), null, false)) {
      CheckReport report = left.check(false, Progress.NONE);
      assertEquals(0, report.corruptions(), () -> report.findings().toString());
      byte[] now = read(left);
      for (int i = 0; i < SIZE; i++) {
        if (!changed[i]) {
          assertEquals(flushed[i], now[i], "byte " + i);
        }
      }
    }
  }

  @TempDir Path folder;

  private static int run(String... command) throws Exception {
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    return process.waitFor();
  }

  /** The real thing, where the user may mount. */
  @ParameterizedTest
  @EnumSource
  void fullFileSystemIsAnErrorAndNoMore(ImageFormat format) throws Exception {
    String mount = Files.createDirectory(folder.resolve("small")).toString();
    assumeTrue(Files.isExecutable(Path.of("/bin/mount")), "there is no mount(8)");
    assumeTrue(
        run("/bin/mount", "-t", "tmpfs", "-o", "size=6m", "none", mount) == 0,
        "this user may not mount");
    try {
      Path image = Path.of(mount, "disk");
      byte[] first = new byte[2 << 20];
      new Random(1).nextBytes(first);
      byte[] back = new byte[first.length];
      try (DiskImage disk = Images.create(image, format, 64 << 20, Qcow2Layout.DEFAULT)) {
        disk.write(0, MemorySegment.ofArray(first));
        disk.flush();
        ImageException e =
            assertThrows(
                ImageException.class,
                () -> {
                  for (long at = 10 << 20; ; at += first.length) {
                    disk.write(at, MemorySegment.ofArray(first));
                  }
                });
        assertEquals(Trouble.NO_SPACE, e.trouble());
        assertEquals(2, (e.getMessage() + ".").split(image.toString(), -1).length);
        disk.read(0, MemorySegment.ofArray(back));
        assertArrayEquals(first, back);
        assertEquals(0, run("/bin/mount", "-o", "remount,size=64m", mount));
        disk.write(10 << 20, MemorySegment.ofArray(first));
      }
      try (DiskImage disk =
          Images.open(image, Images.How.READING.as(java.util.Optional.of(format)))) {
        disk.read(10 << 20, MemorySegment.ofArray(back));
        assertArrayEquals(first, back);
        if (format == ImageFormat.QCOW2) {
          assertTrue(disk.check(false, Progress.NONE).corruptions() == 0);
        }
      }
    } finally {
      run("/bin/umount", mount);
    }
  }

  @Test
  void convertToAFullFileSystemIsAnError() throws Exception {
    Path source = folder.resolve("source");
    byte[] bytes = new byte[8 << 20];
    new Random(1).nextBytes(bytes);
    Files.write(source, bytes);
    String mount = Files.createDirectory(folder.resolve("small")).toString();
    assumeTrue(
        run("/bin/mount", "-t", "tmpfs", "-o", "size=4m", "none", mount) == 0,
        "this user may not mount");
    try (DiskImage from = Images.open(source, Images.How.READING)) {
      for (ImageFormat format : ImageFormat.values()) {
        Path image = Path.of(mount, format.toString());
        try (DiskImage to = Images.create(image, format, bytes.length, Qcow2Layout.DEFAULT)) {
          ImageException e =
              assertThrows(
                  ImageException.class,
                  () -> dev.bothy.image.Conversion.plain(from, to, Progress.NONE));
          assertEquals(Trouble.NO_SPACE, e.trouble());
        } catch (ImageException e) {
          // What is left cannot be closed without room either.
          assertEquals(Trouble.NO_SPACE, e.trouble());
        }
        Files.delete(image);
      }
    } finally {
      run("/bin/umount", mount);
    }
  }
}
