package dev.bothy.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

class RawImageTest {
  @TempDir Path folder;

  private static void assertTrouble(Trouble trouble, Executable call) {
    ImageException e = assertThrows(ImageException.class, call);
    assertEquals(trouble, e.trouble(), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }

  private static byte[] pattern(int length) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (i * 31 + 7);
    }
    return bytes;
  }

  @Test
  void scatteredBuffersOfBothKindsArriveInOrder() throws IOException {
    Path file = folder.resolve("disk.img");
    byte[] data = pattern(5000);
    try (RawImage disk = RawImage.create(file, 1 << 20);
        Arena arena = Arena.ofShared()) {
      MemorySegment direct = arena.allocate(3000);
      MemorySegment.copy(data, 0, direct, java.lang.foreign.ValueLayout.JAVA_BYTE, 0, 3000);
      MemorySegment rest = MemorySegment.ofArray(Arrays.copyOfRange(data, 3000, 5000));
      disk.write(777, List.of(direct, rest));
      byte[] first = new byte[1];
      MemorySegment second = arena.allocate(4999);
      disk.read(777, List.of(MemorySegment.ofArray(first), second));
      assertEquals(data[0], first[0]);
      assertEquals(-1, second.mismatch(MemorySegment.ofArray(data).asSlice(1)));
    }
    byte[] whole = Files.readAllBytes(file);
    assertEquals(1 << 20, whole.length);
    assertArrayEquals(data, Arrays.copyOfRange(whole, 777, 5777));
    assertEquals(0, whole[776]);
    assertEquals(0, whole[5777]);
  }

  @Test
  void zeroedRangesReadAsZerosAndNothingBesideThem() throws IOException {
    try (RawImage disk = RawImage.create(folder.resolve("disk.img"), 300_000)) {
      byte[] ones = new byte[300_000];
      Arrays.fill(ones, (byte) 1);
      for (boolean release : new boolean[] {false, true}) {
        disk.write(0, MemorySegment.ofArray(ones.clone()));
        disk.writeZeroes(1000, 250_001, release);
        byte[] read = new byte[300_000];
        disk.read(0, MemorySegment.ofArray(read));
        byte[] expected = ones.clone();
        Arrays.fill(expected, 1000, 251_001, (byte) 0);
        assertArrayEquals(expected, read);
      }
    }
  }

  @Test
  void whatTheGuestDiscardsIsTheHostsAgain() throws IOException {
    Path file = folder.resolve("disk.img");
    try (RawImage disk = RawImage.create(file, 4 << 20)) {
      assumeTrue(disk.info().allocated() >= 0, "this host does not say what a file takes");
      disk.write(0, MemorySegment.ofArray(pattern(4 << 20)));
      disk.flush();
      long full = disk.info().allocated();
      assertTrue(full >= 4 << 20, "takes " + full);
      disk.discard(100, 1 << 20);
      disk.writeZeroes(2 << 20, 1 << 20, true);
      disk.flush();
      long left = disk.info().allocated();
      assumeTrue(left != full, "this file system makes no holes");
      assertTrue(left <= full - (2 << 20) + 8192, "takes " + left);
      assertEquals(4 << 20, Files.size(file));
      assertEquals(1 << 20, disk.zeroes(2 << 20, 2 << 20));
      assertEquals(0, disk.zeroes(3 << 20, 1 << 20));
      byte[] read = new byte[4096];
      disk.read(0, MemorySegment.ofArray(read));
      assertArrayEquals(pattern(4096), read);
    }
  }

  @Test
  void aFlushThatFailedIsNotForgottenWhenTheNextOneSucceeds() throws IOException {
    FailingSync storage = new FailingSync();
    RawImage disk = RawImage.of(storage);
    disk.write(0, MemorySegment.ofArray(pattern(512)));
    disk.flush();
    storage.failing = true;
    assertTrouble(Trouble.LOST, disk::flush);
    storage.failing = false;
    assertTrouble(Trouble.LOST, disk::flush);
    assertTrouble(Trouble.LOST, disk::close);
    assertTrue(storage.closed);
  }

  /** A file that the host may fail to make durable: once it has said so, it knows of no error. */
  private static final class FailingSync implements Storage {
    boolean failing;
    boolean closed;

    @Override
    public long size() {
      return 4096;
    }

    @Override
    public boolean readOnly() {
      return false;
    }

    @Override
    public String name() {
      return "disk";
    }

    @Override
    public void read(long position, List<MemorySegment> targets) {}

    @Override
    public void write(long position, List<MemorySegment> sources) {}

    @Override
    public void sync() throws IOException {
      if (failing) {
        throw new ImageException(Trouble.HOST_ERROR, "disk: Input/output error");
      }
    }

    @Override
    public void resize(long size) {}

    @Override
    public boolean punch(long position, long length) {
      return true;
    }

    @Override
    public void close() {
      closed = true;
    }
  }

  @Test
  void rangesOutsideTheDiskAreRefusedAndChangeNothing() throws IOException {
    Path file = folder.resolve("disk.img");
    try (RawImage disk = RawImage.create(file, 4096)) {
      MemorySegment buffer = MemorySegment.ofArray(pattern(512));
      assertTrouble(Trouble.OUT_OF_RANGE, () -> disk.write(3585, buffer));
      assertTrouble(Trouble.OUT_OF_RANGE, () -> disk.write(-1, buffer));
      assertTrouble(Trouble.OUT_OF_RANGE, () -> disk.write(Long.MAX_VALUE, buffer));
      assertTrouble(Trouble.OUT_OF_RANGE, () -> disk.read(4096, buffer));
      assertTrouble(Trouble.OUT_OF_RANGE, () -> disk.discard(0, 4097));
      assertTrouble(Trouble.OUT_OF_RANGE, () -> disk.writeZeroes(1, Long.MAX_VALUE, true));
    }
    assertArrayEquals(new byte[4096], Files.readAllBytes(file));
  }

  @Test
  void whatIsOpenForWritingCannotBeOpenedAgain() throws IOException {
    Path file = folder.resolve("disk.img");
    Path link = Files.createSymbolicLink(folder.resolve("link"), file);
    try (RawImage _ = RawImage.create(file, 4096)) {
      assertTrouble(Trouble.IN_USE, () -> RawImage.open(file, false));
      assertTrouble(Trouble.IN_USE, () -> RawImage.open(file, true));
      assertTrouble(Trouble.IN_USE, () -> RawImage.open(link, true));
    }
    try (RawImage one = RawImage.open(file, true)) {
      try (RawImage two = RawImage.open(link, true)) {
        assertTrouble(Trouble.READ_ONLY, () -> two.discard(0, 1));
        assertTrouble(Trouble.IN_USE, () -> RawImage.open(file, false));
      }
      assertTrouble(Trouble.IN_USE, () -> RawImage.open(file, false));
      one.read(0, MemorySegment.ofArray(new byte[1]));
    }
    RawImage.open(file, false).close();
  }

  @Test
  void otherProcessesSeeTheLocks() throws Exception {
    Path file = folder.resolve("disk.img");
    try (RawImage _ = RawImage.create(file, 4096)) {
      assertEquals(Trouble.IN_USE.name(), inAnotherProcess(file, true, "on"));
      assertEquals(Trouble.IN_USE.name(), inAnotherProcess(file, true, "off"));
    }
    try (RawImage _ = RawImage.open(file, true)) {
      RawImage.open(file, true).close();
      assertEquals(Trouble.IN_USE.name(), inAnotherProcess(file, false, "on"));
      assertEquals("opened", inAnotherProcess(file, true, "off"));
    }
    assertEquals("opened", inAnotherProcess(file, false, "on"));
  }

  private static String inAnotherProcess(Path file, boolean readOnly, String calls)
      throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "--enable-native-access=ALL-UNNAMED",
                "-Dbothy.native=" + calls,
                "-cp",
                System.getProperty("java.class.path"),
                OpenOnce.class.getName(),
                file.toString(),
                Boolean.toString(readOnly))
            .redirectErrorStream(true)
            .start();
    String said = new String(process.getInputStream().readAllBytes()).strip();
    process.waitFor();
    return said;
  }

  /** Opens an image and says how that went. */
  static final class OpenOnce {
    public static void main(String[] args) throws IOException {
      try {
        RawImage.open(Path.of(args[0]), Boolean.parseBoolean(args[1])).close();
        System.out.println("opened");
      } catch (ImageException e) {
        System.out.println(e.trouble());
      }
    }
  }

  @Test
  void interruptFromBeforeIsPutOff() throws IOException {
    Path file = folder.resolve("disk");
    byte[] now = new byte[3];
    Thread.currentThread().interrupt();
    try (RawImage image = RawImage.create(file, 4096)) {
      image.write(7, MemorySegment.ofArray(new byte[] {1, 2, 3}));
      image.flush();
      image.read(7, MemorySegment.ofArray(now));
      image.resize(8192);
    } finally {
      assertTrue(Thread.interrupted());
    }
    assertArrayEquals(new byte[] {1, 2, 3}, now);
    assertEquals(8192, Files.size(file));
  }

  @Test
  void whatIsNoFileIsOneLine() throws IOException {
    Path file = folder.resolve("disk.img");
    assertTrouble(Trouble.NOT_FOUND, () -> RawImage.open(file, true));
    assertTrouble(Trouble.REFUSED, () -> RawImage.open(folder, true));
    assertTrouble(Trouble.NOT_FOUND, () -> RawImage.create(folder.resolve("no/disk.img"), 1));
    Files.createFile(file);
    assertTrouble(Trouble.REFUSED, () -> RawImage.create(file, 4096));
    Files.createSymbolicLink(folder.resolve("dangling"), folder.resolve("nowhere"));
    assertTrouble(Trouble.NOT_FOUND, () -> RawImage.open(folder.resolve("dangling"), true));
    assertTrue(Files.exists(file));
  }
}
