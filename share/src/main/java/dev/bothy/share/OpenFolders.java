package dev.bothy.share;

import static dev.bothy.share.FuseException.check;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.bothy.host.FileCalls;
import dev.bothy.host.FileStatus;
import dev.bothy.host.FolderCalls;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.locks.Lock;

/** Folders that are open: OPENDIR, READDIR, READDIRPLUS. Positions are those of the host. */
final class OpenFolders {
  private static final int OPEN_REPLY = 16;

  /** Bytes of an entry's struct fuse_dirent before its name. */
  private static final int ENTRY_HEADER = 24;

  // struct linux_dirent64
  private static final int NEXT_POSITION = 8;
  private static final int RECORD_LENGTH = 16;
  private static final int TYPE = 18;
  private static final int NAME = 19;

  /** Room for any one entry of the host, and as much as is read at once. */
  private static final int LEAST = 19 + 256 + 8;

  private static final int MOST = 64 << 10;

  private OpenFolders() {}

  static int open(Request request) throws FuseException {
    request.out().needs(OPEN_REPLY);
    Node node = request.node();
    int flags =
        FileCalls.O_RDONLY
            | FolderCalls.O_FOLDER
            | (request.folder().readOnly() ? FolderCalls.O_NOATIME : 0);
    Handle handle =
        request
            .session()
            .handles()
            .open(
                node,
                true,
                flags,
                () -> {
                  try (Descriptor folder = request.reachLocked(node)) {
                    return openFolder(request, folder, flags);
                  }
                });
    MemorySegment reply = request.allocate(OPEN_REPLY);
    OpenFiles.writeOpened(reply, handle, 0);
    return request.send(reply);
  }

  static Descriptor openFolder(Request request, Descriptor folder, int flags) throws FuseException {
    if (!request.status(folder).isFolder()) {
      throw new FuseException(Errno.ENOTDIR);
    }
    return OpenFiles.reopen(request, folder, flags);
  }

  /**
   * @param plus with attributes of each entry, as if it had been looked up
   */
  static int read(Request request, boolean plus) throws FuseException {
    FuseMessage in = request.in();
    in.needs(40);
    long position = in.getLong(8);
    long size = Math.min(in.getInt(16) & 0xffff_ffffL, request.out().room());
    int header = ENTRY_HEADER + (plus ? Attributes.ENTRY : 0);
    if (size < header + 1) {
      throw new FuseException(Errno.EINVAL);
    }
    Handle handle = request.session().handles().use(in.getLong(0), in.node(), true);
    try (Descriptor _ = handle.descriptor()) {
      MemorySegment answer = request.allocate(Math.min(size, MOST));
      // An entry takes more room there than here, but for the smallest.
      long most = plus ? answer.byteSize() / 5 : answer.byteSize();
      MemorySegment entries = request.allocate(Math.max(LEAST, most));
      long used;
      synchronized (handle) {
        if (handle.position() != position || position < 0) {
          check(request.calls().seek(handle.descriptor().number(), position));
        }
        // Until the guest has been told of all that the host tells now.
        handle.moveTo(Handle.UNKNOWN);
        int count = check(request.calls().entries(handle.descriptor().number(), entries));
        used = translate(request, handle, entries.asSlice(0, count), answer, plus);
      }
      return request.send(answer.asSlice(0, used));
    }
  }

  /** Writes the host's entries as the guest's; the bytes that they take. */
  private static long translate(
      Request request, Handle handle, MemorySegment entries, MemorySegment answer, boolean plus)
      throws FuseException {
    // Before any entry is told, since the guest must not miss one that was.
    try (Descriptor folder = plus ? reachIfThere(request, handle.node()) : null) {
      long used = 0;
      for (long at = 0; at < entries.byteSize(); ) {
        long length = entries.get(JAVA_SHORT_UNALIGNED, at + RECORD_LENGTH) & 0xffff;
        MemorySegment entry = entries.asSlice(at, length);
        at += length;
        MemorySegment name = nameOf(entry);
        long size = padded(ENTRY_HEADER + name.byteSize() - 1) + (plus ? Attributes.ENTRY : 0);
        if (size > answer.byteSize() - used) {
          if (used == 0) {
            throw new FuseException(Errno.EINVAL);
          }
          // The next request begins with this one, by its position.
          break;
        }
        MemorySegment out = answer.asSlice(used, size);
        boolean dots = FuseMessage.isDots(name);
        if (folder != null && !dots) {
          lookUp(request, folder, handle.node(), name, out);
        }
        long inode = entry.get(JAVA_LONG_UNALIGNED, 0);
        if (dots && name.byteSize() == 3 && handle.node().id == Node.ROOT) {
          // What is above the root is none of the guest's business.
          inode = handle.node().identity.inode();
        }
        write(out.asSlice(plus ? Attributes.ENTRY : 0), entry, inode, name);
        used += size;
        if (at == entries.byteSize()) {
          handle.moveTo(entry.get(JAVA_LONG_UNALIGNED, NEXT_POSITION));
        }
      }
      return used;
    }
  }

  private static long padded(long size) {
    return size + 7 & ~7L;
  }

  private static MemorySegment nameOf(MemorySegment entry) {
    long end = NAME;
    while (entry.get(JAVA_BYTE, end) != 0) {
      end++;
    }
    return entry.asSlice(NAME, end + 1 - NAME);
  }

  /** The folder, not by what is open: that may have been moved away. Null if it is not there. */
  private static Descriptor reachIfThere(Request request, Node node) throws FuseException {
    try {
      return request.reachLocked(node);
    } catch (FuseException e) {
      if (e.errno() == Errno.ESTALE) {
        return null;
      }
      throw e;
    }
  }

  /**
   * Tells the guest of an entry's attributes. Without a node it takes only the name, and looks the
   * file up when it needs to: for what has gone meanwhile, or may not be looked at.
   */
  private static void lookUp(
      Request request, Descriptor folder, Node parent, MemorySegment name, MemorySegment out) {
    Lock lock = request.session().names().readLock();
    lock.lock();
    try (Descriptor found = request.child(folder, name)) {
      FileStatus status = request.status(found);
      Node node =
          request
              .nodes()
              .enter(request.folder().identity(status), parent, FuseMessage.bytesOf(name));
      Attributes.writeEntry(out, node, status);
    } catch (FuseException e) {
      // The name alone, then.
    } finally {
      lock.unlock();
    }
  }

  /** Writes a struct fuse_dirent. */
  private static void write(
      MemorySegment out, MemorySegment entry, long inode, MemorySegment name) {
    long length = name.byteSize() - 1;
    out.set(JAVA_LONG_UNALIGNED, 0, inode);
    out.set(JAVA_LONG_UNALIGNED, 8, entry.get(JAVA_LONG_UNALIGNED, NEXT_POSITION));
    out.set(JAVA_INT_UNALIGNED, 16, (int) length);
    out.set(JAVA_INT_UNALIGNED, 20, entry.get(JAVA_BYTE, TYPE));
    MemorySegment.copy(name, 0, out, ENTRY_HEADER, length);
  }
}
