package dev.bothy.share;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.host.FolderCalls;
import dev.bothy.share.FuseClient.Entry;
import dev.bothy.share.FuseClient.Out;
import dev.bothy.share.FuseClient.Reply;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Ways out of the folder, none of which lead anywhere. */
class ConfinementTest {
  private static final long ROOT = FuseClient.ROOT;
  private static final int WRONLY = 1;
  private static final String SECRET = "secret";

  @TempDir Path around;
  private Path folder;
  private Path outside;
  private FuseServer server;
  private FuseClient client;

  @BeforeEach
  void open() throws IOException {
    Assumptions.assumeTrue(FolderCalls.available());
    folder = Files.createDirectory(around.resolve("folder"));
    outside = Files.createDirectory(around.resolve("outside"));
    Files.writeString(outside.resolve(SECRET), SECRET);
    server = FuseServer.open(folder, false);
    client = new FuseClient(server);
  }

  @AfterEach
  void close() {
    if (server != null) {
      server.close();
    }
  }

  @Test
  void namesAreSingleNames() throws IOException {
    Files.createDirectory(folder.resolve("d"));
    long d = client.lookup(ROOT, "d").node();
    for (String name :
        List.of("../outside", "/etc", "d/", "d/..", "/", "", "./d", "../", "a/b", "//")) {
      assertEquals(-Errno.EINVAL, client.lookup(ROOT, name).error(), name);
      assertEquals(-Errno.EINVAL, client.create(ROOT, name, WRONLY, 0600).error(), name);
      assertEquals(-Errno.EINVAL, client.mkdir(ROOT, name, 0700).error(), name);
      assertEquals(-Errno.EINVAL, client.unlink(ROOT, name).error(), name);
      assertEquals(-Errno.EINVAL, client.rename(ROOT, "d", ROOT, name).error(), name);
      assertEquals(-Errno.EINVAL, client.symlink(ROOT, name, "x").error(), name);
      assertEquals(-Errno.EINVAL, client.link(d, ROOT, name).error(), name);
    }
    for (String dots : List.of(".", "..")) {
      assertEquals(ROOT, client.lookup(ROOT, dots).node());
      assertEquals(-Errno.EINVAL, client.rmdir(d, dots).error());
      assertEquals(-Errno.EINVAL, client.mkdir(d, dots, 0700).error());
      assertEquals(-Errno.EINVAL, client.rename(d, dots, ROOT, "x").error());
      assertEquals(-Errno.EINVAL, client.rename(ROOT, "d", ROOT, dots).error());
      assertEquals(-Errno.EINVAL, client.create(ROOT, dots, WRONLY, 0600).error());
    }
    // A name ends at its first 0, wherever the request ends.
    assertEquals(d, client.lookup(ROOT, "d\0/../outside").node());
  }

  @Test
  void linksOfTheHostAreNotFollowed() throws IOException {
    Files.createSymbolicLink(folder.resolve("absolute"), outside);
    Files.createSymbolicLink(folder.resolve("up"), Path.of("../outside"));
    Files.createSymbolicLink(folder.resolve("file"), outside.resolve(SECRET));
    Files.createSymbolicLink(folder.resolve("magic"), Path.of("/proc/self/root"));
    for (String name : List.of("absolute", "up", "file", "magic")) {
      Reply found = client.lookup(ROOT, name).ok();
      assertEquals(0120000, found.mode(40) & 0170000);
      long node = found.node();
      assertEquals(-Errno.ENOTDIR, client.lookup(node, SECRET).error());
      assertEquals(-Errno.ENOTDIR, client.create(node, "new", WRONLY, 0600).error());
      assertEquals(-Errno.ENOTDIR, client.opendir(node).error());
      assertEquals(-Errno.ELOOP, client.open(node, 0).error());
      assertEquals(-Errno.ELOOP, client.create(ROOT, name, WRONLY | 01000, 0600).error());
      assertNotEquals(0, client.setattr(node, 1 << 3, 0, 0, 0, 0).error());
      assertNotEquals(0, client.setattr(node, 1, 0, 0777, 0, 0).error());
      Out attribute = new Out().putInt(1).putInt(0).putName(FuseClient.bytes("user.a"));
      assertNotEquals(0, client.call(Opcode.SETXATTR, node, attribute.putInt(0)).error());
    }
    assertEquals(SECRET, Files.readString(outside.resolve(SECRET)));
    try (var files = Files.list(outside)) {
      assertEquals(1, files.count());
    }
  }

  @Test
  void hardLinkToSymbolicLinkIsThatLink() throws IOException {
    long node = client.symlink(ROOT, "l", outside.resolve(SECRET).toString()).node();
    assertEquals(node, client.link(node, ROOT, "m").node());
    assertTrue(Files.isSymbolicLink(folder.resolve("m")));
    if (Files.getAttribute(folder, "unix:uid").equals(0)) {
      client.setattr(node, 2 | 4, 0, 0, 1000, 1000).ok();
      assertEquals(0, Files.getAttribute(outside.resolve(SECRET), "unix:uid"));
      assertEquals(
          1000, Files.getAttribute(folder.resolve("l"), "unix:uid", LinkOption.NOFOLLOW_LINKS));
    }
  }

  @Test
  void whatIsMovedOutIsOutOfReach() throws IOException {
    Files.createDirectory(folder.resolve("d"));
    Files.writeString(folder.resolve("d/f"), "x");
    long d = client.lookup(ROOT, "d").node();
    long f = client.lookup(d, "f").node();
    long opened = client.opendir(d).node();
    Files.move(folder.resolve("d"), outside.resolve("d"));
    Files.writeString(outside.resolve("d/" + SECRET), SECRET);
    assertEquals(-Errno.ESTALE, client.getattr(f).error());
    assertEquals(-Errno.ESTALE, client.open(f, 0).error());
    // What is open stays open, but nothing new is found through it.
    for (Entry entry : client.readdir(d, opened, 0, 8192, true)) {
      assertEquals(0, entry.node());
    }
    server.reset();
    client.init(7, 38, -1).ok();
    assertEquals(FuseClient.ENOENT, client.lookup(ROOT, "d").error());
  }

  @Test
  void folderWhosePlaceALinkTakesIsOutOfReach() throws IOException {
    Files.createDirectory(folder.resolve("d"));
    long d = client.lookup(ROOT, "d").node();
    Files.delete(folder.resolve("d"));
    Files.createSymbolicLink(folder.resolve("d"), outside);
    assertEquals(-Errno.ESTALE, client.lookup(d, SECRET).error());
    assertEquals(-Errno.ESTALE, client.create(d, "new", WRONLY, 0600).error());
    assertEquals(-Errno.ESTALE, client.mkdir(d, "new", 0700).error());
    assertEquals(-Errno.ESTALE, client.opendir(d).error());
    assertEquals(-Errno.ESTALE, client.unlink(d, SECRET).error());
    assertTrue(Files.exists(outside.resolve(SECRET)));
  }

  @Test
  void rootIsTheTop() throws IOException {
    long handle = client.opendir(ROOT).node();
    for (Entry entry : client.readdir(ROOT, handle, 0, 4096, false)) {
      assertEquals(Files.getAttribute(folder, "unix:ino"), entry.inode());
    }
  }

  /** Somebody puts a link to the outside where a folder was, and back, thousands of times. */
  @Test
  void raceForAFolderIsNeverWon() throws Exception {
    Path inside = Files.createDirectories(folder.resolve("a/b"));
    Files.writeString(inside.resolve(SECRET), "harmless");
    Path link = Files.createSymbolicLink(around.resolve("link"), outside);
    Path parked = around.resolve("parked");
    long a = client.lookup(ROOT, "a").node();
    long b = client.lookup(a, "b").node();
    AtomicBoolean stop = new AtomicBoolean();
    Thread swapper =
        Thread.ofPlatform()
            .start(
                () -> {
                  try {
                    while (!stop.get()) {
                      Files.move(inside, parked, StandardCopyOption.ATOMIC_MOVE);
                      Files.move(link, inside, StandardCopyOption.ATOMIC_MOVE);
                      Thread.yield();
                      Files.move(inside, link, StandardCopyOption.ATOMIC_MOVE);
                      Files.move(parked, inside, StandardCopyOption.ATOMIC_MOVE);
                      Thread.yield();
                    }
                  } catch (IOException e) {
                    throw new AssertionError(e);
                  }
                });
    int found = 0;
    int refused = 0;
    try {
      for (int i = 0; i < 3_000 || found == 0 || refused == 0; i++) {
        Reply reply = client.lookup(b, SECRET);
        if (reply.error() == 0) {
          found++;
          // "harmless" has eight letters, "secret" six.
          assertEquals(8, reply.content().getLong(48));
          client.forget(reply.node(), 1);
        } else {
          refused++;
        }
        Reply made = client.create(b, "made" + i, WRONLY, 0600);
        if (made.error() == 0) {
          client.release(made.node(), made.content().getLong(128)).ok();
          client.forget(made.node(), 1);
        }
        Reply again = client.lookup(a, "b");
        if (again.error() == 0) {
          int type = again.mode(40) & 0170000;
          assertTrue(type == 0040000 ? again.node() == b : type == 0120000);
          client.forget(again.node(), 1);
        }
      }
    } finally {
      stop.set(true);
      swapper.join();
    }
    try (var files = Files.list(outside)) {
      assertEquals(List.of(SECRET), files.map(file -> file.getFileName().toString()).toList());
    }
    assertFalse(Files.isSymbolicLink(inside));
  }

  /** Two of the guest's threads rename a folder while others look things up below it. */
  @Test
  void lookUpsSucceedWhileTheGuestRenamesFoldersAbove() throws Exception {
    long a = client.mkdir(ROOT, "a", 0755).node();
    long b = client.mkdir(a, "b", 0755).node();
    client.create(b, "f", WRONLY, 0600).ok();
    AtomicBoolean stop = new AtomicBoolean();
    FuseClient other = client.another();
    Thread renamer =
        Thread.ofPlatform()
            .start(
                () -> {
                  while (!stop.get()) {
                    other.rename(ROOT, "a", ROOT, "z").ok();
                    other.rename(ROOT, "z", ROOT, "a").ok();
                  }
                });
    try {
      for (int i = 0; i < 3_000; i++) {
        client.lookup(b, "f").ok();
        client.getattr(b).ok();
        client.lookup(a, "b").ok();
      }
    } finally {
      stop.set(true);
      renamer.join();
    }
  }
}
