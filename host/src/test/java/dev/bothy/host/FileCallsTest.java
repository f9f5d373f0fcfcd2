package dev.bothy.host;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.Charset;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileCallsTest {
  private static final int MEBIBYTE = 1 << 20;

  @TempDir Path folder;
  private Path path;
  private int file;

  @BeforeEach
  void openFile() {
    assumeTrue(FileCalls.available());
    boolean unicode =
        Charset.forName(System.getProperty("sun.jnu.encoding")).newEncoder().canEncode('ï');
    path = folder.resolve(unicode ? "naïve name" : "naive name");
    file = open(FileCalls.O_RDWR | FileCalls.O_CREAT | FileCalls.O_EXCL);
    assertTrue(file >= 0);
  }

  private int open(int flags) {
    return FileCalls.open(path, flags | FileCalls.O_CLOEXEC, 0600);
  }

  @AfterEach
  void closeFile() {
    if (FileCalls.available()) {
      assertEquals(0, FileCalls.close(file));
      assertEquals(-FileCalls.EBADF, FileCalls.close(file));
    }
  }

  private static MemorySegment bytes(Arena arena, int... values) {
    MemorySegment segment = arena.allocate(values.length);
    for (int i = 0; i < values.length; i++) {
      segment.set(ValueLayout.JAVA_BYTE, i, (byte) values[i]);
    }
    return segment;
  }

  @Test
  void segmentsAreWrittenAndReadInOrder() throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      List<MemorySegment> sources =
          List.of(bytes(arena, 1, 2), bytes(arena, 3), bytes(arena, 4, 5, 6));
      assertEquals(6, FileCalls.write(file, 10, sources));
      assertEquals(1, FileCalls.write(file, 16, bytes(arena, 7)));
      byte[] content = Files.readAllBytes(path);
      assertEquals(17, content.length);
      assertEquals(17, FileCalls.size(file));
      MemorySegment first = arena.allocate(5);
      MemorySegment second = arena.allocate(100);
      assertEquals(9, FileCalls.read(file, 8, List.of(first, second)));
      assertArrayEquals(new byte[] {0, 0, 1, 2, 3}, first.toArray(ValueLayout.JAVA_BYTE));
      assertArrayEquals(
          new byte[] {4, 5, 6, 7, 0}, second.asSlice(0, 5).toArray(ValueLayout.JAVA_BYTE));
      assertEquals(0, FileCalls.read(file, 17, first));
    }
  }

  @Test
  void moreSegmentsThanTheKernelTakesAreBegunWith() {
    try (Arena arena = Arena.ofConfined()) {
      List<MemorySegment> many = new ArrayList<>();
      for (int i = 0; i < 1500; i++) {
        many.add(bytes(arena, i));
      }
      assertEquals(1024, FileCalls.write(file, 0, many));
    }
  }

  @Test
  void memoryOfTheHeapIsRefused() {
    MemorySegment heap = MemorySegment.ofArray(new byte[4]);
    assertThrows(IllegalArgumentException.class, () -> FileCalls.write(file, 0, heap));
    assertThrows(
        IllegalArgumentException.class, () -> FileCalls.read(file, 0, List.of(heap, heap)));
  }

  @Test
  void errorsAreNegative() {
    try (Arena arena = Arena.ofConfined()) {
      assertEquals(-FileCalls.EINVAL, FileCalls.read(file, -1, arena.allocate(1)));
      assertEquals(-FileCalls.EBADF, FileCalls.read(-1, 0, arena.allocate(1)));
      assertEquals(-FileCalls.EBADF, FileCalls.syncData(-1));
      assertEquals(
          -FileCalls.EEXIST, open(FileCalls.O_RDWR | FileCalls.O_CREAT | FileCalls.O_EXCL));
      assertEquals(
          -FileCalls.ENOENT, FileCalls.open(folder.resolve("none"), FileCalls.O_RDONLY, 0));
      assertTrue(FileCalls.message(FileCalls.ENOSPC).contains("space"));
    }
  }

  @Test
  void holesTakeNoRoomAndAreFound() {
    try (Arena arena = Arena.ofConfined()) {
      assertEquals(MEBIBYTE, FileCalls.write(file, 0, arena.allocate(MEBIBYTE).fill((byte) 1)));
      assertEquals(0, FileCalls.sync(file));
      long before = FileCalls.allocated(file);
      assertTrue(before >= MEBIBYTE, "takes " + before);
      int punched =
          FileCalls.allocate(
              file,
              FileCalls.FALLOC_PUNCH_HOLE | FileCalls.FALLOC_KEEP_SIZE,
              MEBIBYTE / 4,
              MEBIBYTE / 2);
      assumeTrue(punched != -FileCalls.EOPNOTSUPP, "this file system makes no holes");
      assertEquals(0, punched);
      assertEquals(0, FileCalls.syncData(file));
      assertTrue(FileCalls.allocated(file) <= before - MEBIBYTE / 2);
      assertEquals(MEBIBYTE, FileCalls.size(file));
      assertEquals(MEBIBYTE / 4, FileCalls.nextHole(file, 0));
      assertEquals(MEBIBYTE * 3L / 4, FileCalls.nextData(file, MEBIBYTE / 4));
      assertEquals(MEBIBYTE, FileCalls.nextHole(file, MEBIBYTE - 1));
      assertEquals(-FileCalls.ENXIO, FileCalls.nextData(file, MEBIBYTE));
      assertEquals(0, FileCalls.truncate(file, 3));
      assertEquals(3, FileCalls.size(file));
    }
  }

  @Test
  void locksAreThoseOfADescriptor() {
    int other = open(FileCalls.O_RDWR);
    try {
      assertEquals(0, FileCalls.lockedByOthers(other, 100, 1));
      assertEquals(0, FileCalls.lock(file, 100, 1, false));
      assertEquals(0, FileCalls.lockedByOthers(file, 100, 1));
      assertEquals(1, FileCalls.lockedByOthers(other, 100, 1));
      assertEquals(0, FileCalls.lockedByOthers(other, 101, 1));
      assertEquals(0, FileCalls.lock(other, 100, 1, false));
      assertEquals(-FileCalls.EAGAIN, FileCalls.lock(other, 100, 1, true));
      assertEquals(0, FileCalls.unlock(file, 100, 1));
      assertEquals(0, FileCalls.lock(other, 100, 1, true));
    } finally {
      FileCalls.close(other);
    }
    assertEquals(0, FileCalls.lockedByOthers(file, 100, 1));
  }
}
