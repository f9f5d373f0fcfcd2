package dev.bothy.image.storage;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.image.ImageException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A file by Linux' calls and by Java's channels: the same, as far as Java goes. */
class HostFileTest {
  private static final int MEBIBYTE = 1 << 20;

  @TempDir Path folder;

  enum Way {
    LINUX,
    JAVA;

    HostFile open(Path path, boolean writing, boolean make) throws IOException {
      if (this == JAVA) {
        return ChannelFile.open(path, writing, make);
      }
      assumeTrue(DescriptorFile.possible());
      return DescriptorFile.open(path, writing, make);
    }
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    return bytes;
  }

  @ParameterizedTest
  @EnumSource
  void segmentsInTheHeapAndOutsideAreMovedInOrder(Way way) throws IOException {
    Path path = folder.resolve("file");
    HostFile file = way.open(path, true, true);
    byte[] data = random(10_000);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment outside = arena.allocate(4_000);
      outside.copyFrom(MemorySegment.ofArray(data).asSlice(3_000, 4_000));
      file.write(
          77,
          List.of(
              MemorySegment.ofArray(Arrays.copyOf(data, 3_000)),
              outside,
              MemorySegment.ofArray(Arrays.copyOfRange(data, 7_000, 10_000)).asReadOnly()));
      byte[] written = Files.readAllBytes(path);
      assertEquals(10_077, file.size());
      assertArrayEquals(data, Arrays.copyOfRange(written, 77, written.length));
      byte[] inHeap = new byte[6_000];
      MemorySegment behind = arena.allocate(6_000).fill((byte) 1);
      file.read(77, List.of(MemorySegment.ofArray(inHeap), behind));
      assertArrayEquals(Arrays.copyOf(data, 6_000), inHeap);
      byte[] rest = Arrays.copyOf(Arrays.copyOfRange(data, 6_000, 10_000), 6_000);
      assertArrayEquals(rest, behind.toArray(ValueLayout.JAVA_BYTE));
    } finally {
      file.close();
    }
  }

  @ParameterizedTest
  @EnumSource
  void sizeIsWhatItIsMade(Way way) throws IOException {
    Path path = folder.resolve("file");
    HostFile file = way.open(path, true, true);
    file.write(0, List.of(MemorySegment.ofArray(random(1_000))));
    file.resize(100);
    file.resize(5_000);
    file.sync();
    assertEquals(5_000, file.size());
    byte[] expected = Arrays.copyOf(Arrays.copyOf(random(1_000), 100), 5_000);
    assertArrayEquals(expected, Files.readAllBytes(path));
    assertEquals(7, file.hole(5_000, 7));
    file.close();
  }

  @ParameterizedTest
  @EnumSource
  void whatCannotBeOpenedIsAnError(Way way) throws IOException {
    Path path = Files.createFile(folder.resolve("file"));
    assertThrows(IOException.class, () -> way.open(path, true, true));
    assertThrows(IOException.class, () -> way.open(folder.resolve("none"), false, false));
    HostFile file = way.open(path, false, false);
    assertThrows(Exception.class, () -> file.write(0, List.of(MemorySegment.ofArray(new byte[1]))));
    file.close();
  }

  @Test
  void bothWaysKeepEachOtherOff() throws IOException {
    Path path = Files.createFile(folder.resolve("file"));
    HostFile linux = Way.LINUX.open(path, true, false);
    HostFile java = Way.JAVA.open(path, true, false);
    assertTrue(linux.lock(100, 1, false));
    assertFalse(java.lock(100, 200, false));
    assertTrue(java.lock(101, 1, true));
    assertTrue(linux.lockedByOthers(101));
    assertFalse(linux.lockedByOthers(100));
    assertFalse(linux.lock(101, 1, false));
    assertTrue(linux.lock(101, 1, true));
    linux.close();
    assertTrue(java.lock(100, 1, false));
    java.close();
  }

  private static HostFile fullMebibyte(Path path) throws IOException {
    HostFile file = Way.LINUX.open(path, true, true);
    file.write(0, List.of(MemorySegment.ofArray(random(MEBIBYTE))));
    file.sync();
    assertTrue(file.allocated() >= MEBIBYTE);
    return file;
  }

  @Test
  void holesGiveRoomBackAndAreKnown() throws IOException {
    HostFile file = fullMebibyte(folder.resolve("file"));
    assumeTrue(file.punch(65_536, 524_288), "this file system makes no holes");
    file.sync();
    assertTrue(file.allocated() <= MEBIBYTE - 524_288 + 65_536, "takes " + file.allocated());
    assertEquals(MEBIBYTE, file.size());
    assertEquals(0, file.hole(0, MEBIBYTE));
    assertEquals(524_288, file.hole(65_536, MEBIBYTE - 65_536));
    assertEquals(100, file.hole(65_536, 100));
    byte[] expected = random(MEBIBYTE);
    Arrays.fill(expected, 65_536, 65_536 + 524_288, (byte) 0);
    assertArrayEquals(expected, Files.readAllBytes(folder.resolve("file")));
    file.close();
  }

  @Test
  void zeroedRangesKeepTheirRoom() throws IOException {
    HostFile file = fullMebibyte(folder.resolve("file"));
    assumeTrue(file.zero(65_536, 524_288), "this file system zeroes nothing");
    file.sync();
    assertTrue(file.allocated() >= MEBIBYTE, "takes " + file.allocated());
    byte[] expected = random(MEBIBYTE);
    Arrays.fill(expected, 65_536, 65_536 + 524_288, (byte) 0);
    assertArrayEquals(expected, Files.readAllBytes(folder.resolve("file")));
    file.close();
  }

  @Test
  void errorsSayWhatTheyAre() throws IOException {
    Path path = Files.createFile(folder.resolve("file"));
    HostFile file = Way.LINUX.open(path, false, false);
    ImageException e =
        assertThrows(
            ImageException.class, () -> file.write(0, List.of(MemorySegment.ofArray(new byte[1]))));
    assertEquals(ImageException.Trouble.HOST_ERROR, e.trouble());
    assertTrue(e.getMessage().startsWith(path + ": "), e.getMessage());
    file.close();
  }
}
