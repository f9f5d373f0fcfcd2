package dev.bothy.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FolderCallsTest {
  private static final int EXDEV = 18;
  private static final int ELOOP = 40;
  private static final int INSIDE =
      FolderCalls.RESOLVE_BENEATH
          | FolderCalls.RESOLVE_NO_SYMLINKS
          | FolderCalls.RESOLVE_NO_MAGICLINKS;

  @TempDir Path folder;
  private final Arena arena = Arena.ofConfined();
  private FolderCalls calls;
  private int root;

  @BeforeEach
  void open() {
    assumeTrue(FolderCalls.available());
    calls = new FolderCalls(arena);
    root =
        FileCalls.open(folder, FolderCalls.O_PATH | FolderCalls.O_FOLDER | FileCalls.O_CLOEXEC, 0);
    assertTrue(root > 0);
  }

  @AfterEach
  void close() {
    if (calls != null) {
      FileCalls.close(root);
    }
    arena.close();
  }

  private MemorySegment text(String text) {
    return arena.allocateFrom(text);
  }

  private int find(String path) {
    return calls.open(root, text(path), FolderCalls.O_PATH | FolderCalls.O_NOFOLLOW, 0, INSIDE);
  }

  @Test
  void pathsDoNotLeadOut() throws IOException {
    Files.createSymbolicLink(folder.resolve("out"), Path.of("/etc"));
    Files.createSymbolicLink(folder.resolve("up"), Path.of(".."));
    assertEquals(-EXDEV, find(".."));
    assertEquals(-EXDEV, find("/etc"));
    assertEquals(-ELOOP, find("out/passwd"));
    assertEquals(-ELOOP, find("up/x"));
    int link = find("out");
    assertEquals(0, calls.findStatus(link));
    assertEquals(FileStatus.SYMBOLIC_LINK, calls.status().type());
    MemorySegment target = arena.allocate(100);
    assertEquals(4, calls.readLink(link, target));
    FileCalls.close(link);
  }

  @Test
  void statusIsThatOfTheHost() throws IOException {
    Path file = Files.writeString(folder.resolve("f"), "hello");
    int found = find("f");
    assertEquals(0, calls.findStatus(found));
    FileStatus status = calls.status();
    assertEquals(5, status.size());
    assertEquals(Files.getAttribute(file, "unix:ino"), status.inode());
    assertEquals(Files.getAttribute(file, "unix:mode"), status.mode());
    assertEquals(Files.getAttribute(file, "unix:nlink"), status.links());
    assertEquals(Files.getLastModifiedTime(file).toInstant().getNano(), status.modified().nanos());
    assertEquals(0, calls.findFileSystem(found));
    assertEquals(Files.getFileStore(file).getBlockSize(), calls.fileSystem().fragmentSize());
    FileCalls.close(found);
  }

  @Test
  void whatWasFoundIsOpenedByItsNumber() throws IOException {
    Files.writeString(folder.resolve("f"), "hello");
    int found = find("f");
    Files.move(folder.resolve("f"), folder.resolve("g"));
    int opened = calls.reopen(found, FileCalls.O_RDONLY);
    MemorySegment text = arena.allocate(10);
    assertEquals(5, FileCalls.read(opened, 0, text));
    assertEquals(0, calls.chmod(found, 0600));
    assertEquals(0, calls.truncate(found, 2));
    assertEquals(2, Files.size(folder.resolve("g")));
    FileCalls.close(opened);
    FileCalls.close(found);
  }

  @Test
  void namesAreMadeAndRemoved() throws IOException {
    assertEquals(0, calls.makeFolder(root, text("d"), 0755));
    assertEquals(0, calls.makeSymbolicLink(root, text("l"), text("d")));
    assertEquals(0, calls.makeNode(root, text("p"), FileStatus.FIFO | 0600));
    assertEquals(0, calls.rename(root, text("p"), root, text("q"), 0));
    assertEquals(
        -FileCalls.EEXIST,
        calls.rename(root, text("q"), root, text("l"), FolderCalls.RENAME_NOREPLACE));
    assertTrue(Files.isDirectory(folder.resolve("d")));
    assertEquals(Path.of("d"), Files.readSymbolicLink(folder.resolve("l")));
    int entries = calls.open(root, text("."), FolderCalls.O_FOLDER, 0, INSIDE);
    assertTrue(calls.entries(entries, arena.allocate(4096)) > 0);
    assertEquals(0, calls.entries(entries, arena.allocate(4096)));
    assertEquals(0, calls.seek(entries, 0));
    assertTrue(calls.entries(entries, arena.allocate(4096)) > 0);
    FileCalls.close(entries);
    assertEquals(0, calls.removeFolder(root, text("d")));
    assertEquals(0, calls.remove(root, text("l")));
    assertEquals(0, calls.remove(root, text("q")));
    try (var rest = Files.list(folder)) {
      assertEquals(0, rest.count());
    }
  }

  @Test
  void hostTellsItsLimits() {
    assertTrue(calls.descriptorLimit() >= 64);
    assertTrue(calls.user() >= 0);
  }
}
