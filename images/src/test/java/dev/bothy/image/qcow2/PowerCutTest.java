package dev.bothy.image.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.bothy.image.CheckReport;
import dev.bothy.image.Progress;
import dev.bothy.image.Snapshot;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Cuts the power at random points of random work, keeps any of the sectors that were not synced,
 * and looks at what is left: nothing that was flushed is lost, nothing is corrupt.
 *
 * <p>{@code -Dbothy.cuts=N} makes it N cuts a kind of image.
 */
class PowerCutTest {
  private static final int SIZE = 200 << 10;
  private static final int OPERATIONS = 60;
  private static final int SECTOR = 512;
  private static final int CUTS = Integer.getInteger("bothy.cuts", 400);
  private static final int CUTS_A_RUN = 100;

  /** What the disk contained after an operation, which ended with that many events. */
  private record Version(byte[] content, int events, boolean durable) {}

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
  void nothingFlushedIsLostAndNothingIsCorrupt(Qcow2Layout layout) throws IOException {
    for (int seed = 0; seed * CUTS_A_RUN < CUTS; seed++) {
      SparseStorage empty = new SparseStorage();
      layout.write(empty, SIZE);
      PowerCut file = new PowerCut(empty);
      Workload work = new Workload(seed, new byte[SIZE]);
      List<Version> versions = work(file, work);
      Random random = new Random(~seed);
      int[] cuts = random.ints(CUTS_A_RUN, 0, file.events() + 1).sorted().toArray();
      for (int cut : cuts) {
        SparseStorage left = file.cut(cut, random);
        try {
          check(left, cut, versions, work);
        } catch (IOException | AssertionError e) {
          fail("seed " + seed + ", cut after " + cut + " of " + file.events() + " events", e);
        }
      }
    }
  }

  private static List<Version> work(PowerCut file, Workload work) throws IOException {
    List<Version> versions = new ArrayList<>();
    versions.add(new Version(work.model.clone(), 0, true));
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      for (int i = 0; i < OPERATIONS; i++) {
        boolean durable = work.random().nextInt(6) == 0;
        if (durable) {
          disk.flush();
        } else {
          durable = work.changeWithSnapshots(disk);
        }
        versions.add(new Version(work.model.clone(), file.events(), durable));
      }
    }
    return versions;
  }

  private static void check(SparseStorage left, int cut, List<Version> versions, Workload work)
      throws IOException {
    Header header = Header.read(left);
    try (Qcow2Image disk = Qcow2Image.open(left.readOnly(true), null, false)) {
      CheckReport report = disk.check(false, Progress.NONE);
      if (!header.dirty()) {
        assertEquals(0, report.corruptions(), report.findings().toString());
      }
    }
    left.readOnly(false);
    try (Qcow2Image disk = Qcow2Image.open(left, null, false)) {
      compare(disk, cut, versions);
      for (Snapshot snapshot : disk.snapshots()) {
        disk.applySnapshot(snapshot.name());
        byte[] content = new byte[SIZE];
        disk.read(0, MemorySegment.ofArray(content));
        assertArrayEquals(work.contentOf(snapshot.name()), content, snapshot.name());
      }
      // Going on must not make of leaks what is worse.
      byte[] content = new byte[SIZE];
      disk.read(0, MemorySegment.ofArray(content));
      Workload more = new Workload(cut, content);
      for (int i = 0; i < 5; i++) {
        more.change(disk);
      }
      more.compare(disk);
    }
    try (Qcow2Image disk = Qcow2Image.open(left, null, false)) {
      CheckReport report = disk.check(true, Progress.NONE);
      assertEquals(0, report.corruptions(), report.findings().toString());
      assertTrue(report.sound());
      assertEquals(List.of(), disk.check(false, Progress.NONE).findings());
    }
  }

  /** Each sector is what it was when all was durable last, or what an operation since then made. */
  private static void compare(Qcow2Image disk, int cut, List<Version> versions) throws IOException {
    byte[] content = new byte[SIZE];
    disk.read(0, MemorySegment.ofArray(content));
    int first = 0;
    int last = 0;
    for (int i = 0; i < versions.size(); i++) {
      if (versions.get(i).events() <= cut && versions.get(i).durable()) {
        first = i;
      }
      last = i;
      if (versions.get(i).events() > cut) {
        break;
      }
    }
    for (int sector = 0; sector < SIZE; sector += SECTOR) {
      int from = sector;
      boolean known =
          versions.subList(first, last + 1).stream()
              .anyMatch(
                  v ->
                      Arrays.equals(
                          content, from, from + SECTOR, v.content(), from, from + SECTOR));
      assertTrue(known, "sector at " + sector + " is what nobody wrote since the last flush");
    }
  }
}
