package dev.bothy.share;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.host.FolderCalls;
import dev.bothy.share.FuseClient.Out;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReadOnlyShareTest {
  private static final long ROOT = FuseClient.ROOT;

  @TempDir Path folder;
  private FuseServer server;
  private FuseClient client;
  private long file;

  @BeforeEach
  void open() throws IOException {
    Assumptions.assumeTrue(FolderCalls.available());
    Files.writeString(folder.resolve("f"), "text");
    Files.createDirectory(folder.resolve("d"));
    server = FuseServer.open(folder, true);
    client = new FuseClient(server);
    file = client.lookup(ROOT, "f").node();
  }

  @AfterEach
  void close() {
    if (server != null) {
      server.close();
    }
  }

  @Test
  void everythingThatChangesAnythingIsRefused() throws IOException {
    int erofs = -Errno.EROFS;
    long handle = client.open(file, 0).node();
    assertEquals(erofs, client.open(file, 1).error());
    assertEquals(erofs, client.open(file, 2).error());
    assertEquals(erofs, client.open(file, 01000).error());
    assertEquals(erofs, client.create(ROOT, "f", 0, 0600).error());
    assertEquals(erofs, client.create(ROOT, "g", 1, 0600).error());
    assertEquals(erofs, client.mkdir(ROOT, "g", 0700).error());
    assertEquals(erofs, client.mknod(ROOT, "g", 0100600, 0).error());
    assertEquals(erofs, client.mknod(ROOT, "g", 0020600, 0).error());
    assertEquals(erofs, client.symlink(ROOT, "g", "f").error());
    assertEquals(erofs, client.link(file, ROOT, "g").error());
    assertEquals(erofs, client.unlink(ROOT, "f").error());
    assertEquals(erofs, client.rmdir(ROOT, "d").error());
    assertEquals(erofs, client.rename(ROOT, "f", ROOT, "g").error());
    assertEquals(erofs, client.rename2(ROOT, "f", ROOT, "d", 2).error());
    for (int valid : new int[] {0, 1, 2, 4, 8, 1 << 4, 1 << 5}) {
      assertEquals(erofs, client.setattr(file, valid, 0, 0777, 1, 1).error());
    }
    assertEquals(erofs, client.write(file, handle, 0, new byte[1]).error());
    Out allocation = new Out().putLong(handle).putLong(0).putLong(4096).putLong(0);
    assertEquals(erofs, client.call(Opcode.FALLOCATE, file, allocation).error());
    Out copy = new Out().putLong(handle).putLong(0).putLong(file).putLong(handle);
    copy.putLong(10).putLong(4).putLong(0);
    assertEquals(erofs, client.call(Opcode.COPY_FILE_RANGE, file, copy).error());
    Out attribute = new Out().putInt(0).putInt(0).putName(FuseClient.bytes("user.a"));
    assertEquals(erofs, client.call(Opcode.SETXATTR, file, attribute).error());
    Out removal = new Out().putName(FuseClient.bytes("user.a"));
    assertEquals(erofs, client.call(Opcode.REMOVEXATTR, file, removal).error());
    Out nameless = new Out().putInt(2).putInt(0600).putLong(0).putName(new byte[] {'x'});
    assertEquals(erofs, client.call(Opcode.TMPFILE, ROOT, nameless).error());
    assertEquals(erofs, client.call(Opcode.ACCESS, file, new Out().putInt(2).putInt(0)).error());
    assertEquals("text", Files.readString(folder.resolve("f")));
    try (var files = Files.list(folder)) {
      assertEquals(2, files.count());
    }
  }

  @Test
  void readingLeavesNoTrace() throws IOException {
    FileTime old = FileTime.from(Instant.parse("2001-02-03T04:05:06Z"));
    Files.setAttribute(folder.resolve("f"), "lastAccessTime", old);
    Files.setAttribute(folder.resolve("d"), "lastAccessTime", old);
    long handle = client.open(file, 0).node();
    assertEquals(4, client.read(file, handle, 0, 100).ok().content().remaining());
    client.list(client.lookup(ROOT, "d").node(), 4096, true);
    assertEquals(old, Files.getAttribute(folder.resolve("f"), "lastAccessTime"));
    assertEquals(old, Files.getAttribute(folder.resolve("d"), "lastAccessTime"));
    client.call(Opcode.SYNCFS, ROOT, new Out().putLong(0)).ok();
    client.call(Opcode.FSYNC, file, new Out().putLong(handle).putLong(0)).ok();
  }
}
