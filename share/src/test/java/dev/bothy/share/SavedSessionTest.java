package dev.bothy.share;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.share.FuseClient.Entry;
import dev.bothy.share.FuseClient.Reply;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SavedSessionTest extends ShareTest {

  @TempDir Path elsewhere;

  private byte[] save() {
    StateWriter out = new StateWriter();
    server.save(out);
    return out.toByteArray();
  }

  private static void load(FuseServer into, byte[] state) throws StateException {
    StateReader in = new StateReader("share", state);
    into.load(in);
    in.end();
  }

  private static String text(Reply reply) {
    return StandardCharsets.UTF_8.decode(reply.ok().content()).toString();
  }

  @Test
  void nodesAndHandlesAreAsBefore() throws Exception {
    long d = client.mkdir(ROOT, "d", 0755).node();
    Reply made = client.create(d, "f", 2, 0600);
    long f = made.node();
    long handle = made.content().getLong(128);
    client.write(f, handle, 0, FuseClient.bytes("before")).ok();
    client.lookup(d, "f").ok();
    long opened = client.opendir(d).node();
    List<Entry> dots = client.readdir(d, opened, 0, 80, false);
    byte[] state = save();
    try (FuseServer other = FuseServer.open(folder, false)) {
      FuseClient same = new FuseClient(other);
      load(other, state);
      StateWriter again = new StateWriter();
      other.save(again);
      assertArrayEquals(state, again.toByteArray());
      assertEquals("before", text(same.read(f, handle, 0, 100)));
      same.write(f, handle, 6, FuseClient.bytes("+after")).ok();
      assertEquals("before+after", Files.readString(folder.resolve("d/f")));
      assertEquals(f, same.lookup(d, "f").node());
      List<Entry> rest = same.readdir(d, opened, dots.getLast().next(), 4096, false);
      assertEquals(3, dots.size() + rest.size());
      same.forget(f, 2);
      same.getattr(f).ok();
      same.forget(f, 1);
      assertEquals(-Errno.ESTALE, same.getattr(f).error());
      assertTrue(same.create(d, "g", 1, 0600).node() > f);
    }
  }

  @Test
  void whatIsGoneAnswersStale() throws Exception {
    long kept = client.mknod(ROOT, "kept", 0100600, 0).node();
    long gone = client.mknod(ROOT, "gone", 0100600, 0).node();
    long replaced = client.mknod(ROOT, "replaced", 0100600, 0).node();
    long removed = client.mknod(ROOT, "removed", 0100600, 0).node();
    long handle = client.open(gone, 0).node();
    client.unlink(ROOT, "removed").ok();
    byte[] state = save();
    Files.delete(folder.resolve("gone"));
    Files.createFile(folder.resolve("new"));
    Files.move(
        folder.resolve("new"),
        folder.resolve("replaced"),
        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    try (FuseServer other = FuseServer.open(folder, false)) {
      FuseClient same = new FuseClient(other);
      load(other, state);
      same.getattr(kept).ok();
      for (long node : new long[] {gone, replaced, removed}) {
        assertEquals(-Errno.ESTALE, same.getattr(node).error());
      }
      assertEquals(-Errno.EBADF, same.read(gone, handle, 0, 1).error());
      assertTrue(same.lookup(ROOT, "replaced").node() > removed);
      StateWriter again = new StateWriter();
      other.save(again);
      load(other, again.toByteArray());
      assertEquals(-Errno.ESTALE, same.getattr(gone).error());
    }
  }

  @Test
  void inACopyOfTheFolderNamesDecide() throws Exception {
    long d = client.mkdir(ROOT, "d", 0755).node();
    long f = client.mknod(d, "f", 0100600, 0).node();
    long changed = client.mknod(d, "changed", 0100600, 0).node();
    long handle = client.open(f, 0).node();
    byte[] state = save();
    Files.createDirectories(elsewhere.resolve("d/changed"));
    Files.writeString(elsewhere.resolve("d/f"), "copied");
    try (FuseServer other = FuseServer.open(elsewhere, false)) {
      FuseClient same = new FuseClient(other);
      load(other, state);
      assertEquals("copied", text(same.read(f, handle, 0, 100)));
      assertEquals(f, same.lookup(d, "f").node());
      assertEquals(-Errno.ESTALE, same.getattr(changed).error());
    }
  }

  @Test
  void stateOfAWritingGuestIsReadOnlyInAShareThatIs() throws Exception {
    Reply made = client.create(ROOT, "f", 2, 0600);
    byte[] state = save();
    try (FuseServer other = FuseServer.open(folder, true)) {
      FuseClient same = new FuseClient(other);
      load(other, state);
      long handle = made.content().getLong(128);
      assertEquals(-Errno.EROFS, same.write(made.node(), handle, 0, new byte[1]).error());
      assertEquals(0, same.read(made.node(), handle, 0, 1).ok().content().remaining());
    }
  }

  @Test
  void damagedStateIsRefusedAndChangesNothing() throws Exception {
    long d = client.mkdir(ROOT, "d", 0755).node();
    Reply made = client.create(d, "f", 2, 0600);
    client.link(made.node(), ROOT, "l").ok();
    byte[] state = save();
    long descriptors = FuseServerTest.descriptors();
    for (int length = 0; length < state.length; length++) {
      byte[] cut = java.util.Arrays.copyOf(state, length);
      assertThrows(StateException.class, () -> load(server, cut));
    }
    client.getattr(made.node()).ok();
    Random random = new Random(5);
    int refused = 0;
    for (int i = 0; i < 5_000; i++) {
      byte[] damaged = state.clone();
      for (int j = random.nextInt(3); j >= 0; j--) {
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt();
      }
      try {
        load(server, damaged);
        client.getattr(d);
        client.getattr(made.node());
        client.lookup(d, "f");
      } catch (StateException e) {
        refused++;
      }
    }
    assertTrue(refused > 100);
    load(server, state);
    client.getattr(made.node()).ok();
    assertEquals(descriptors, FuseServerTest.descriptors());
  }

  /**
   * The state of a guest that knows so many folders, each in the one before, the first in {@code
   * top}.
   */
  private static byte[] nested(int folders, long top) {
    StateWriter out = new StateWriter();
    out.putBoolean(true).putLong(1).putLong(2).putLong(3).putInt(0040000);
    out.putLong(ROOT + 1 + folders).putInt(folders);
    for (int i = 0; i < folders; i++) {
      out.putLong(ROOT + 1 + i).putLong(1).putBoolean(true);
      out.putLong(1).putLong(100 + i).putLong(0).putInt(0040000);
      out.putInt(1).putLong(i == 0 ? top : ROOT + i).putBytes(FuseClient.bytes("d"));
    }
    return out.putLong(1).putInt(0).toByteArray();
  }

  @Test
  void foldersInEachOtherAreRefused() throws Exception {
    for (int folders : new int[] {1, 2, 3, 100_000}) {
      byte[] state = nested(folders, ROOT + folders);
      assertThrows(StateException.class, () -> load(server, state));
    }
    client.mkdir(ROOT, "d", 0755).ok();
  }

  @Test
  void anyNumberOfFoldersWithinFoldersIsLoadedAsFarAsThereAreSuch() throws Exception {
    int folders = 300_000;
    Files.createDirectories(folder.resolve("d/d/d"));
    load(server, nested(folders, ROOT));
    client.getattr(ROOT + 3).ok();
    assertEquals(-Errno.ESTALE, client.getattr(ROOT + 4).error());
    assertEquals(-Errno.ENAMETOOLONG, client.getattr(ROOT + folders).error());
  }
}
