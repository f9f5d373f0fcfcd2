package dev.bothy.share;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.share.FuseClient.Entry;
import dev.bothy.share.FuseClient.Out;
import dev.bothy.share.FuseClient.Reply;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Every request, and what the host sees of it. */
class FuseServerTest extends ShareTest {
  private static final int RDONLY = 0;
  private static final int WRONLY = 1;
  private static final int RDWR = 2;
  private static final int EXCL = 0200;
  private static final int TRUNC = 01000;
  private static final int APPEND = 02000;

  private static int unix(Path path, String attribute) throws IOException {
    return ((Number) Files.getAttribute(path, "unix:" + attribute, LinkOption.NOFOLLOW_LINKS))
        .intValue();
  }

  private long write(String name, String text) throws IOException {
    Files.writeString(folder.resolve(name), text);
    return client.lookup(ROOT, name).node();
  }

  private static long handle(Reply reply) {
    return reply.ok().content().getLong(reply.content().limit() - 16);
  }

  private static String text(Reply reply) {
    return UTF_8.decode(reply.ok().content()).toString();
  }

  @Test
  void whatIsNoFolderIsRefusedInOneLine() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    for (Path path : List.of(file, folder.resolve("none"), Path.of("/proc"), Path.of("/sys"))) {
      String message =
          assertThrows(IOException.class, () -> FuseServer.open(path, false)).getMessage();
      assertTrue(message.contains(path.toString()), message);
      assertFalse(message.contains("\n"), message);
    }
  }

  @Test
  void versionIsAgreedUpon() {
    Reply reply = client.init(7, 31, -1).ok();
    assertEquals(7, reply.content().getInt(0));
    assertEquals(31, reply.content().getInt(4));
    assertEquals(1 << 20, reply.content().getInt(20));
    assertEquals(256, reply.content().getShort(28));
    assertEquals(38, client.init(7, 45, 0).ok().content().getInt(4));
    assertEquals(0, client.init(7, 45, 0).ok().content().getInt(12));
    assertEquals(-Errno.EPROTO, client.init(7, 30, 0).error());
    assertEquals(7, client.init(8, 0, 0).ok().content().getInt(0));
  }

  @Test
  void filesAreFoundWithTheirAttributes() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "hello");
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-x--x"));
    Reply found = client.lookup(ROOT, "file").ok();
    assertEquals(5, found.content().getLong(48));
    assertEquals(unix(file, "mode"), found.mode(40));
    assertEquals(unix(file, "ino"), (int) found.content().getLong(40));
    assertEquals(unix(file, "uid"), found.content().getInt(40 + 68));
    assertEquals(
        Files.getLastModifiedTime(file).toInstant().getEpochSecond(),
        found.content().getLong(40 + 32));
    assertEquals(
        Files.getLastModifiedTime(file).toInstant().getNano(), found.content().getInt(40 + 52));
    assertEquals(found.mode(40), client.getattr(found.node()).mode(16));
    assertEquals(FuseClient.ENOENT, client.lookup(ROOT, "none").error());
    assertEquals(-Errno.ENOTDIR, client.lookup(found.node(), "none").error());
    assertEquals(ROOT, client.lookup(ROOT, "..").node());
    assertEquals(found.node(), client.lookup(found.node(), ".").node());
  }

  @Test
  void hardLinksAreOneNode() throws IOException {
    long node = write("a", "x");
    assertEquals(node, client.link(node, ROOT, "b").node());
    assertEquals(2, unix(folder.resolve("b"), "nlink"));
    client.unlink(ROOT, "b").ok();
    assertEquals(1, client.getattr(node).ok().content().getInt(16 + 64));
    client.link(node, ROOT, "c").ok();
    client.unlink(ROOT, "a").ok();
    assertEquals(node, client.lookup(ROOT, "c").node());
    assertEquals(1, client.getattr(node).ok().content().getLong(16 + 8));
  }

  @Test
  void filesAreMadeWrittenAndRead() throws IOException {
    Reply made = client.create(ROOT, "new", RDWR | EXCL, 0640);
    long node = made.node();
    long handle = handle(made);
    byte[] data = new byte[40_000];
    new Random(1).nextBytes(data);
    assertEquals(data.length, client.write(node, handle, 3, data).ok().content().getInt(0));
    assertArrayEquals(
        data, java.util.Arrays.copyOfRange(Files.readAllBytes(folder.resolve("new")), 3, 40_003));
    byte[] read = new byte[data.length];
    client.read(node, handle, 3, data.length + 100).ok().content().get(read);
    assertArrayEquals(data, read);
    assertEquals(0, client.read(node, handle, 50_000, 10).ok().content().remaining());
    assertEquals(S_IFREG_0640, unix(folder.resolve("new"), "mode"));
    assertEquals(-Errno.EEXIST, client.create(ROOT, "new", RDWR | EXCL, 0640).error());
    long again = handle(client.create(ROOT, "new", RDWR | TRUNC, 0600));
    assertEquals(0, Files.size(folder.resolve("new")));
    assertEquals(S_IFREG_0640, unix(folder.resolve("new"), "mode"));
    client.release(node, again).ok();
    client.release(node, handle).ok();
    assertEquals(-Errno.EBADF, client.read(node, handle, 0, 10).error());
  }

  private static final int S_IFREG_0640 = FuseClient.S_IFREG | 0640;

  @Test
  void megabytesMoveInOneRequest() {
    Reply made = client.create(ROOT, "big", RDWR, 0600);
    byte[] data = new byte[1 << 20];
    new Random(2).nextBytes(data);
    long handle = handle(made);
    assertEquals(1 << 20, client.write(made.node(), handle, 0, data).ok().content().getInt(0));
    byte[] read = new byte[1 << 20];
    client.read(made.node(), handle, 0, 1 << 20).ok().content().get(read);
    assertArrayEquals(data, read);
  }

  @Test
  void appendingIsSaidWithEachWrite() throws IOException {
    Reply made = client.create(ROOT, "log", RDWR | APPEND, 0600);
    long node = made.node();
    long handle = handle(made);
    client.write(node, handle, 0, FuseClient.bytes("one"), 0, APPEND).ok();
    Files.writeString(folder.resolve("log"), "onetwo");
    client.write(node, handle, 3, FuseClient.bytes("three"), 0, APPEND).ok();
    assertEquals("onetwothree", Files.readString(folder.resolve("log")));
    client.write(node, handle, 0, FuseClient.bytes("ONE"), 0, 0).ok();
    client.write(node, handle, 3, FuseClient.bytes("TWO"), 1, APPEND).ok();
    assertEquals("ONETWOthree", Files.readString(folder.resolve("log")));
  }

  @Test
  void permissionsAreWhatTheGuestAsksForWhateverTheHostsMask() throws IOException {
    client.mkdir(ROOT, "d", 01777).ok();
    assertEquals(0041777, unix(folder.resolve("d"), "mode"));
    client.create(ROOT, "f", WRONLY, 0666).ok();
    assertEquals(0100666, unix(folder.resolve("f"), "mode"));
    client.mknod(ROOT, "n", FuseClient.S_IFREG | 0622, 0).ok();
    assertEquals(0100622, unix(folder.resolve("n"), "mode"));
    client.mknod(ROOT, "p", 0010666, 0).ok();
    assertEquals(0010666, unix(folder.resolve("p"), "mode"));
    client.mknod(ROOT, "s", 0140755, 0).ok();
    assertEquals(0140755, unix(folder.resolve("s"), "mode"));
    assertEquals(-Errno.EPERM, client.mknod(ROOT, "c", 0020666, 0x103).error());
    assertEquals(-Errno.EPERM, client.mknod(ROOT, "b", 0060666, 0x800).error());
    assertEquals(-Errno.EINVAL, client.mknod(ROOT, "x", 0040755, 0).error());
  }

  @Test
  void ownersAreTheGuestsWhereTheHostAllowsIt() throws IOException {
    Assumptions.assumeTrue(unix(folder, "uid") == 0, "needs root");
    client.uid = 1234;
    client.gid = 5678;
    client.mkdir(ROOT, "d", 02775).ok();
    client.create(ROOT, "f", WRONLY, 04755).ok();
    client.symlink(ROOT, "l", "d").ok();
    for (String name : List.of("d", "f", "l")) {
      assertEquals(1234, unix(folder.resolve(name), "uid"));
      assertEquals(5678, unix(folder.resolve(name), "gid"));
    }
    assertEquals(0104755, unix(folder.resolve("f"), "mode"));
    client.gid = 99;
    long inherits = client.lookup(ROOT, "d").node();
    client.mkdir(inherits, "e", 0755).ok();
    assertEquals(5678, unix(folder.resolve("d/e"), "gid"));
    assertEquals(0042755, unix(folder.resolve("d/e"), "mode"));
  }

  @Test
  void attributesAreSet() throws IOException {
    long node = write("f", "0123456789");
    Path file = folder.resolve("f");
    assertEquals(0100604, client.setattr(node, 1, 0, 0604, 0, 0).mode(16));
    assertEquals(0100604, unix(file, "mode"));
    client.setattr(node, 1 << 3, 4, 0, 0, 0).ok();
    assertEquals("0123", Files.readString(file));
    client.setattr(node, 1 << 4 | 1 << 5, 0, 0, 0, 0).ok();
    assertEquals(-5, Files.getLastModifiedTime(file).toInstant().getEpochSecond());
    assertEquals(999_999_999, Files.getLastModifiedTime(file).toInstant().getNano());
    client.setattr(node, 1 << 5 | 1 << 8, 0, 0, 0, 0).ok();
    assertTrue(Files.getLastModifiedTime(file).toMillis() > 0);
    long link = client.symlink(ROOT, "l", "f").node();
    assertEquals(-Errno.EOPNOTSUPP, client.setattr(link, 1, 0, 0777, 0, 0).error());
    assertEquals(-Errno.EINVAL, client.setattr(link, 1 << 3, 0, 0, 0, 0).error());
    client.setattr(link, 1 << 5, 0, 0, 0, 0).ok();
    assertEquals(
        -5,
        Files.getLastModifiedTime(folder.resolve("l"), LinkOption.NOFOLLOW_LINKS)
            .toInstant()
            .getEpochSecond());
    assertEquals(-Errno.EISDIR, client.setattr(ROOT, 1 << 3, 0, 0, 0, 0).error());
    if (unix(folder, "uid") == 0) {
      client.setattr(node, 1 | 2 | 4, 0, 04711, 77, 88).ok();
      assertEquals(77, unix(file, "uid"));
      assertEquals(88, unix(file, "gid"));
      assertEquals(0104711, unix(file, "mode"));
      client.setattr(node, 1 << 3 | 1 << 11, 2, 0, 0, 0).ok();
      assertEquals(0100711, unix(file, "mode"));
    }
  }

  @Test
  void writingTakesSetUserIdAwayWhenTheGuestSaysSo() throws IOException {
    long node = write("f", "x");
    client.setattr(node, 1, 0, 06755, 0, 0).ok();
    long handle = handle(client.open(node, WRONLY));
    if (unix(folder, "uid") == 0) {
      client.write(node, handle, 0, new byte[1], 0, 0).ok();
      assertEquals(0106755, unix(folder.resolve("f"), "mode"));
    }
    client.write(node, handle, 0, new byte[1], 4, 0).ok();
    assertEquals(0100755, unix(folder.resolve("f"), "mode"));
  }

  @Test
  void symbolicLinksAreReadAndNotFollowed() throws IOException {
    Path target = Files.writeString(folder.resolve("target"), "x");
    long node = client.symlink(ROOT, "link", "target").node();
    assertEquals("target", text(client.readlink(node)));
    assertEquals(Path.of("target"), Files.readSymbolicLink(folder.resolve("link")));
    assertEquals(-Errno.ELOOP, client.open(node, RDONLY).error());
    assertEquals(-Errno.ELOOP, client.create(ROOT, "link", WRONLY | TRUNC, 0600).error());
    assertEquals(-Errno.EINVAL, client.readlink(client.lookup(ROOT, "target").node()).error());
    assertEquals("x", Files.readString(target));
  }

  @Test
  void removedFilesStayUsableWhileTheyAreKnown() throws IOException {
    long node = write("f", "content");
    long handle = handle(client.open(node, RDWR));
    client.unlink(ROOT, "f").ok();
    assertFalse(Files.exists(folder.resolve("f")));
    assertEquals("content", text(client.read(node, handle, 0, 100)));
    client.write(node, handle, 0, FuseClient.bytes("CON")).ok();
    client.setattr(node, 1, 0, 0600, 0, 0).ok();
    assertEquals(0, client.getattr(node).ok().content().getInt(16 + 64));
    long second = handle(client.open(node, RDONLY));
    assertEquals("CONtent", text(client.read(node, second, 0, 100)));
    Files.writeString(folder.resolve("f"), "another");
    assertNotEquals(node, client.lookup(ROOT, "f").node());
    client.release(node, handle).ok();
    client.release(node, second).ok();
    client.forget(node, 1);
    assertEquals(-Errno.ESTALE, client.getattr(node).error());
  }

  @Test
  void filesThatTheHostRemovesStayOpen() throws IOException {
    long node = write("f", "content");
    long handle = handle(client.open(node, RDONLY));
    long other = write("g", "x");
    Files.delete(folder.resolve("f"));
    Files.delete(folder.resolve("g"));
    assertEquals("content", text(client.read(node, handle, 0, 100)));
    client.getattr(node).ok();
    assertEquals(-Errno.ESTALE, client.getattr(other).error());
  }

  @Test
  void foldersAreRemovedWhenEmpty() throws IOException {
    long d = client.mkdir(ROOT, "d", 0755).node();
    client.create(d, "f", WRONLY, 0600).ok();
    assertEquals(-39, client.rmdir(ROOT, "d").error());
    client.getattr(d).ok();
    assertEquals(-Errno.EISDIR, client.unlink(ROOT, "d").error());
    client.unlink(d, "f").ok();
    assertEquals(-Errno.ENOTDIR, rmdirOfFile());
    client.rmdir(ROOT, "d").ok();
    assertFalse(Files.exists(folder.resolve("d")));
    client.getattr(d).ok();
    assertEquals(FuseClient.ENOENT, client.create(d, "f", WRONLY, 0600).error());
  }

  private int rmdirOfFile() throws IOException {
    write("plain", "");
    return client.rmdir(ROOT, "plain").error();
  }

  @Test
  void renamesMoveNodesAndAllBelow() throws IOException {
    long a = client.mkdir(ROOT, "a", 0755).node();
    long b = client.mkdir(a, "b", 0755).node();
    long f = client.create(b, "f", WRONLY, 0600).node();
    long z = client.mkdir(ROOT, "z", 0755).node();
    client.rename(ROOT, "a", z, "A").ok();
    assertTrue(Files.exists(folder.resolve("z/A/b/f")));
    client.getattr(f).ok();
    client.create(b, "g", WRONLY, 0600).ok();
    assertTrue(Files.exists(folder.resolve("z/A/b/g")));
    client.rename(b, "f", b, "g").ok();
    assertEquals(f, client.lookup(b, "g").node());
    assertEquals(-22, client.rename(z, "A", b, "x").error());
    assertEquals(a, client.lookup(b, "..").node());
    assertEquals(FuseClient.ENOENT, client.rename(ROOT, "none", b, "x").error());
  }

  @Test
  void renamesKeepWhatTheyReplaceUsable() throws IOException {
    long old = write("old", "old");
    long fresh = write("new", "new");
    long handle = handle(client.open(old, RDONLY));
    assertEquals(-Errno.EEXIST, client.rename2(ROOT, "new", ROOT, "old", 1).error());
    client.rename2(ROOT, "new", ROOT, "old", 2).ok();
    assertEquals("old", Files.readString(folder.resolve("new")));
    assertEquals(old, client.lookup(ROOT, "new").node());
    client.rename(ROOT, "old", ROOT, "new").ok();
    assertEquals("new", Files.readString(folder.resolve("new")));
    assertEquals("old", text(client.read(old, handle, 0, 10)));
    assertEquals(0, client.getattr(old).ok().content().getInt(16 + 64));
    assertEquals(fresh, client.lookup(ROOT, "new").node());
    assertEquals(-Errno.EINVAL, client.rename2(ROOT, "new", ROOT, "w", 4).error());
  }

  @Test
  void foldersAreListed() throws IOException {
    Set<String> names = new TreeSet<>();
    for (int i = 0; i < 500; i++) {
      String name = "n" + "x".repeat(i % 200) + i;
      names.add(name);
      Files.writeString(folder.resolve(name), "");
    }
    Files.createDirectory(folder.resolve("sub"));
    names.add("sub");
    for (int size : new int[] {512, 4096, 1 << 17}) {
      for (boolean plus : new boolean[] {false, true}) {
        List<Entry> entries = client.list(ROOT, size, plus);
        assertEquals(names, entries.stream().map(Entry::text).collect(Collectors.toSet()));
        assertEquals(names.size(), entries.size());
        for (Entry entry : entries) {
          assertEquals(unix(folder.resolve(entry.text()), "ino"), (int) entry.inode());
          if (plus) {
            assertEquals(entry.node(), client.lookup(ROOT, entry.name()).node());
          }
        }
      }
    }
  }

  @Test
  void positionsInFoldersOutliveRemovals() throws IOException {
    for (int i = 0; i < 300; i++) {
      Files.writeString(folder.resolve("f" + i), "");
    }
    long handle = client.opendir(ROOT).node();
    Set<String> seen = new TreeSet<>();
    long position = 0;
    while (true) {
      List<Entry> some = client.readdir(ROOT, handle, position, 400, false);
      if (some.isEmpty()) {
        break;
      }
      for (Entry entry : some) {
        if (!entry.text().startsWith(".")) {
          assertTrue(seen.add(entry.text()));
          client.unlink(ROOT, entry.text()).ok();
        }
      }
      position = some.getLast().next();
    }
    assertEquals(300, seen.size());
    assertEquals(2, client.readdir(ROOT, handle, 0, 4096, false).size());
  }

  @Test
  void anyPositionInAFolderCanFollowAnyOther() throws IOException {
    for (int i = 0; i < 50; i++) {
      Files.writeString(folder.resolve("f" + i), "");
    }
    long handle = client.opendir(ROOT).node();
    List<Entry> all = client.readdir(ROOT, handle, 0, 1 << 15, false);
    assertEquals(52, all.size());
    for (int i = 0; i + 1 < all.size(); i++) {
      int told = client.readdir(ROOT, handle, 0, 400, false).size();
      assertTrue(told > 3 && told < 50);
      Entry next = client.readdir(ROOT, handle, all.get(i).next(), 400, false).getFirst();
      assertEquals(all.get(i + 1).text(), next.text());
    }
  }

  @Test
  void namesAreBytes() throws IOException {
    byte[] name = {(byte) 0xff, (byte) 0xfe, ' ', '\n', (byte) 0x80};
    long node = client.create(ROOT, name, WRONLY, 0600).node();
    assertEquals(node, client.lookup(ROOT, name).node());
    List<Entry> entries = client.list(ROOT, 4096, true);
    assertEquals(1, entries.size());
    assertArrayEquals(name, entries.getFirst().name());
    client.getattr(node).ok();
    client.call(Opcode.UNLINK, ROOT, new Out().putName(name)).ok();
    assertEquals(-Errno.ENAMETOOLONG, client.lookup(ROOT, "x".repeat(256)).error());
    client.create(ROOT, "x".repeat(255), WRONLY, 0600).ok();
    client.unlink(ROOT, "x".repeat(255)).ok();
  }

  @Test
  void deepFoldersAreReached() throws IOException {
    long at = ROOT;
    String name = "d".repeat(200);
    for (int i = 0; i < 100; i++) {
      at = client.mkdir(at, name, 0755).node();
    }
    long file = client.create(at, "f", WRONLY, 0600).node();
    client.getattr(file).ok();
    client.unlink(at, "f").ok();
    long parent = at;
    for (int i = 0; i < 100; i++) {
      parent = client.lookup(parent, "..").node();
      client.rmdir(parent, name).ok();
    }
    assertEquals(ROOT, parent);
  }

  @Test
  void extendedAttributesOfUsersAreKept() throws IOException {
    long node = write("f", "");
    Out set = new Out().putInt(3).putInt(0).putName(FuseClient.bytes("user.a"));
    int result = client.call(Opcode.SETXATTR, node, set.putBytes(new byte[] {1, 2, 3})).error();
    Assumptions.assumeTrue(result != -Errno.EOPNOTSUPP, "the host's file system has none");
    assertEquals(0, result);
    assertArrayEquals(
        new byte[] {1, 2, 3}, (byte[]) Files.getAttribute(folder.resolve("f"), "user:a"));
    Out get = new Out().putInt(100).putInt(0).putName(FuseClient.bytes("user.a"));
    assertEquals(3, client.call(Opcode.GETXATTR, node, get).ok().content().remaining());
    Out size = new Out().putInt(0).putInt(0).putName(FuseClient.bytes("user.a"));
    assertEquals(3, client.call(Opcode.GETXATTR, node, size).ok().content().getInt(0));
    Out small = new Out().putInt(2).putInt(0).putName(FuseClient.bytes("user.a"));
    assertEquals(-Errno.ERANGE, client.call(Opcode.GETXATTR, node, small).error());
    Reply list = client.call(Opcode.LISTXATTR, node, new Out().putInt(1000).putInt(0));
    assertEquals("user.a\0", text(list));
    for (String name : List.of("security.capability", "trusted.x", "system.posix_acl_access")) {
      Out bad = new Out().putInt(1).putInt(0).putName(FuseClient.bytes(name)).putInt(0);
      assertEquals(-Errno.EOPNOTSUPP, client.call(Opcode.SETXATTR, node, bad).error());
      assertEquals(-Errno.EOPNOTSUPP, client.call(Opcode.GETXATTR, node, bad).error());
      Out remove = new Out().putName(FuseClient.bytes(name));
      assertEquals(-Errno.EOPNOTSUPP, client.call(Opcode.REMOVEXATTR, node, remove).error());
    }
    Out remove = new Out().putName(FuseClient.bytes("user.a"));
    client.call(Opcode.REMOVEXATTR, node, remove).ok();
    assertEquals(-Errno.ENODATA, client.call(Opcode.GETXATTR, node, get).error());
  }

  private Out allocation(long handle, long position, long length, int mode) {
    return new Out().putLong(handle).putLong(position).putLong(length).putInt(mode).putInt(0);
  }

  @Test
  void roomIsAllocatedAndGivenBack() throws IOException {
    Reply made = client.create(ROOT, "f", RDWR, 0600);
    long node = made.node();
    long handle = handle(made);
    client.write(node, handle, 0, new byte[64 << 10]).ok();
    client.write(node, handle, 0, FuseClient.bytes("x".repeat(16384))).ok();
    client.call(Opcode.FALLOCATE, node, allocation(handle, 0, 1 << 20, 0)).ok();
    assertEquals(1 << 20, Files.size(folder.resolve("f")));
    client.call(Opcode.FALLOCATE, node, allocation(handle, 0, 8192, 3)).ok();
    assertEquals(0, Files.readAllBytes(folder.resolve("f"))[8191]);
    assertEquals('x', Files.readAllBytes(folder.resolve("f"))[8192]);
    Out data = new Out().putLong(handle).putLong(0).putInt(3).putInt(0);
    assertEquals(8192, client.call(Opcode.LSEEK, node, data).ok().content().getLong(0));
    Out hole = new Out().putLong(handle).putLong(0).putInt(4).putInt(0);
    assertEquals(0, client.call(Opcode.LSEEK, node, hole).ok().content().getLong(0));
    assertEquals(
        -Errno.EOPNOTSUPP,
        client.call(Opcode.FALLOCATE, node, allocation(handle, 0, 4096, 8)).error());
  }

  @Test
  void rangesAreCopiedOnTheHost() throws IOException {
    long from = write("from", "0123456789");
    long to = write("to", "");
    long source = handle(client.open(from, RDONLY));
    long target = handle(client.open(to, WRONLY));
    Out body = new Out().putLong(source).putLong(2).putLong(to).putLong(target).putLong(1);
    Reply copied = client.call(Opcode.COPY_FILE_RANGE, from, body.putLong(100).putLong(0));
    assertEquals(8, copied.ok().content().getInt(0));
    assertEquals("\00023456789", Files.readString(folder.resolve("to")));
  }

  @Test
  void theRestIsAnswered() throws IOException {
    long node = write("f", "x");
    long handle = handle(client.open(node, RDWR));
    Out sync = new Out().putLong(handle).putInt(1).putInt(0);
    client.call(Opcode.FSYNC, node, sync).ok();
    long opened = client.opendir(ROOT).node();
    client.call(Opcode.FSYNCDIR, ROOT, new Out().putLong(opened).putLong(0)).ok();
    Reply statfs = client.call(Opcode.STATFS, ROOT, new Out()).ok();
    assertEquals(255, statfs.content().getInt(44));
    assertTrue(statfs.content().getLong(0) > 0);
    client.call(Opcode.ACCESS, node, new Out().putInt(4).putInt(0)).ok();
    Out statx = new Out().putInt(0).putInt(0).putLong(0).putInt(0).putInt(0xfff);
    Reply extended = client.call(Opcode.STATX, node, statx).ok();
    assertEquals(1, extended.content().getLong(32 + 40));
    for (int opcode : new int[] {25, 31, 32, 33, 37, 39, 40, 48, 49, 99, -1}) {
      Out any = new Out();
      for (int i = 0; i < 12; i++) {
        any.putLong(handle);
      }
      assertEquals(-Errno.ENOSYS, client.call(opcode, node, any).error());
    }
    assertEquals(null, client.call(Opcode.INTERRUPT, 0, new Out().putLong(5)));
    client.call(Opcode.SYNCFS, ROOT, new Out().putLong(0)).ok();
    client.call(Opcode.DESTROY, 0, new Out()).ok();
    assertEquals(-Errno.EIO, client.getattr(ROOT).error());
  }

  @Test
  void filesWithoutNamesGetOne() throws IOException {
    Out body = new Out().putInt(RDWR).putInt(0600).putInt(0).putInt(0);
    Reply made = client.call(Opcode.TMPFILE, ROOT, body.putName(FuseClient.bytes("#1")));
    Assumptions.assumeTrue(made.error() != -Errno.EOPNOTSUPP);
    long node = made.node();
    client.write(node, handle(made), 0, FuseClient.bytes("x")).ok();
    assertEquals(0, client.list(ROOT, 4096, false).size());
    assertEquals(node, client.link(node, ROOT, "named").node());
    assertEquals("x", Files.readString(folder.resolve("named")));
  }

  @Test
  void fifosAndSocketsAreNeverOpened() throws IOException {
    long fifo = client.mknod(ROOT, "p", 0010600, 0).node();
    assertEquals(-Errno.ENXIO, client.open(fifo, RDONLY).error());
    assertEquals(-Errno.ENXIO, client.create(ROOT, "p", WRONLY, 0600).error());
    assertEquals(-Errno.EINVAL, client.setattr(fifo, 1 << 3, 0, 0, 0, 0).error());
    assertEquals(-Errno.ENOTDIR, client.opendir(fifo).error());
    assertEquals(-Errno.EISDIR, client.open(ROOT, RDONLY).error());
    client.setattr(fifo, 1 | 1 << 5, 0, 0644, 0, 0).ok();
  }

  @Test
  void resetClosesAndForgetsAll() throws IOException {
    long node = write("f", "x");
    long handle = handle(client.open(node, RDONLY));
    client.unlink(ROOT, "f").ok();
    long before = descriptors();
    server.reset();
    assertEquals(before - 2, descriptors());
    assertEquals(-Errno.EIO, client.read(node, handle, 0, 1).error());
    client.init(7, 38, -1).ok();
    assertEquals(-Errno.EBADF, client.read(node, handle, 0, 1).error());
    server.close();
    assertEquals(-Errno.ENODEV, client.getattr(ROOT).error());
  }

  static long descriptors() throws IOException {
    try (var files = Files.list(Path.of("/proc/self/fd"))) {
      return files.count();
    }
  }

  @Test
  void readsAreNotMoreThanThereIsRoomFor() throws IOException {
    long node = write("f", "0123456789");
    long handle = handle(client.open(node, RDONLY));
    Out body = new Out().putLong(handle).putLong(0).putInt(-1).putInt(0);
    body.putLong(0).putInt(0).putInt(0);
    assertEquals(4, client.call(Opcode.READ, node, body, 20).ok().content().remaining());
    ByteBuffer all = client.call(Opcode.READ, node, body, 4096).ok().content();
    assertEquals(10, all.remaining());
  }
}
