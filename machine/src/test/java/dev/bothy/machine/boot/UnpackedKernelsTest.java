package dev.bothy.machine.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class UnpackedKernelsTest {
  @TempDir Path home;

  private final byte[] plain = new byte[3_000_000];
  private UnpackedKernels kernels;

  @BeforeEach
  void start() throws IOException {
    assumeTrue(home.getFileSystem().supportedFileAttributeViews().contains("unix"));
    new Random(1).nextBytes(plain);
    kernels = new UnpackedKernels(home.resolve("kernels"), Duration.ZERO);
    Files.write(home.resolve("kernel"), new byte[] {1, 2, 3});
  }

  private KernelFile packed() throws BootException {
    return KernelFile.open("kernel", home.resolve("kernel"));
  }

  private void keep() throws Exception {
    try (KernelFile file = packed();
        UnpackedKernels.Keeper keeper = kernels.keep(file);
        InputStream in = keeper.listenTo(new ByteArrayInputStream(plain))) {
      // As loaders do: one byte, some skipped, some read, the rest.
      assertEquals(plain[0] & 0xff, in.read());
      in.skipNBytes(200_000);
      in.readNBytes(100);
      in.transferTo(java.io.OutputStream.nullOutputStream());
      keeper.finish();
    }
  }

  private byte[] found() throws Exception {
    try (KernelFile file = packed();
        UnpackedKernels.Kept kept = kernels.find(file)) {
      if (kept == null) {
        return null;
      }
      byte[] bytes = new byte[plain.length];
      kept.read(0, bytes, bytes.length);
      byte[] last = new byte[10];
      assertThrows(IOException.class, () -> kept.read(plain.length - 9, last, 10));
      assertThrows(IOException.class, () -> kept.read(-1, last, 10));
      return bytes;
    }
  }

  private Path kept() throws IOException {
    try (var files = Files.list(home.resolve("kernels"))) {
      return files.findFirst().orElseThrow();
    }
  }

  @Test
  void findsWhatItHasKept() throws Exception {
    assertNull(found());
    keep();
    assertArrayEquals(plain, found());
  }

  @Test
  void fileThatHasChangedIsAnother() throws Exception {
    keep();
    Path path = home.resolve("kernel");
    var time = Files.getLastModifiedTime(path);
    // Longer than the file system's clock takes for a step.
    Thread.sleep(50);
    Files.write(path, new byte[] {1, 2, 4});
    Files.setLastModifiedTime(path, time);
    assertNull(found());
  }

  @Test
  void fileThatHasJustChangedIsNotBelieved() throws Exception {
    UnpackedKernels usual = new UnpackedKernels(home.resolve("kernels"), Duration.ofHours(1));
    try (KernelFile file = packed()) {
      assertNull(usual.keep(file));
      keep();
      assertNull(usual.find(file));
    }
  }

  @Test
  void whatIsNotReadToTheEndIsNotKept() throws Exception {
    try (KernelFile file = packed();
        UnpackedKernels.Keeper keeper = kernels.keep(file);
        InputStream in = keeper.listenTo(new ByteArrayInputStream(plain))) {
      in.readNBytes(1000);
    }
    assertNull(found());
    try (var files = Files.list(home.resolve("kernels"))) {
      assertEquals(0, files.count());
    }
  }

  @Test
  void damagedFilesAreIgnoredAndReplaced() throws Exception {
    keep();
    byte[] good = Files.readAllBytes(kept());
    Random random = new Random(2);
    for (int round = 0; round < 40; round++) {
      byte[] bad = good.clone();
      bad[round < 24 ? round : random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
      Files.write(kept(), bad);
      assertNull(found(), "round " + round);
    }
    for (int length : new int[] {0, 10, good.length - 1}) {
      Files.write(kept(), java.util.Arrays.copyOf(good, length));
      assertNull(found());
    }
    keep();
    assertArrayEquals(plain, found());
  }

  @Test
  void folderThatCannotBeUsedIsNoTrouble() throws Exception {
    Files.write(home.resolve("kernels"), new byte[1]);
    try (KernelFile file = packed()) {
      assertNull(kernels.keep(file));
      assertNull(kernels.find(file));
    }
  }

  @Test
  void kernelIsTheSameFromThePackedFileAndFromTheKeptOne() throws Exception {
    byte[] elf = MadeUpKernel.elf64();
    byte[] packed = MadeUpKernel.gzip(elf);
    ElfImage first;
    try (KernelFile file = packed();
        UnpackedKernels.Keeper keeper = kernels.keep(file);
        KernelPayload payload =
            KernelPayload.open(
                KernelPayload.Format.GZIP, new ByteArrayInputStream(packed), 0, keeper)) {
      first = ElfImage.parse("kernel", payload);
      payload.verify();
      keeper.finish();
    }
    try (KernelFile file = packed();
        UnpackedKernels.Kept kept = kernels.find(file)) {
      byte[] bytes = new byte[elf.length];
      kept.read(0, bytes, bytes.length);
      assertArrayEquals(elf, bytes);
      assertEquals(first, ElfImage.parse("kernel", kept));
    }
  }
}
