package dev.bothy.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.qcow2.Qcow2Layout;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImagesTest {
  @TempDir Path folder;

  private Path overlay(String name, String backing) throws IOException {
    Path path = folder.resolve(name);
    // Where it leads is looked at when it is opened.
    Files.createFile(folder.resolve("nothing"));
    Qcow2Layout layout = Qcow2Layout.DEFAULT.withBacking("nothing", "raw");
    Images.create(path, ImageFormat.QCOW2, 1 << 20, layout).close();
    Files.delete(folder.resolve("nothing"));
    byte[] bytes = Files.readAllBytes(path);
    int at = new String(bytes, StandardCharsets.ISO_8859_1).indexOf("nothing");
    Arrays.fill(bytes, at, at + 200, (byte) 0);
    byte[] wanted = backing.getBytes(StandardCharsets.UTF_8);
    System.arraycopy(wanted, 0, bytes, at, wanted.length);
    bytes[19] = (byte) wanted.length;
    // No word of its format.
    Arrays.fill(bytes, 112, 124, (byte) 0);
    Files.write(path, bytes);
    return path;
  }

  private static void assertRefused(Trouble trouble, String mentions, Path path) {
    ImageException e =
        assertThrows(ImageException.class, () -> Images.open(path, Images.How.READING));
    assertEquals(trouble, e.trouble(), e.getMessage());
    assertTrue(e.getMessage().contains(mentions), e.getMessage());
    assertTrue(e.getMessage().startsWith(path + ": "), e.getMessage());
    assertEquals(1, e.getMessage().lines().count(), e.getMessage());
  }

  @Test
  void backingFilesInACircleAreRefused() throws IOException {
    overlay("a", "b");
    overlay("b", "./c");
    overlay("c", "a");
    assertRefused(Trouble.CORRUPT, "of itself", folder.resolve("a"));
    assertRefused(Trouble.CORRUPT, "of itself", overlay("self", "self"));
  }

  @Test
  void longChainsOpenAndTooLongOnesDoNot() throws IOException {
    Files.write(folder.resolve("0"), new byte[] {7});
    for (int i = 1; i <= Images.MOST_BACKING_FILES + 1; i++) {
      overlay(Integer.toString(i), Integer.toString(i - 1));
    }
    try (DiskImage disk =
        Images.open(
            folder.resolve(Integer.toString(Images.MOST_BACKING_FILES)), Images.How.READING)) {
      byte[] first = new byte[2];
      disk.read(0, MemorySegment.ofArray(first));
      assertArrayEquals(new byte[] {7, 0}, first);
    }
    assertRefused(
        Trouble.UNSUPPORTED,
        "backing files",
        folder.resolve(Integer.toString(Images.MOST_BACKING_FILES + 1)));
  }

  @Test
  void backingFilesThatAreNoneAreOneLine() throws IOException {
    assertRefused(Trouble.NOT_FOUND, "its backing file", overlay("a", "missing"));
    assertRefused(Trouble.UNSUPPORTED, "no file but", overlay("b", "nbd://host/x"));
    assertRefused(Trouble.UNSUPPORTED, "no file but", overlay("c", "json:{\n}"));
    assertRefused(Trouble.REFUSED, "folder", overlay("d", "."));
  }

  @Test
  void backingFileIsLockedAgainstWriters() throws IOException {
    Files.write(folder.resolve("base"), new byte[1 << 20]);
    try (DiskImage _ = Images.open(overlay("top", "base"), Images.How.WRITING)) {
      ImageException e =
          assertThrows(
              ImageException.class,
              () ->
                  Images.open(
                      folder.resolve("base"), Images.How.WRITING.as(Optional.of(ImageFormat.RAW))));
      assertEquals(Trouble.IN_USE, e.trouble());
    }
  }

  @Test
  void rawIsWhatLooksLikeNothingElse() throws IOException {
    Path file = folder.resolve("disk");
    Files.write(file, new byte[0]);
    try (DiskImage disk = Images.open(file, Images.How.READING)) {
      assertEquals(ImageFormat.RAW, disk.format());
      assertEquals(0, disk.size());
    }
    Files.write(file, "QFI\u00fb with a guest's text behind".getBytes(StandardCharsets.ISO_8859_1));
    assertRefused(Trouble.CORRUPT, "qcow2", file);
    try (DiskImage disk = Images.open(file, Images.How.WRITING.as(Optional.of(ImageFormat.RAW)))) {
      assertEquals(ImageFormat.RAW, disk.format());
    }
    Files.write(file, "KDMV".getBytes(StandardCharsets.US_ASCII));
    assertRefused(Trouble.UNSUPPORTED, "vmdk", file);
  }

  @Test
  void truncatedImagesAreRefused() throws IOException {
    Path file = folder.resolve("disk");
    try (DiskImage disk = Images.create(file, ImageFormat.QCOW2, 1 << 20, Qcow2Layout.DEFAULT)) {
      disk.write(0, MemorySegment.ofArray(new byte[] {1}));
    }
    byte[] bytes = Files.readAllBytes(file);
    for (int length : new int[] {4, 71, 100, 512, 1 << 16, 2 << 16, 3 << 16}) {
      Files.write(file, Arrays.copyOf(bytes, length));
      assertRefused(Trouble.CORRUPT, file.toString(), file);
    }
  }

  @Test
  void whatCannotBeMadeLeavesNothing() {
    Path file = folder.resolve("disk");
    Qcow2Layout layout = Qcow2Layout.DEFAULT.withBacking("missing", "raw");
    assertThrows(
        ImageException.class, () -> Images.create(file, ImageFormat.QCOW2, 1 << 20, layout));
    assertFalse(Files.exists(file));
  }
}
