package dev.bothy.share;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.host.FileCalls;
import dev.bothy.share.FuseClient.Out;
import dev.bothy.share.FuseClient.Reply;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Requests that no kernel sends, and more of others than is good. */
class HostileGuestTest extends ShareTest {
  private static final int RDWR = 2;

  @Test
  void requestsThatEndEarlyAreRefused() {
    for (int size = 0; size < 40; size++) {
      assertEquals(-Errno.EIO, client.raw(new byte[size], 100).error());
      assertNull(client.raw(new byte[size], 15));
    }
    for (int opcode = 0; opcode < 60; opcode++) {
      for (int size = 0; size < 100; size++) {
        if (opcode != Opcode.INIT && opcode != Opcode.DESTROY) {
          client.call(opcode, ROOT, new Out().putBytes(new byte[size]));
        }
      }
    }
    client.getattr(ROOT).ok();
  }

  @Test
  void lengthsThatLieAreRefused() {
    for (int length : new int[] {0, 39, 57, -1, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      Out header = new Out().putInt(length).putInt(Opcode.GETATTR).putLong(9).putLong(ROOT);
      header.putLong(0).putLong(0).putLong(0).putLong(0);
      assertEquals(-Errno.EIO, client.raw(header.toBytes(), 200).error());
    }
    Reply made = client.create(ROOT, "f", RDWR, 0600);
    long handle = made.content().getLong(128);
    for (int size : new int[] {4, -1, Integer.MAX_VALUE}) {
      Out body = new Out().putLong(handle).putLong(0).putInt(size).putInt(0);
      body.putLong(0).putLong(0).putBytes(new byte[3]);
      assertEquals(-Errno.EINVAL, client.call(Opcode.WRITE, made.node(), body).error());
    }
    Out forget = new Out().putInt(-1).putInt(0).putLong(made.node()).putLong(1);
    client.call(Opcode.BATCH_FORGET, 0, forget);
    client.getattr(made.node()).ok();
    Out attribute = new Out().putInt(-1).putInt(0).putName(FuseClient.bytes("user.x"));
    assertEquals(-Errno.EINVAL, client.call(Opcode.SETXATTR, ROOT, attribute).error());
    Out unended = new Out().putBytes(FuseClient.bytes("name"));
    assertEquals(-Errno.EINVAL, client.call(Opcode.LOOKUP, ROOT, unended).error());
  }

  @Test
  void negativePlacesAreTheHostsErrors() {
    Reply made = client.create(ROOT, "f", RDWR, 0600);
    long node = made.node();
    long handle = made.content().getLong(128);
    assertEquals(-Errno.EINVAL, client.read(node, handle, -1, 10).error());
    assertEquals(-Errno.EINVAL, client.write(node, handle, Long.MIN_VALUE, new byte[1]).error());
    assertTrue(client.write(node, handle, Long.MAX_VALUE - 1, new byte[9]).error() < 0);
    assertEquals(-Errno.EINVAL, client.setattr(node, 1 << 3, -1, 0, 0, 0).error());
    long opened = client.opendir(ROOT).node();
    assertTrue(client.readdirReply(ROOT, opened, -1, 4096, false).error() <= 0);
    assertEquals(-Errno.EINVAL, client.readdirReply(ROOT, opened, 0, 20, false).error());
  }

  @Test
  void handlesAreOfTheirNodeAndKind() throws IOException {
    Files.writeString(folder.resolve("other"), "x");
    long other = client.lookup(ROOT, "other").node();
    Reply made = client.create(ROOT, "f", RDWR, 0600);
    long node = made.node();
    long file = made.content().getLong(128);
    long opened = client.opendir(ROOT).node();
    assertEquals(-Errno.EBADF, client.read(other, file, 0, 1).error());
    assertEquals(-Errno.EBADF, client.read(ROOT, opened, 0, 1).error());
    assertEquals(-Errno.EBADF, client.readdirReply(node, file, 0, 4096, true).error());
    assertEquals(-Errno.EBADF, client.write(node, opened, 0, new byte[1]).error());
    for (long forged : new long[] {0, -1, file + 1000, Long.MIN_VALUE}) {
      assertEquals(-Errno.EBADF, client.read(node, forged, 0, 1).error());
      client.release(node, forged).ok();
    }
    client.release(ROOT, opened).ok();
    client.readdir(ROOT, opened, 0, 4096, false);
    client.release(node, file).ok();
    client.release(node, file).ok();
    assertEquals(-Errno.EBADF, client.read(node, file, 0, 1).error());
  }

  @Test
  void nodesAreForgottenOnce() throws IOException {
    Files.writeString(folder.resolve("f"), "x");
    long node = client.lookup(ROOT, "f").node();
    client.lookup(ROOT, "f").ok();
    client.forget(node, 1);
    client.getattr(node).ok();
    client.forget(node, Long.MAX_VALUE);
    assertEquals(-Errno.ESTALE, client.getattr(node).error());
    client.forget(node, -1);
    client.forget(ROOT, -1);
    client.getattr(ROOT).ok();
    long again = client.lookup(ROOT, "f").node();
    assertTrue(again > node);
    client.forget(again, -1);
    assertEquals(-Errno.ESTALE, client.getattr(again).error());
    for (long unknown : new long[] {0, -1, again + 1, Long.MAX_VALUE}) {
      assertEquals(-Errno.ESTALE, client.getattr(unknown).error());
      assertEquals(-Errno.ESTALE, client.lookup(unknown, "x").error());
      assertEquals(-Errno.ESTALE, client.rename(ROOT, "f", unknown, "g").error());
      assertEquals(-Errno.ESTALE, client.link(unknown, ROOT, "g").error());
    }
  }

  @Test
  void foldersForgottenBeforeTheirFilesKeepThemReachable() throws IOException {
    Files.createDirectories(folder.resolve("a/b"));
    Files.writeString(folder.resolve("a/b/f"), "x");
    long a = client.lookup(ROOT, "a").node();
    long b = client.lookup(a, "b").node();
    long f = client.lookup(b, "f").node();
    client.forget(a, 1);
    client.forget(b, 1);
    assertEquals(-Errno.ESTALE, client.getattr(a).error());
    client.getattr(f).ok();
    assertEquals(a, client.lookup(ROOT, "a").node());
    client.forget(f, 1);
    assertEquals(FuseClient.ENOENT, client.lookup(a, "none").error());
    assertEquals(-Errno.ESTALE, client.getattr(f).error());
  }

  @Test
  void randomRequestsLeaveNothingOpen() throws IOException {
    Random random = new Random(4);
    List<Long> numbers = new ArrayList<>(List.of(0L, ROOT, -1L));
    long descriptors = FuseServerTest.descriptors();
    for (int i = 0; i < 20_000; i++) {
      Out body = new Out();
      int values = random.nextInt(12);
      for (int j = 0; j < values; j++) {
        switch (random.nextInt(5)) {
          case 0 -> body.putLong(numbers.get(random.nextInt(numbers.size())));
          case 1 -> body.putInt(random.nextInt(4096)).putInt(0);
          case 2 -> body.putLong(random.nextLong());
          case 3 -> body.putName(FuseClient.bytes("n" + random.nextInt(20)));
          default -> body.putLong(0);
        }
      }
      int opcode = random.nextInt(55);
      // What has random permissions could not be deleted afterwards.
      if (opcode == Opcode.DESTROY || opcode == Opcode.SYNCFS || opcode == Opcode.SETATTR) {
        continue;
      }
      long node = numbers.get(random.nextInt(numbers.size()));
      Reply reply = client.call(opcode, node, body, random.nextInt(600));
      if (reply != null && reply.error() == 0 && reply.content().remaining() >= 8) {
        long number = reply.content().order(ByteOrder.LITTLE_ENDIAN).getLong(0);
        if (numbers.size() > 100) {
          numbers.set(3 + random.nextInt(90), number);
        } else {
          numbers.add(number);
        }
      }
      if (opcode == Opcode.INIT) {
        client.init(7, 38, -1).ok();
      }
    }
    server.reset();
    assertEquals(descriptors, FuseServerTest.descriptors());
    try (var around = Files.list(folder.getParent())) {
      assertTrue(around.noneMatch(path -> path.getFileName().toString().matches("n\\d+")));
    }
  }

  @Test
  void repliesThatDoNotFitChangeNothing() {
    Out body = new Out().putInt(0755).putInt(0).putName(FuseClient.bytes("d"));
    assertEquals(-Errno.EIO, client.call(Opcode.MKDIR, ROOT, body, 100).error());
    assertNull(client.call(Opcode.MKDIR, ROOT, body, 0));
    assertEquals(FuseClient.ENOENT, client.lookup(ROOT, "d").error());
    Out create = new Out().putInt(RDWR).putInt(0600).putLong(0);
    create.putName(FuseClient.bytes("f"));
    assertEquals(-Errno.EIO, client.call(Opcode.CREATE, ROOT, create, 150).error());
    assertEquals(FuseClient.ENOENT, client.lookup(ROOT, "f").error());
  }

  @Test
  void openFilesAreLimited() throws IOException {
    Files.writeString(folder.resolve("f"), "x");
    long node = client.lookup(ROOT, "f").node();
    long before = FuseServerTest.descriptors();
    List<Long> handles = new ArrayList<>();
    Reply reply = client.open(node, 0);
    while (reply.error() == 0) {
      handles.add(reply.node());
      reply = client.open(node, 0);
    }
    assertEquals(-Errno.ENFILE, reply.error());
    assertEquals(before + handles.size(), FuseServerTest.descriptors());
    assertTrue(handles.size() <= 1 << 16);
    assertEquals(-Errno.ENFILE, client.opendir(ROOT).error());
    assertEquals(-Errno.ENFILE, client.create(ROOT, "g", RDWR, 0600).error());
    // What needs none still works.
    client.getattr(node).ok();
    client.release(node, handles.getFirst()).ok();
    client.open(node, 0).ok();
    server.reset();
    assertEquals(before, FuseServerTest.descriptors());
  }

  @Test
  void removedFilesThatAreKeptAreLimited() throws Exception {
    DescriptorBudget budget = new DescriptorBudget(160);
    Nodes nodes = new Nodes(new FileIdentity(1, 1, 1, 1), budget, 1000);
    long before = FuseServerTest.descriptors();
    List<Node> removed = new ArrayList<>();
    for (int i = 2; i < 100; i++) {
      byte[] name = {(byte) i};
      Node node = nodes.enter(new FileIdentity(1, i, 1, 0100000), nodes.root(), name);
      Path file = Files.createFile(folder.resolve("f" + i));
      try (Descriptor descriptor = new Descriptor(FileCalls.open(file, 02000000, 0))) {
        nodes.removing(node, descriptor);
        nodes.removed(node, nodes.root(), name, descriptor, true);
      }
      removed.add(node);
    }
    assertEquals(before + 10, FuseServerTest.descriptors());
    assertEquals(10, budget.taken());
    assertNull(nodes.pin(removed.getFirst()));
    nodes.pin(removed.getLast()).close();
    nodes.forget(removed.getLast().id, 1);
    assertEquals(9, budget.taken());
    nodes.close();
    assertEquals(0, budget.taken());
    assertEquals(before, FuseServerTest.descriptors());
  }

  @Test
  void knownFilesAreLimited() throws FuseException {
    Nodes nodes = new Nodes(new FileIdentity(1, 1, 1, 1), new DescriptorBudget(100), 10);
    for (int i = 2; i < 11; i++) {
      nodes.enter(new FileIdentity(1, i, 1, 0100000), nodes.root(), new byte[] {(byte) i});
    }
    try {
      nodes.enter(new FileIdentity(1, 99, 1, 0100000), nodes.root(), new byte[] {99});
      throw new AssertionError("one too many");
    } catch (FuseException e) {
      assertEquals(Errno.ENFILE, e.errno());
    }
    nodes.enter(new FileIdentity(1, 5, 1, 0100000), nodes.root(), new byte[] {5});
    nodes.forget(4, 1);
    nodes.enter(new FileIdentity(1, 99, 1, 0100000), nodes.root(), new byte[] {99});
    assertEquals(10, nodes.size());
  }

  @Test
  void namesThatFilesHaveBesidesTheFirstAreLimited() throws FuseException {
    Nodes nodes = new Nodes(new FileIdentity(1, 1, 1, 1), new DescriptorBudget(100), 40);
    for (int i = 2; i < 6; i++) {
      for (byte name = 0; name < 30; name++) {
        nodes.enter(new FileIdentity(1, i, 1, 0100000), nodes.root(), new byte[] {(byte) i, name});
      }
    }
    assertEquals(4 + 40 / 4, names(nodes));
    // The name that was seen last is among them.
    for (Node node : nodes.all()) {
      assertTrue(node == nodes.root() || node.names.getFirst().text()[1] == 29);
    }
    for (int i = 2; i < 5; i++) {
      nodes.forget(i, 30);
    }
    for (byte name = 0; name < 30; name++) {
      nodes.enter(new FileIdentity(1, 5, 1, 0100000), nodes.root(), new byte[] {name});
    }
    assertEquals(1 + 40 / 4, names(nodes));
  }

  @Test
  void aFileForgottenWhileItIsRenamedKeepsNoFolder() throws FuseException {
    Nodes nodes = new Nodes(new FileIdentity(1, 1, 1, 1), new DescriptorBudget(100), 10);
    byte[] name = {'n'};
    Node folder = nodes.enter(new FileIdentity(1, 2, 1, 0040000), nodes.root(), new byte[] {'d'});
    Node file = nodes.enter(new FileIdentity(1, 3, 1, 0100000), nodes.root(), name);
    nodes.forget(file.id, 1);
    nodes.moved(file, nodes.root(), name, folder, name);
    nodes.forget(folder.id, 1);
    assertEquals(1, nodes.size());
  }

  private static int names(Nodes nodes) {
    return nodes.all().stream().mapToInt(node -> node.names.size()).sum();
  }

  @Test
  void hundredThousandFilesAreKnownWithoutDescriptors() throws IOException {
    // In memory, where there is some: disks take minutes.
    Path memory = Path.of("/dev/shm");
    Path many = Files.createTempDirectory(Files.isWritable(memory) ? memory : folder, "bothy-test");
    try (FuseServer other = FuseServer.open(many, false)) {
      FuseClient guest = new FuseClient(other);
      long before = FuseServerTest.descriptors();
      long last = 0;
      for (int i = 0; i < 100_000; i++) {
        last = guest.symlink(ROOT, "l" + i, "x").node();
      }
      assertTrue(last > 100_000, "only " + last);
      assertEquals(before, FuseServerTest.descriptors());
      for (long id = 2; id <= last; id += 997) {
        guest.getattr(id).ok();
      }
      List<FuseClient.Entry> entries = guest.list(ROOT, 1 << 17, false);
      assertEquals(100_000, entries.size());
      for (FuseClient.Entry entry : entries) {
        Files.delete(many.resolve(entry.text()));
      }
    } finally {
      Files.delete(many);
    }
  }
}
