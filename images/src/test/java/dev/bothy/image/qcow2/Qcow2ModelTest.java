package dev.bothy.image.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.image.CheckReport;
import dev.bothy.image.Progress;
import java.io.IOException;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Random work on images of every kind, compared with an array of bytes. */
class Qcow2ModelTest {
  private static final int SIZE = 3_000_000 + 1536;

  static Stream<Qcow2Layout> layouts() {
    return Stream.of(
        Qcow2Layout.DEFAULT,
        new Qcow2Layout(2, 4096, 16, false, false, false, "", ""),
        new Qcow2Layout(3, 512, 64, false, false, false, "", ""),
        new Qcow2Layout(3, 1024, 4, false, false, false, "", ""),
        new Qcow2Layout(3, 4096, 8, true, false, false, "", ""),
        new Qcow2Layout(3, 1 << 14, 16, false, true, true, "", ""),
        new Qcow2Layout(3, 1 << 16, 16, true, true, false, "", ""));
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void imageContainsWhatWasWrittenAndChecksSound(Qcow2Layout layout) throws IOException {
    SparseStorage file = new SparseStorage();
    layout.write(file, SIZE);
    Workload work = new Workload(42, new byte[SIZE]);
    for (int round = 0; round < 4; round++) {
      try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
        for (int i = 0; i < 150; i++) {
          work.changeWithSnapshots(disk);
          if (work.random().nextInt(20) == 0) {
            disk.flush();
          }
        }
        work.compare(disk);
      }
      try (Qcow2Image disk = Qcow2Image.open(file.readOnly(true), null, false)) {
        CheckReport report = disk.check(false, Progress.NONE);
        assertEquals(List.of(), report.findings());
        assertTrue(report.sound());
        work.compare(disk);
      }
      file.readOnly(false);
    }
  }
}
