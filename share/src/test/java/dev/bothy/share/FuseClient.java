package dev.bothy.share;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * What a guest's kernel says to a share, one request after the other. Replies and requests lie in
 * pieces of odd sizes. Not thread-safe; several may talk to one server.
 */
final class FuseClient {
  static final long ROOT = 1;
  static final int ENOENT = -2;
  static final int S_IFREG = 0100000;

  private final FuseServer server;

  /** Whose requests they are. */
  int uid;

  int gid;

  private long unique = 1;

  FuseClient(FuseServer server) {
    this.server = server;
    assertEquals(0, init(7, 38, -1).error);
  }

  private FuseClient(FuseClient other) {
    server = other.server;
  }

  /** Another thread of the same guest. */
  FuseClient another() {
    return new FuseClient(this);
  }

  /** What came back. */
  record Reply(int error, ByteBuffer content) {
    Reply {
      content.order(ByteOrder.LITTLE_ENDIAN);
    }

    /** The node of an entry. */
    long node() {
      assertEquals(0, error);
      return content.getLong(0);
    }

    Reply ok() {
      assertEquals(0, error);
      return this;
    }

    /** Attributes behind {@code offset}. */
    int mode(int offset) {
      ok();
      return content.getInt(offset + 60);
    }
  }

  /** Values in order, little-endian. */
  static final class Out {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    Out putInt(int value) {
      for (int i = 0; i < 4; i++) {
        bytes.write(value >>> 8 * i);
      }
      return this;
    }

    Out putLong(long value) {
      return putInt((int) value).putInt((int) (value >>> 32));
    }

    Out putName(byte[] name) {
      bytes.writeBytes(name);
      bytes.write(0);
      return this;
    }

    Out putBytes(byte[] value) {
      bytes.writeBytes(value);
      return this;
    }

    byte[] toBytes() {
      return bytes.toByteArray();
    }
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  Reply call(int opcode, long node, Out body) {
    return call(opcode, node, body, 1 << 16);
  }

  Reply call(int opcode, long node, Out body, int room) {
    byte[] arguments = body.toBytes();
    Out header = new Out();
    header.putInt(40 + arguments.length).putInt(opcode).putLong(++unique).putLong(node);
    header.putInt(uid).putInt(gid).putInt(1).putInt(0);
    header.putBytes(arguments);
    return raw(header.toBytes(), room);
  }

  /** Any bytes at all as a request. */
  Reply raw(byte[] request, int room) {
    try (Arena arena = Arena.ofConfined()) {
      List<MemorySegment> in = pieces(arena, request.length, 61);
      scatter(request, in);
      List<MemorySegment> out = pieces(arena, room, 37);
      int size = server.serve(in, out);
      if (size == 0) {
        return null;
      }
      assertTrue(size >= 16 && size <= room, "size " + size);
      byte[] reply = gather(out, size);
      ByteBuffer buffer = ByteBuffer.wrap(reply).order(ByteOrder.LITTLE_ENDIAN);
      assertEquals(size, buffer.getInt(0));
      int error = buffer.getInt(4);
      assertTrue(error <= 0 && error > -512, "error " + error);
      assertTrue(error == 0 || size == 16);
      return new Reply(error, buffer.slice(16, size - 16));
    }
  }

  private static List<MemorySegment> pieces(Arena arena, int size, int first) {
    List<MemorySegment> pieces = new ArrayList<>();
    int left = size;
    for (int next = first; left > 0; next = Math.min(next * 3, 1 << 18)) {
      int count = Math.min(next, left);
      pieces.add(arena.allocate(count, 8));
      left -= count;
    }
    return pieces;
  }

  private static void scatter(byte[] bytes, List<MemorySegment> pieces) {
    int at = 0;
    for (MemorySegment piece : pieces) {
      MemorySegment.copy(bytes, at, piece, JAVA_BYTE, 0, (int) piece.byteSize());
      at += (int) piece.byteSize();
    }
  }

  private static byte[] gather(List<MemorySegment> pieces, int size) {
    byte[] bytes = new byte[size];
    int at = 0;
    for (MemorySegment piece : pieces) {
      int count = (int) Math.min(piece.byteSize(), size - at);
      MemorySegment.copy(piece, JAVA_BYTE, 0, bytes, at, count);
      at += count;
    }
    return bytes;
  }

  Reply init(int major, int minor, int flags) {
    Out body = new Out().putInt(major).putInt(minor).putInt(1 << 17).putInt(flags);
    for (int i = 0; i < 12; i++) {
      body.putInt(0);
    }
    return call(Opcode.INIT, 0, body);
  }

  Reply lookup(long parent, String name) {
    return lookup(parent, bytes(name));
  }

  Reply lookup(long parent, byte[] name) {
    return call(Opcode.LOOKUP, parent, new Out().putName(name));
  }

  void forget(long node, long count) {
    assertEquals(null, call(Opcode.FORGET, node, new Out().putLong(count)));
  }

  Reply getattr(long node) {
    return call(Opcode.GETATTR, node, new Out().putInt(0).putInt(0).putLong(0));
  }

  /** SETATTR of a mode, an owner or a size, as {@code valid} says. */
  Reply setattr(long node, int valid, long size, int mode, int newUid, int newGid) {
    Out body = new Out().putInt(valid).putInt(0).putLong(0).putLong(size).putLong(0);
    body.putLong(1_000_000_000L).putLong(-5).putLong(0).putInt(7).putInt(999_999_999).putInt(0);
    body.putInt(mode).putInt(0).putInt(newUid).putInt(newGid).putInt(0);
    return call(Opcode.SETATTR, node, body);
  }

  Reply mkdir(long parent, String name, int mode) {
    return call(Opcode.MKDIR, parent, new Out().putInt(mode).putInt(0).putName(bytes(name)));
  }

  Reply mknod(long parent, String name, int mode, int device) {
    Out body = new Out().putInt(mode).putInt(device).putInt(0).putInt(0).putName(bytes(name));
    return call(Opcode.MKNOD, parent, body);
  }

  Reply symlink(long parent, String name, String target) {
    return call(Opcode.SYMLINK, parent, new Out().putName(bytes(name)).putName(bytes(target)));
  }

  Reply link(long existing, long parent, String name) {
    return call(Opcode.LINK, parent, new Out().putLong(existing).putName(bytes(name)));
  }

  Reply unlink(long parent, String name) {
    return call(Opcode.UNLINK, parent, new Out().putName(bytes(name)));
  }

  Reply rmdir(long parent, String name) {
    return call(Opcode.RMDIR, parent, new Out().putName(bytes(name)));
  }

  Reply rename(long parent, String name, long newParent, String newName) {
    return call(
        Opcode.RENAME,
        parent,
        new Out().putLong(newParent).putName(bytes(name)).putName(bytes(newName)));
  }

  Reply rename2(long parent, String name, long newParent, String newName, int flags) {
    Out body = new Out().putLong(newParent).putInt(flags).putInt(0);
    return call(Opcode.RENAME2, parent, body.putName(bytes(name)).putName(bytes(newName)));
  }

  Reply readlink(long node) {
    return call(Opcode.READLINK, node, new Out());
  }

  Reply open(long node, int flags) {
    return call(Opcode.OPEN, node, new Out().putInt(flags).putInt(0));
  }

  Reply create(long parent, String name, int flags, int mode) {
    return create(parent, bytes(name), flags, mode);
  }

  Reply create(long parent, byte[] name, int flags, int mode) {
    Out body = new Out().putInt(flags).putInt(mode).putInt(0).putInt(0);
    return call(Opcode.CREATE, parent, body.putName(name));
  }

  Reply read(long node, long handle, long position, int size) {
    Out body = new Out().putLong(handle).putLong(position).putInt(size).putInt(0);
    return call(Opcode.READ, node, body.putLong(0).putInt(0).putInt(0), size + 16);
  }

  Reply write(long node, long handle, long position, byte[] data) {
    return write(node, handle, position, data, 0, 0);
  }

  Reply write(long node, long handle, long position, byte[] data, int how, int flags) {
    Out body = new Out().putLong(handle).putLong(position).putInt(data.length).putInt(how);
    return call(Opcode.WRITE, node, body.putLong(0).putInt(flags).putInt(0).putBytes(data));
  }

  Reply release(long node, long handle) {
    return call(Opcode.RELEASE, node, new Out().putLong(handle).putLong(0).putLong(0));
  }

  Reply opendir(long node) {
    return call(Opcode.OPENDIR, node, new Out().putLong(0));
  }

  /** An entry of a folder; {@code node} is 0 unless it was looked up. */
  record Entry(byte[] name, long inode, long next, int type, long node) {
    String text() {
      return new String(name, StandardCharsets.UTF_8);
    }
  }

  Reply readdirReply(long node, long handle, long position, int size, boolean plus) {
    Out body = new Out().putLong(handle).putLong(position).putInt(size).putInt(0);
    int opcode = plus ? Opcode.READDIRPLUS : Opcode.READDIR;
    return call(opcode, node, body.putLong(0).putInt(0).putInt(0), size + 16);
  }

  List<Entry> readdir(long node, long handle, long position, int size, boolean plus) {
    return entries(readdirReply(node, handle, position, size, plus).ok().content(), plus);
  }

  private static List<Entry> entries(ByteBuffer content, boolean plus) {
    MemorySegment all = MemorySegment.ofBuffer(content);
    List<Entry> entries = new ArrayList<>();
    for (long at = 0; at < all.byteSize(); ) {
      long node = plus ? all.get(JAVA_LONG_UNALIGNED, at) : 0;
      long entry = at + (plus ? 128 : 0);
      int length = all.get(JAVA_INT_UNALIGNED, entry + 16);
      byte[] name = all.asSlice(entry + 24, length).toArray(JAVA_BYTE);
      entries.add(
          new Entry(
              name,
              all.get(JAVA_LONG_UNALIGNED, entry),
              all.get(JAVA_LONG_UNALIGNED, entry + 8),
              all.get(JAVA_INT_UNALIGNED, entry + 20),
              node));
      at = entry + (24 + length + 7) / 8 * 8;
    }
    return entries;
  }

  /** All entries but the dots. */
  List<Entry> list(long node, int size, boolean plus) {
    long handle = opendir(node).node();
    List<Entry> all = new ArrayList<>();
    long position = 0;
    while (true) {
      List<Entry> some = readdir(node, handle, position, size, plus);
      if (some.isEmpty()) {
        break;
      }
      for (Entry entry : some) {
        if (!entry.text().equals(".") && !entry.text().equals("..")) {
          all.add(entry);
        }
      }
      position = some.getLast().next;
    }
    call(Opcode.RELEASEDIR, node, new Out().putLong(handle).putLong(0).putLong(0)).ok();
    return all;
  }
}
