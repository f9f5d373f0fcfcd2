package dev.bothy.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.image.qcow2.Qcow2Layout;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Copies of disks. */
class ConversionTest {
  @TempDir Path folder;

  @Test
  void rawCopyHasTheContentAndHolesForZeros() throws IOException {
    byte[] content = new byte[5 << 20];
    new Random(1).nextBytes(content);
    java.util.Arrays.fill(content, 1 << 20, 3 << 20, (byte) 0);
    Path copy = folder.resolve("copy");
    try (DiskImage target =
        Images.create(copy, ImageFormat.RAW, content.length, Qcow2Layout.DEFAULT)) {
      Conversion.plain(new MemoryDevice(content, true), target, Progress.NONE);
    }
    assertArrayEquals(content, Files.readAllBytes(copy));
  }

  /** Counts what is read of a disk. */
  private static long readToConvert(DiskImage disk, Path copy) throws IOException {
    AtomicLong read = new AtomicLong();
    BlockDevice counting =
        (BlockDevice)
            Proxy.newProxyInstance(
                ConversionTest.class.getClassLoader(),
                new Class<?>[] {BlockDevice.class},
                (_, method, arguments) -> {
                  if (method.getName().equals("read")) {
                    read.addAndGet(((MemorySegment) arguments[1]).byteSize());
                  }
                  return method.invoke(disk, arguments);
                });
    try (DiskImage target =
        Images.create(copy, ImageFormat.RAW, disk.size(), Qcow2Layout.DEFAULT)) {
      Conversion.plain(counting, target, Progress.NONE);
    }
    return read.get();
  }

  @Test
  void holesAreNeitherReadNorWritten() throws IOException {
    byte[] data = new byte[1 << 20];
    new Random(2).nextBytes(data);
    Path sparse = folder.resolve("sparse");
    try (DiskImage disk = Images.create(sparse, ImageFormat.RAW, 8L << 30, Qcow2Layout.DEFAULT)) {
      disk.write(5L << 30, MemorySegment.ofArray(data));
      assumeTrue(disk.zeroes(0, 1 << 20) > 0, "this file system tells of no holes");
    }
    Path copy = folder.resolve("copy");
    try (DiskImage disk = Images.open(sparse, Images.How.READING)) {
      long read = readToConvert(disk, copy);
      assertTrue(read >= 1 << 20 && read <= 4 << 20, "read " + read);
    }
    try (DiskImage disk = Images.open(copy, Images.How.READING)) {
      assertEquals(8L << 30, disk.size());
      assertTrue(disk.info().allocated() <= 2 << 20, "takes " + disk.info().allocated());
      byte[] back = new byte[data.length];
      disk.read(5L << 30, MemorySegment.ofArray(back));
      assertArrayEquals(data, back);
    }
  }

  /** A disk that cannot be read, for a reason nobody thought of. */
  private static final class Broken extends MemoryDevice {
    Broken() {
      super(1 << 20);
    }

    @Override
    public void read(long offset, List<MemorySegment> targets) {
      throw new IndexOutOfBoundsException("a mistake");
    }
  }

  @Test
  void mistakeWhileReadingEndsTheCopy() throws IOException {
    Path copy = folder.resolve("copy");
    try (DiskImage target = Images.create(copy, ImageFormat.RAW, 1 << 20, Qcow2Layout.DEFAULT)) {
      IllegalStateException e =
          assertThrows(
              IllegalStateException.class,
              () -> Conversion.plain(new Broken(), target, Progress.NONE));
      assertEquals("a mistake", e.getCause().getMessage());
    }
  }
}
