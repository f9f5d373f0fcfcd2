package dev.bothy.share;

import static dev.bothy.share.FuseException.check;

import dev.bothy.host.FileCalls;
import dev.bothy.host.FileStatus;
import dev.bothy.host.FolderCalls;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.locks.Lock;

/**
 * What is done to names in folders: LOOKUP, MKNOD, MKDIR, SYMLINK, LINK, UNLINK, RMDIR, RENAME,
 * RENAME2, and READLINK.
 */
final class Names {
  private static final int PATH_MAX = 4096;

  private Names() {}

  static int lookup(Request request) throws FuseException {
    MemorySegment text = request.in().text(0);
    request.out().needs(Attributes.ENTRY);
    if (FuseMessage.isDots(text)) {
      return lookupDots(request, text);
    }
    MemorySegment name = request.in().name(0);
    Lock lock = request.session().names().readLock();
    lock.lock();
    try {
      Node parent = request.node();
      try (Descriptor folder = request.reach(parent)) {
        return told(request, folder, parent, name);
      }
    } finally {
      lock.unlock();
    }
  }

  /** For a guest that has a file's number from before, or exports the share to others. */
  private static int lookupDots(Request request, MemorySegment name) throws FuseException {
    Node node = request.node();
    if (name.byteSize() == 3) {
      node = request.nodes().parent(node);
    }
    FileStatus status;
    try (Descriptor file = request.reachLocked(node)) {
      status = request.status(file);
    }
    request.nodes().enterAgain(node);
    return Attributes.sendEntry(request, node, status);
  }

  /** Tells the guest of what a folder has under a name; the caller holds {@link Session#names}. */
  private static int told(Request request, Descriptor folder, Node parent, MemorySegment name)
      throws FuseException {
    FileStatus status;
    try (Descriptor found = request.child(folder, name)) {
      status = request.status(found);
    }
    Node node =
        request.nodes().enter(request.folder().identity(status), parent, FuseMessage.bytesOf(name));
    return Attributes.sendEntry(request, node, status);
  }

  /** Makes something in a folder. */
  private interface Making {
    /** Makes it; the result of the host's call. */
    int make(Descriptor folder) throws FuseException;
  }

  /**
   * @param mode type and permissions of what is made; permissions are as they will be for a
   *     symbolic link
   */
  private static int make(Request request, MemorySegment name, int mode, Making making)
      throws FuseException {
    request.changes();
    request.out().needs(Attributes.ENTRY);
    Lock lock = request.session().names().readLock();
    lock.lock();
    try {
      Node parent = request.node();
      try (Descriptor folder = request.reach(parent)) {
        check(making.make(folder));
        try (Descriptor made = request.child(folder, name)) {
          Ownership.giveNamed(request, folder, made, mode);
        }
        return told(request, folder, parent, name);
      }
    } finally {
      lock.unlock();
    }
  }

  static int makeFolder(Request request) throws FuseException {
    int permissions = request.in().getInt(0) & FileStatus.PERMISSIONS;
    MemorySegment name = request.in().name(8);
    return make(
        request,
        name,
        FileStatus.FOLDER | permissions,
        folder -> request.calls().makeFolder(folder.number(), name, permissions));
  }

  static int makeNode(Request request) throws FuseException {
    int mode = request.in().getInt(0) & (FileStatus.TYPE | FileStatus.PERMISSIONS);
    MemorySegment name = request.in().name(16);
    return switch (mode & FileStatus.TYPE) {
      case FileStatus.FIFO, FileStatus.SOCKET ->
          make(
              request, name, mode, folder -> request.calls().makeNode(folder.number(), name, mode));
      case FileStatus.REGULAR ->
          make(request, name, mode, folder -> makeRegular(request, folder, name, mode));
      // A device node would be one of the host's devices.
      case FileStatus.CHARACTER_DEVICE, FileStatus.BLOCK_DEVICE -> {
        request.changes();
        throw new FuseException(Errno.EPERM);
      }
      default -> throw new FuseException(Errno.EINVAL);
    };
  }

  private static int makeRegular(Request request, Descriptor folder, MemorySegment name, int mode)
      throws FuseException {
    int permissions = mode & FileStatus.PERMISSIONS;
    SharedFolder.make(request.calls(), folder, name, FileCalls.O_WRONLY, permissions).close();
    return 0;
  }

  static int makeSymbolicLink(Request request) throws FuseException {
    MemorySegment name = request.in().name(0);
    MemorySegment target = request.in().text(name.byteSize());
    return make(
        request,
        name,
        FileStatus.SYMBOLIC_LINK,
        folder -> request.calls().makeSymbolicLink(folder.number(), name, target));
  }

  static int readLink(Request request) throws FuseException {
    MemorySegment target = request.allocate(PATH_MAX);
    int size;
    try (Descriptor file = request.reach()) {
      if (request.status(file).type() != FileStatus.SYMBOLIC_LINK) {
        throw new FuseException(Errno.EINVAL);
      }
      size = check(request.calls().readLink(file.number(), target));
    }
    return request.send(target.asSlice(0, size));
  }

  static int link(Request request) throws FuseException {
    long existing = request.in().getLong(0);
    MemorySegment name = request.in().name(8);
    request.changes();
    request.out().needs(Attributes.ENTRY);
    Lock lock = request.session().names().readLock();
    lock.lock();
    try {
      Node parent = request.node();
      try (Descriptor folder = request.reach(parent);
          Descriptor file = request.reach(request.nodes().get(existing))) {
        check(request.calls().link(file.number(), folder.number(), name));
        return told(request, folder, parent, name);
      }
    } finally {
      lock.unlock();
    }
  }

  static int remove(Request request, boolean isFolder) throws FuseException {
    MemorySegment name = request.in().name(0);
    request.changes();
    Lock lock = request.session().names().readLock();
    lock.lock();
    try {
      Node parent = request.node();
      try (Descriptor folder = request.reach(parent);
          Descriptor file = request.child(folder, name)) {
        Node node = request.nodes().find(request.folder().identity(request.status(file)));
        // What is removed may be in use for long; its descriptor is how it is found then.
        if (node != null) {
          request.nodes().removing(node, file);
        }
        int result =
            isFolder
                ? request.calls().removeFolder(folder.number(), name)
                : request.calls().remove(folder.number(), name);
        if (node != null && result < 0) {
          request.nodes().notRemoved(node, file);
        }
        check(result);
        if (node != null) {
          removed(request, node, parent, name, file);
        }
        return request.done();
      }
    } finally {
      lock.unlock();
    }
  }

  private static void removed(
      Request request, Node node, Node parent, MemorySegment name, Descriptor file)
      throws FuseException {
    FileStatus status = request.status(file);
    boolean last = status.isFolder() || status.links() == 0;
    request.nodes().removed(node, parent, FuseMessage.bytesOf(name), file, last);
  }

  static int rename(Request request, boolean hasFlags) throws FuseException {
    long target = request.in().getLong(0);
    int flags = hasFlags ? request.in().getInt(8) : 0;
    MemorySegment name = request.in().name(hasFlags ? 16 : 8);
    MemorySegment newName = request.in().name((hasFlags ? 16 : 8) + name.byteSize());
    request.changes();
    // RENAME_WHITEOUT would leave a device node.
    if ((flags & ~(FolderCalls.RENAME_NOREPLACE | FolderCalls.RENAME_EXCHANGE)) != 0) {
      throw new FuseException(Errno.EINVAL);
    }
    Lock lock = request.session().names().writeLock();
    lock.lock();
    try {
      Node parent = request.node();
      Node newParent = request.nodes().get(target);
      try (Descriptor folder = request.reach(parent);
          Descriptor newFolder = request.reach(newParent);
          Descriptor file = request.child(folder, name);
          Descriptor replaced = childIfAny(request, newFolder, newName)) {
        new Renaming(request, parent, name, file, newParent, newName, replaced)
            .rename(folder, newFolder, flags);
        return request.done();
      }
    } finally {
      lock.unlock();
    }
  }

  private static Descriptor childIfAny(Request request, Descriptor folder, MemorySegment name)
      throws FuseException {
    try {
      return request.child(folder, name);
    } catch (FuseException e) {
      if (e.errno() == Errno.ENOENT) {
        return null;
      }
      throw e;
    }
  }

  /** A rename, and what it means for the nodes. */
  private record Renaming(
      Request request,
      Node parent,
      MemorySegment name,
      Descriptor file,
      Node newParent,
      MemorySegment newName,
      Descriptor replaced) {

    void rename(Descriptor folder, Descriptor newFolder, int flags) throws FuseException {
      FileIdentity identity = request.folder().identity(request.status(file));
      FileIdentity other =
          replaced == null ? null : request.folder().identity(request.status(replaced));
      Node node = request.nodes().find(identity);
      Node victim = other == null ? null : request.nodes().find(other);
      boolean exchange = (flags & FolderCalls.RENAME_EXCHANGE) != 0;
      boolean removes = victim != null && !exchange && victim != node;
      if (removes) {
        request.nodes().removing(victim, replaced);
      }
      int result =
          request.calls().rename(folder.number(), name, newFolder.number(), newName, flags);
      if (removes && result < 0) {
        request.nodes().notRemoved(victim, replaced);
      }
      check(result);
      if (identity.equals(other)) {
        // Two names of one file: POSIX wants nothing to happen.
        return;
      }
      if (removes) {
        removed(request, victim, newParent, newName, replaced);
      }
      byte[] text = FuseMessage.bytesOf(name);
      byte[] newText = FuseMessage.bytesOf(newName);
      if (node != null) {
        request.nodes().moved(node, parent, text, newParent, newText);
      }
      if (victim != null && exchange) {
        request.nodes().moved(victim, newParent, newText, parent, text);
      }
    }
  }
}
