package dev.bothy.image.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.image.DiskImage;
import dev.bothy.image.ImageFormat;
import dev.bothy.image.Images;
import dev.bothy.image.Progress;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a qcow2 image takes on the host's disk. */
class Qcow2RoomTest {
  private static final int SIZE = 8 << 20;

  @TempDir Path folder;

  private static byte[] random() {
    byte[] bytes = new byte[SIZE];
    new Random(1).nextBytes(bytes);
    return bytes;
  }

  private DiskImage full() throws IOException {
    DiskImage disk =
        Images.create(folder.resolve("disk"), ImageFormat.QCOW2, SIZE, Qcow2Layout.DEFAULT);
    disk.write(0, MemorySegment.ofArray(random()));
    disk.flush();
    assumeTrue(disk.info().allocated() >= SIZE, "this host does not say what a file takes");
    return disk;
  }

  @Test
  void whatTheGuestDiscardsIsTheHostsAgain() throws IOException {
    try (DiskImage disk = full()) {
      long before = disk.info().allocated();
      disk.discard(0, SIZE / 2);
      disk.writeZeroes(SIZE / 2, SIZE / 4, true);
      disk.flush();
      long left = disk.info().allocated();
      assumeTrue(left != before, "this file system makes no holes");
      assertTrue(left <= before - SIZE * 3 / 4, "takes " + left + " of " + before);
      byte[] read = new byte[SIZE];
      disk.read(0, MemorySegment.ofArray(read));
      byte[] expected = random();
      java.util.Arrays.fill(expected, 0, SIZE * 3 / 4, (byte) 0);
      assertArrayEquals(expected, read);
      assertTrue(disk.check(false, Progress.NONE).sound());
    }
  }

  @Test
  void clustersThatWereWrittenAfterADiscardAreThere() throws IOException {
    try (DiskImage disk = full()) {
      disk.discard(0, SIZE);
      disk.flush();
      disk.write(100, MemorySegment.ofArray(new byte[] {1, 2, 3}));
      disk.flush();
      byte[] read = new byte[104];
      disk.read(0, MemorySegment.ofArray(read));
      byte[] expected = new byte[104];
      System.arraycopy(new byte[] {1, 2, 3}, 0, expected, 100, 3);
      assertArrayEquals(expected, read);
      assertEquals(SIZE, disk.zeroes(65_536, SIZE - 65_536) + 65_536);
    }
  }

  @Test
  void deletedSnapshotsGiveTheirRoomBack() throws IOException {
    try (DiskImage disk = full()) {
      long before = disk.info().allocated();
      disk.createSnapshot("one");
      disk.write(0, MemorySegment.ofArray(new byte[SIZE / 2]));
      disk.flush();
      long both = disk.info().allocated();
      assertTrue(both >= before + SIZE / 2, "takes " + both);
      disk.deleteSnapshot("one");
      long left = disk.info().allocated();
      assumeTrue(left != both, "this file system makes no holes");
      assertTrue(left <= before + (1 << 20), "takes " + left + " of " + both);
    }
  }
}
