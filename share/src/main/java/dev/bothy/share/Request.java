package dev.bothy.share;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import dev.bothy.host.FileStatus;
import dev.bothy.host.FolderCalls;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.locks.Lock;

/**
 * One request while it is served, by one thread.
 *
 * @param arena memory that is the request's until it is answered
 */
record Request(
    SharedFolder folder,
    Session session,
    FolderCalls calls,
    Arena arena,
    FuseMessage in,
    FuseReply out) {
  /** Bytes of a path that the kernel takes at once, less one name (PATH_MAX). */
  private static final int PATH = 3800;

  Nodes nodes() {
    return session.nodes();
  }

  /** The node that the request is about. */
  Node node() throws FuseException {
    return nodes().get(in.node());
  }

  /** To be called first by what changes anything. */
  void changes() throws FuseException {
    if (folder.readOnly()) {
      throw new FuseException(Errno.EROFS);
    }
  }

  MemorySegment allocate(long bytes) {
    return arena.allocate(bytes, 8);
  }

  int done() {
    return out.done(in.unique());
  }

  int send(MemorySegment content) throws FuseException {
    return out.send(in.unique(), content);
  }

  FileStatus status(Descriptor file) throws FuseException {
    FuseException.check(calls.findStatus(file.number()));
    return calls.status();
  }

  /** What the node stands for that the request is about; the caller closes it. */
  Descriptor reach() throws FuseException {
    return reachLocked(node());
  }

  /** As {@link #reach(Node)}, for callers that do not need names to stay as they are. */
  Descriptor reachLocked(Node node) throws FuseException {
    Lock lock = session.names().readLock();
    lock.lock();
    try {
      return reach(node);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Finds what a node stands for. The caller holds {@link Session#names}, and closes the result.
   *
   * @throws FuseException ESTALE if it is no longer where the guest has seen it
   */
  Descriptor reach(Node node) throws FuseException {
    if (node == nodes().root()) {
      // Whoever serves a request is a user of the root.
      folder.root().use();
      return folder.root();
    }
    Descriptor pin = nodes().pin(node);
    if (pin != null) {
      return pin;
    }
    int errno = Errno.ESTALE;
    for (List<byte[]> way : nodes().ways(node)) {
      try {
        Descriptor found = walk(way);
        if (isSame(found, node)) {
          return found;
        }
        found.close();
      } catch (FuseException e) {
        errno = meansElsewhere(e.errno()) ? errno : e.errno();
      }
    }
    // Through a folder that is open, all would be found that it has been given since elsewhere.
    Descriptor opened = node.isFolder() ? null : nodes().opened(node);
    if (opened != null) {
      return opened;
    }
    throw new FuseException(errno);
  }

  private boolean isSame(Descriptor found, Node node) throws FuseException {
    try {
      return folder.identity(status(found)).equals(node.identity);
    } catch (FuseException e) {
      found.close();
      throw e;
    }
  }

  private static boolean meansElsewhere(int errno) {
    return errno == Errno.ENOENT
        || errno == Errno.ENOTDIR
        || errno == Errno.ELOOP
        || errno == Errno.EXDEV;
  }

  /** Goes from the root down a way, several folders a step. */
  Descriptor walk(List<byte[]> way) throws FuseException {
    MemorySegment path = arena.allocate(PATH + 257);
    Descriptor at = folder.root();
    at.use();
    int used = 0;
    for (int i = 0; i < way.size(); i++) {
      byte[] name = way.get(i);
      if (used > 0) {
        path.set(JAVA_BYTE, used++, (byte) '/');
      }
      MemorySegment.copy(name, 0, path, JAVA_BYTE, used, name.length);
      used += name.length;
      if (used > PATH - 257 || i == way.size() - 1) {
        path.set(JAVA_BYTE, used, (byte) 0);
        used = 0;
        try (Descriptor before = at) {
          at = SharedFolder.find(calls, before, path);
        }
      }
    }
    return at;
  }

  /** What a folder has under a name; the caller closes it. */
  Descriptor child(Descriptor of, MemorySegment name) throws FuseException {
    return SharedFolder.find(calls, of, name);
  }
}
