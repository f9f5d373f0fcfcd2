package dev.bothy.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PrivateFolderTest {
  @TempDir Path home;

  private PrivateFolder folder;

  @BeforeEach
  void makeFolder() throws IOException {
    assumeTrue(home.getFileSystem().supportedFileAttributeViews().contains("posix"));
    folder = new PrivateFolder(home.resolve("a/b"));
    folder.create();
  }

  private void write(String name, int bytes) throws IOException {
    folder.write(name, channel -> channel.write(ByteBuffer.allocate(bytes)));
  }

  private boolean opens(String name) throws IOException {
    var found = folder.open(name);
    if (found.isPresent()) {
      found.get().close();
    }
    return found.isPresent();
  }

  private void age(String name, Duration age) throws IOException {
    Files.setLastModifiedTime(folder.path().resolve(name), FileTime.from(Instant.now().minus(age)));
  }

  private List<String> names() throws IOException {
    try (var files = Files.list(folder.path())) {
      return files.map(f -> f.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void filesAreReplacedWholeOrNotAtAll() throws IOException {
    write("x", 10);
    assertThrows(
        IOException.class,
        () ->
            folder.write(
                "x",
                channel -> {
                  channel.write(ByteBuffer.allocate(3));
                  throw new IOException("disk full");
                }));
    assertEquals(List.of("x"), names());
    assertEquals(10, Files.size(folder.path().resolve("x")));
    write("x", 20);
    assertEquals(20, Files.size(folder.path().resolve("x")));
  }

  @Test
  void whatOthersCouldHaveWrittenIsNotThere() throws IOException {
    write("x", 10);
    assertTrue(opens("x"));
    assertFalse(opens("y"));
    Path file = folder.path().resolve("x");
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-rw----"));
    assertFalse(opens("x"));
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
    assertTrue(opens("x"));
    Files.createSymbolicLink(folder.path().resolve("link"), file);
    assertFalse(opens("link"));
    Files.createDirectory(folder.path().resolve("directory"));
    assertFalse(opens("directory"));
    Files.setPosixFilePermissions(folder.path(), PosixFilePermissions.fromString("rwxrwxrwx"));
    assertFalse(opens("x"));
    assertThrows(IOException.class, folder::create);
  }

  @Test
  void whatWasNotOfUseForLongestGoesFirst() throws IOException {
    for (int i = 0; i < 5; i++) {
      write(i + ".kept", 100);
      age(i + ".kept", Duration.ofDays(10 - i));
    }
    write("other", 1000);
    // Looking at a file is of use.
    assertTrue(opens("0.kept"));
    folder.bound(".kept", 300);
    assertEquals(List.of("0.kept", "3.kept", "4.kept", "other"), names());
  }

  @Test
  void whatWasNeverFinishedIsRemovedInTheEnd() throws IOException {
    try (var unfinished = folder.begin("x");
        FileChannel channel = unfinished.channel()) {
      channel.write(ByteBuffer.allocate(3));
      folder.bound(".kept", 0);
      assertEquals(1, names().size());
      age(names().getFirst(), Duration.ofDays(1));
      folder.bound(".kept", 0);
      assertEquals(List.of(), names());
    }
  }
}
