package dev.bothy.image.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.image.CheckReport;
import dev.bothy.image.ImageException;
import dev.bothy.image.Progress;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Tables of qcow2 images at their edges, in the file and when the host fails. */
class TablesTest {
  private static final int CLUSTER = 4096;
  private static final Qcow2Layout LAYOUT =
      new Qcow2Layout(3, CLUSTER, 16, false, false, false, "", "");

  @Test
  void refcountBlockForOthersIsCountedByAnotherBlock() throws IOException {
    SparseStorage file = new SparseStorage();
    new Qcow2Layout(3, 512, 64, false, false, false, "", "").write(file, 1 << 20);
    Header header = Header.read(file);
    Refcounts counts = new Refcounts(file, header, () -> {});
    int counted = 1 << header.geometry().blockBits();
    long cluster = 5L * counted;
    long place = 8L * counted - 1;
    long end = counts.coverFrom(cluster, place);
    assertTrue(counts.covers(cluster) && counts.covers(place));
    assertNotEquals(counts.table()[5], counts.table()[7]);
    for (long c = place; c < end; c++) {
      assertTrue(counts.covers(c));
      assertEquals(1, counts.get(c), "cluster " + c);
    }
    assertEquals(0, counts.get(cluster));
    // Refused if a block stood there twice.
    assertArrayEquals(counts.table(), new Refcounts(file, header, () -> {}).table());
  }

  @Test
  void blocksBehindTheFilesEndAreNotWalked() throws IOException {
    SparseStorage file = new SparseStorage();
    new Qcow2Layout(3, 2 << 20, 1, false, false, false, "", "").write(file, 1 << 20);
    int blocks = (2 << 20) / 8 - 1;
    byte[] table = new byte[8 * blocks];
    for (int i = 0; i < blocks; i++) {
      BigEndian.putLong(table, 8 * i, 1000L + i << 21);
    }
    // To walk each of the 2^24 counts of each would take days.
    file.write(Header.read(file).reftableOffset() + 8, MemorySegment.ofArray(table));
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      assertEquals(blocks, disk.check(false, Progress.NONE).corruptions());
    }
  }

  @Test
  void aMillionFindingsTakeLittleMemory() throws Exception {
    SparseStorage file = new SparseStorage();
    new Qcow2Layout(3, 128 << 10, 1, false, false, false, "", "").write(file, 1 << 20);
    byte[] counts = new byte[(128 << 10) - 16];
    Arrays.fill(counts, (byte) -1);
    long block = new Refcounts(file, Header.read(file), () -> {}).table()[0];
    file.write(block + 16, MemorySegment.ofArray(counts));
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      long before = allocatedBytes();
      CheckReport report = disk.check(false, Progress.NONE);
      long taken = allocatedBytes() - before;
      assertEquals(8L * counts.length, report.leaks());
      assertTrue(report.findings().size() < 1000);
      assertTrue(taken < 256 << 20, "took " + taken + " bytes");
    }
  }

  /** Bytes that this thread has allocated; the room itself reads no module that knows. */
  private static long allocatedBytes() throws ReflectiveOperationException {
    Object threads =
        Class.forName("java.lang.management.ManagementFactory")
            .getMethod("getThreadMXBean")
            .invoke(null);
    return (long)
        Class.forName("com.sun.management.ThreadMXBean")
            .getMethod("getCurrentThreadAllocatedBytes")
            .invoke(threads);
  }

  @Test
  void contentDoesNotReachIntoTheTablesBehindIt() throws IOException {
    SparseStorage file = new SparseStorage();
    LAYOUT.write(file, 16 * CLUSTER);
    byte[] data = new byte[2 * CLUSTER];
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      disk.write(0, MemorySegment.ofArray(data));
    }
    byte[] bytes = file.bytes();
    long l1 = BigEndian.getLong(bytes, Header.L1_OFFSET);
    int l2 = (int) (BigEndian.getLong(bytes, (int) l1) & ClusterMap.OFFSET);
    BigEndian.putLong(bytes, l2, l1 - CLUSTER | ClusterMap.COPIED);
    BigEndian.putLong(bytes, l2 + 8, l1 | ClusterMap.COPIED);
    SparseStorage hostile = SparseStorage.of(bytes);
    try (Qcow2Image disk = Qcow2Image.open(hostile, null, false)) {
      assertThrows(ImageException.class, () -> disk.write(0, MemorySegment.ofArray(data)));
    }
    assertEquals(l2, (int) (BigEndian.getLong(hostile.bytes(), (int) l1) & ClusterMap.OFFSET));
  }

  @Test
  void tableOfADiskWithoutBytesMayBeSaidToLieAnywhere() throws IOException {
    SparseStorage file = new SparseStorage();
    LAYOUT.write(file, 0);
    byte[] bytes = file.bytes();
    BigEndian.putInt(bytes, Header.L1_SIZE, 0);
    BigEndian.putLong(bytes, Header.L1_OFFSET, Long.MIN_VALUE + CLUSTER);
    try (Qcow2Image disk = Qcow2Image.open(SparseStorage.of(bytes), null, false)) {
      assertEquals(0, disk.size());
    }
  }

  /**
   * Version 2 has no mark for what is not finished; and flags in a snapshot's tables may be old.
   */
  @Test
  void aHostThatFailsWhileSnapshotsChangeLeavesASoundImage() throws IOException {
    SparseStorage file = new SparseStorage();
    new Qcow2Layout(2, CLUSTER, 16, false, false, false, "", "").write(file, 16 * CLUSTER);
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      disk.write(0, MemorySegment.ofArray(new byte[] {1}));
      disk.createSnapshot("a");
      disk.write(0, MemorySegment.ofArray(new byte[] {2}));
    }
    byte[] bytes = file.bytes();
    int l1 = (int) SnapshotTable.read(file, Header.read(file)).getFirst().l1Offset();
    int l2 = (int) (BigEndian.getLong(bytes, l1) & ClusterMap.OFFSET);
    BigEndian.putLong(bytes, l1, BigEndian.getLong(bytes, l1) | ClusterMap.COPIED);
    BigEndian.putLong(bytes, l2, BigEndian.getLong(bytes, l2) | ClusterMap.COPIED);
    for (int n = 0; n < 40; n++) {
      for (boolean apply : new boolean[] {true, false}) {
        ForkedStorage forked = new ForkedStorage(ForkedStorage.Content.of(bytes));
        forked.failAfter(n, true);
        try (Qcow2Image disk = Qcow2Image.open(forked, null, false)) {
          if (apply) {
            disk.applySnapshot("a");
          } else {
            disk.createSnapshot("b");
          }
        } catch (ImageException e) {
          // As the test wants it.
        }
        forked.heal();
        try (Qcow2Image disk = Qcow2Image.open(forked.readOnly(true), null, false)) {
          CheckReport report = disk.check(false, Progress.NONE);
          assertEquals(0, report.corruptions(), () -> report.findings().toString());
        }
      }
    }
  }

  @Test
  void zstdFramesWithAnyHeaderAreContentOrDamage() throws IOException {
    SparseStorage file = new SparseStorage();
    new Qcow2Layout(3, CLUSTER, 16, false, false, true, "", "").write(file, 1 << 20);
    int damaged = 0;
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      for (int descriptor = 0; descriptor < 256; descriptor++) {
        byte[] frame = new byte[64];
        BigEndian.putInt(frame, 0, 0x28b52ffd);
        frame[4] = (byte) descriptor;
        // A window of 2^31 bytes.
        frame[5] = (byte) 0xa8;
        // Behind the shortest header, an empty block that is the last.
        frame[6] = 1;
        disk.writeCompressed((long) descriptor * CLUSTER, frame);
        try {
          disk.read((long) descriptor * CLUSTER, MemorySegment.ofArray(new byte[CLUSTER]));
        } catch (ImageException e) {
          damaged++;
        }
      }
    }
    assertEquals(256, damaged);
  }

  /** An image with content, of which one word is another. */
  private interface Damage {
    void put(byte[] bytes, int l1, int l2);
  }

  private static SparseStorage damaged(Damage damage) throws IOException {
    SparseStorage file = new SparseStorage();
    LAYOUT.write(file, 16 * CLUSTER);
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      disk.write(0, MemorySegment.ofArray(new byte[2 * CLUSTER]));
      disk.createSnapshot("one");
      disk.createSnapshot("two");
      disk.write(0, MemorySegment.ofArray(new byte[2 * CLUSTER]));
    }
    byte[] bytes = file.bytes();
    int l1 = (int) BigEndian.getLong(bytes, Header.L1_OFFSET);
    damage.put(bytes, l1, (int) (BigEndian.getLong(bytes, l1) & ClusterMap.OFFSET));
    return SparseStorage.of(bytes);
  }

  @Test
  void nothingIsWrittenBehindTheEndOfTheFile() throws IOException {
    long far = 1L << 50 | ClusterMap.COPIED;
    int firstBlock = CLUSTER;
    List<SparseStorage> files =
        List.of(
            damaged((bytes, _, l2) -> BigEndian.putLong(bytes, l2, far)),
            damaged((bytes, l1, _) -> BigEndian.putLong(bytes, l1, far)),
            damaged((bytes, _, _) -> BigEndian.putLong(bytes, firstBlock, 1L << 50)));
    for (SparseStorage file : files) {
      try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
        byte[] data = new byte[16 * CLUSTER];
        assertThrows(ImageException.class, () -> disk.write(0, MemorySegment.ofArray(data)));
      }
      assertTrue(file.size() < 1 << 20, "it has " + file.size() + " bytes");
    }
  }

  @Test
  void refcountBlockWhereNoFileReachesIsRefused() throws IOException {
    SparseStorage file = damaged((bytes, _, _) -> BigEndian.putLong(bytes, CLUSTER, 1L << 63));
    try (Qcow2Image disk = Qcow2Image.open(file.readOnly(true), null, false)) {
      assertThrows(ImageException.class, () -> disk.check(false, Progress.NONE));
    }
  }

  @Test
  void checkFindsTablesThatAreSomethingElseToo() throws IOException {
    SparseStorage shared =
        damaged(
            (bytes, _, _) -> {
              int first = (int) BigEndian.getLong(bytes, Header.SNAPSHOTS_OFFSET);
              int second = first + (40 + 16 + 1 + 3 + 7 & -8);
              BigEndian.putLong(bytes, second, BigEndian.getLong(bytes, first));
            });
    int block = 2 * CLUSTER;
    SparseStorage counted =
        damaged((bytes, l1, _) -> BigEndian.putLong(bytes, l1, block | ClusterMap.COPIED));
    for (SparseStorage file : List.of(shared, counted)) {
      try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
        String found = disk.check(true, Progress.NONE).findings().toString();
        assertTrue(found.contains(" too,") || found.contains(" too]"), found);
      }
    }
  }

  @Test
  void errorsAreOneLineWhateverTheImageSays() {
    ImageException e = new ImageException(ImageException.Trouble.CORRUPT, "a\nb\u001b[2J\u0085");
    assertEquals("a?b?[2J?", e.getMessage());
  }

  /** A file whose first sector cannot be written for a while. */
  private static final class StubbornStorage extends SparseStorage {
    private int refused;

    @Override
    public synchronized void write(long position, List<MemorySegment> sources) throws IOException {
      if (position == 0 && refused-- == 0) {
        throw new ImageException(ImageException.Trouble.HOST_ERROR, "not now");
      }
      super.write(position, sources);
    }
  }

  @Test
  void nothingIsWrittenAfterAHeaderThatMovesTablesWasNot() throws IOException {
    StubbornStorage file = new StubbornStorage();
    file.refused = -1;
    LAYOUT.write(file, CLUSTER);
    Qcow2Image disk = Qcow2Image.open(file, null, false);
    file.refused = 0;
    long many = 8L * CLUSTER << Header.read(file).geometry().l1Bits();
    assertThrows(ImageException.class, () -> disk.resize(many));
    byte[] left = file.bytes();
    assertThrows(ImageException.class, () -> disk.write(0, MemorySegment.ofArray(new byte[9])));
    assertThrows(ImageException.class, disk::close);
    assertArrayEquals(left, file.bytes());
  }

  @Test
  void snapshotThatBrokeOffIsCountedAnew() throws IOException {
    StubbornStorage file = new StubbornStorage();
    file.refused = -1;
    LAYOUT.write(file, 16 * CLUSTER);
    Qcow2Image disk = Qcow2Image.open(file, null, false);
    byte[] data = {1, 2, 3};
    disk.write(0, MemorySegment.ofArray(data));
    // The first write of the header says that the image is dirty, the second changes over.
    file.refused = 1;
    assertThrows(ImageException.class, () -> disk.createSnapshot("one"));
    assertThrows(ImageException.class, disk::close);
    assertTrue(Header.read(file).dirty());
    try (Qcow2Image again = Qcow2Image.open(file, null, false)) {
      assertEquals(List.of(), again.snapshots());
      assertEquals(List.of(), again.check(false, Progress.NONE).findings());
      byte[] now = new byte[3];
      again.read(0, MemorySegment.ofArray(now));
      assertArrayEquals(data, now);
    }
  }
}
