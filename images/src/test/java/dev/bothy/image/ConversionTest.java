package dev.bothy.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.bothy.image.qcow2.Qcow2Layout;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
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

  /** A disk that cannot be read, for a reason nobody thought of. */
  private static final class Broken implements BlockDevice {
    private final MemoryDevice disk = new MemoryDevice(1 << 20);

    @Override
    public void read(long offset, List<MemorySegment> targets) {
      throw new IndexOutOfBoundsException("a mistake");
    }

    @Override
    public long size() {
      return disk.size();
    }

    @Override
    public int blockSize() {
      return disk.blockSize();
    }

    @Override
    public int optimalSize() {
      return disk.optimalSize();
    }

    @Override
    public boolean readOnly() {
      return true;
    }

    @Override
    public void write(long offset, List<MemorySegment> sources) {}

    @Override
    public void flush() {}

    @Override
    public void discard(long offset, long length) {}

    @Override
    public void writeZeroes(long offset, long length, boolean release) {}

    @Override
    public void close() {}
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
