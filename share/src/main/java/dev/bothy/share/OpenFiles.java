package dev.bothy.share;

import static dev.bothy.share.FuseException.check;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import dev.bothy.host.FileCalls;
import dev.bothy.host.FileStatus;
import dev.bothy.host.FolderCalls;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.locks.Lock;

/**
 * What is done with regular files that are open: OPEN, CREATE, TMPFILE, READ, WRITE, RELEASE,
 * FSYNC, FALLOCATE, LSEEK, COPY_FILE_RANGE, SYNCFS; and what folders share with them.
 */
final class OpenFiles {
  /** sizeof(struct fuse_open_out). */
  private static final int OPEN_REPLY = 16;

  private static final int WRITE_REPLY = 8;

  // What the guest asks for in open(2), which are the numbers of x86-64.
  private static final int GUEST_EXCL = 0200;
  private static final int GUEST_TRUNC = 01000;
  private static final int GUEST_APPEND = 02000;
  private static final int GUEST_DSYNC = 010000;
  private static final int GUEST_SYNC = 04010000;
  private static final int GUEST_NOATIME = 01000000;

  /** fuse_open_in.open_flags, and the same in fuse_create_in. */
  private static final int OPEN_DROPS_PRIVILEGES = 1;

  /** fuse_open_out.open_flags: the host's kernel takes several writes to a file at once. */
  private static final int PARALLEL_DIRECT_WRITES = 1 << 6;

  // fuse_write_in.write_flags
  private static final int WRITE_FROM_CACHE = 1;
  private static final int WRITE_DROPS_PRIVILEGES = 1 << 2;

  private static final int SYNC_DATA_ONLY = 1;
  private static final int SEEK_DATA = 3;
  private static final int SEEK_HOLE = 4;

  /** Bytes read or written by one request; the guest was told of less. */
  private static final long MOST_MOVED = 16 << 20;

  /** Bytes copied at once, so that a request does not take minutes; the guest asks again. */
  private static final long MOST_COPIED = 128 << 20;

  private static final int CREATE_ATTEMPTS = 16;

  private OpenFiles() {}

  /** The host's flags for those of the guest. Appending and the like are said with each write. */
  private static int flags(Request request, int guest) throws FuseException {
    int access = guest & FolderCalls.O_ACCESS;
    if (access == FolderCalls.O_ACCESS) {
      throw new FuseException(Errno.EINVAL);
    }
    boolean truncates = (guest & GUEST_TRUNC) != 0;
    if (access != FileCalls.O_RDONLY || truncates) {
      request.changes();
    }
    boolean quiet = request.folder().readOnly() || (guest & GUEST_NOATIME) != 0;
    return access | (truncates ? FolderCalls.O_TRUNC : 0) | (quiet ? FolderCalls.O_NOATIME : 0);
  }

  static int open(Request request) throws FuseException {
    int guest = request.in().getInt(0);
    boolean drops = (request.in().getInt(4) & OPEN_DROPS_PRIVILEGES) != 0;
    int flags = flags(request, guest);
    request.out().needs(OPEN_REPLY);
    Node node = request.node();
    Handle handle =
        request
            .session()
            .handles()
            .open(
                node,
                false,
                flags & ~FolderCalls.O_TRUNC,
                () -> {
                  try (Descriptor file = request.reachLocked(node)) {
                    return openRegular(request, file, flags, drops);
                  }
                });
    MemorySegment reply = request.allocate(OPEN_REPLY);
    writeOpened(reply, handle, PARALLEL_DIRECT_WRITES);
    return request.send(reply);
  }

  /** Opens what is certainly a regular file: anything else might wait for ever, or be a device. */
  static Descriptor openRegular(Request request, Descriptor file, int flags, boolean drops)
      throws FuseException {
    switch (request.status(file).type()) {
      case FileStatus.REGULAR -> {}
      case FileStatus.FOLDER -> throw new FuseException(Errno.EISDIR);
      case FileStatus.SYMBOLIC_LINK -> throw new FuseException(Errno.ELOOP);
      default -> throw new FuseException(Errno.ENXIO);
    }
    Descriptor opened = reopen(request, file, flags);
    try {
      if (drops && (flags & FolderCalls.O_TRUNC) != 0) {
        Attributes.dropPrivileges(request, opened);
      }
    } catch (FuseException e) {
      opened.close();
      throw e;
    }
    return opened;
  }

  /** Opens a regular file or a folder anew. */
  static Descriptor reopen(Request request, Descriptor file, int flags) throws FuseException {
    int opened = request.calls().reopen(file.number(), flags);
    if (opened == -Errno.EPERM && (flags & FolderCalls.O_NOATIME) != 0) {
      // That is for the file's owner; others leave a time of access behind.
      opened = request.calls().reopen(file.number(), flags & ~FolderCalls.O_NOATIME);
    }
    return new Descriptor(check(opened));
  }

  /** Writes a struct fuse_open_out. */
  static void writeOpened(MemorySegment out, Handle handle, int flags) {
    out.set(JAVA_LONG_UNALIGNED, 0, handle.id());
    out.set(JAVA_INT_UNALIGNED, 8, flags);
  }

  static int create(Request request) throws FuseException {
    FuseMessage in = request.in();
    int guest = in.getInt(0);
    int permissions = in.getInt(4) & FileStatus.PERMISSIONS;
    boolean drops = (in.getInt(12) & OPEN_DROPS_PRIVILEGES) != 0;
    MemorySegment name = in.name(16);
    request.changes();
    int flags = flags(request, guest);
    request.out().needs(Attributes.ENTRY + OPEN_REPLY);
    Lock lock = request.session().names().readLock();
    lock.lock();
    try {
      Node parent = request.node();
      try (Descriptor folder = request.reach(parent)) {
        // Somebody on the host may make and remove the same name again and again.
        for (int attempt = 0; attempt < CREATE_ATTEMPTS; attempt++) {
          try {
            try (Descriptor file =
                SharedFolder.make(request.calls(), folder, name, flags, permissions)) {
              Ownership.give(request, folder, file, FileStatus.REGULAR | permissions);
              return created(request, parent, name, file, flags);
            }
          } catch (FuseException e) {
            if (e.errno() != Errno.EEXIST || (guest & GUEST_EXCL) != 0) {
              throw e;
            }
          }
          try (Descriptor found = request.child(folder, name);
              Descriptor file = openRegular(request, found, flags, drops)) {
            return created(request, parent, name, file, flags);
          } catch (FuseException e) {
            if (e.errno() != Errno.ENOENT) {
              throw e;
            }
          }
        }
        throw new FuseException(Errno.EIO);
      }
    } finally {
      lock.unlock();
    }
  }

  private static int created(
      Request request, Node parent, MemorySegment name, Descriptor file, int flags)
      throws FuseException {
    FileStatus status = request.status(file);
    Node node =
        request.nodes().enter(request.folder().identity(status), parent, FuseMessage.bytesOf(name));
    return sendCreated(request, node, status, file, flags);
  }

  private static int sendCreated(
      Request request, Node node, FileStatus status, Descriptor file, int flags)
      throws FuseException {
    Handle handle;
    try {
      handle =
          request
              .session()
              .handles()
              .open(
                  node,
                  false,
                  flags & ~FolderCalls.O_TRUNC,
                  () -> {
                    file.use();
                    return file;
                  });
    } catch (FuseException e) {
      // The guest hears of neither.
      request.nodes().forget(node.id, 1);
      throw e;
    }
    MemorySegment reply = request.allocate(Attributes.ENTRY + OPEN_REPLY);
    Attributes.writeEntry(reply, node, status);
    writeOpened(reply.asSlice(Attributes.ENTRY), handle, PARALLEL_DIRECT_WRITES);
    return request.send(reply);
  }

  static int createNameless(Request request) throws FuseException {
    int permissions = request.in().getInt(4) & FileStatus.PERMISSIONS;
    request.changes();
    int flags = flags(request, request.in().getInt(0) & ~GUEST_TRUNC);
    request.out().needs(Attributes.ENTRY + OPEN_REPLY);
    try (Descriptor folder = request.reach();
        Descriptor file =
            SharedFolder.makeNameless(
                request.calls(), folder, request.arena(), flags, permissions)) {
      Ownership.give(request, folder, file, FileStatus.REGULAR | permissions);
      FileStatus status = request.status(file);
      Node node = request.nodes().enterNameless(request.folder().identity(status), file);
      return sendCreated(request, node, status, file, flags);
    }
  }

  /** A file that is open, with the caller as one more user of its descriptor. */
  private static Descriptor use(Request request, int offset) throws FuseException {
    return request
        .session()
        .handles()
        .use(request.in().getLong(offset), request.in().node(), false)
        .descriptor();
  }

  static int read(Request request) throws FuseException {
    long position = request.in().getLong(8);
    long size = request.in().getInt(16) & 0xffff_ffffL;
    request.in().needs(40);
    request.out().needs(0);
    try (Descriptor file = use(request, 0)) {
      long all = 0;
      long wanted = Math.min(Math.min(size, MOST_MOVED), request.out().room());
      List<MemorySegment> targets = request.out().data(wanted);
      // For the guest's kernel, what is short is the end of the file.
      while (all < wanted) {
        long count = FileCalls.read(file.number(), position + all, targets);
        if (count < 0 && all == 0) {
          throw new FuseException((int) -count);
        }
        if (count <= 0) {
          break;
        }
        all += count;
        targets = FuseMessage.slice(targets, count, wanted);
      }
      return request.out().sent(request.in().unique(), all);
    }
  }

  static int write(Request request) throws FuseException {
    FuseMessage in = request.in();
    long position = in.getLong(8);
    long size = Math.min(in.getInt(16) & 0xffff_ffffL, MOST_MOVED);
    int how = in.getInt(20);
    int guest = in.getInt(32);
    List<MemorySegment> sources = in.data(FuseMessage.WRITE_HEADER, size);
    request.changes();
    request.out().needs(WRITE_REPLY);
    int flags = 0;
    if ((guest & GUEST_SYNC) == GUEST_SYNC) {
      flags |= FileCalls.RWF_SYNC;
    } else if ((guest & GUEST_DSYNC) != 0) {
      flags |= FileCalls.RWF_DSYNC;
    }
    // What was written to memory is where it was written, appending or not.
    if ((guest & GUEST_APPEND) != 0 && (how & WRITE_FROM_CACHE) == 0) {
      flags |= FileCalls.RWF_APPEND;
    }
    try (Descriptor file = use(request, 0)) {
      if ((how & WRITE_DROPS_PRIVILEGES) != 0) {
        Attributes.dropPrivileges(request, file);
      }
      long all = 0;
      while (all < size) {
        long count = FileCalls.write(file.number(), position + all, sources, flags);
        if (count < 0 && all == 0) {
          throw new FuseException((int) -count);
        }
        if (count <= 0) {
          break;
        }
        all += count;
        sources = FuseMessage.slice(sources, count, size);
      }
      return sendWritten(request, all);
    }
  }

  private static int sendWritten(Request request, long count) throws FuseException {
    MemorySegment reply = request.allocate(WRITE_REPLY);
    reply.set(JAVA_INT_UNALIGNED, 0, (int) count);
    return request.send(reply);
  }

  static int release(Request request, boolean folder) throws FuseException {
    request.session().handles().release(request.in().getLong(0), folder);
    return request.done();
  }

  static int sync(Request request, boolean folder) throws FuseException {
    boolean dataOnly = (request.in().getInt(8) & SYNC_DATA_ONLY) != 0;
    long id = request.in().getLong(0);
    try (Descriptor file =
        request.session().handles().use(id, request.in().node(), folder).descriptor()) {
      check(dataOnly ? FileCalls.syncData(file.number()) : FileCalls.sync(file.number()));
    }
    return request.done();
  }

  /** Everything of the host's file system, which is more than the guest's own. */
  static int syncFileSystem(Request request) throws FuseException {
    if (request.folder().readOnly()) {
      return request.done();
    }
    try (Descriptor root = request.reachLocked(request.nodes().root());
        Descriptor opened = reopen(request, root, FileCalls.O_RDONLY | FolderCalls.O_FOLDER)) {
      check(request.calls().syncFileSystem(opened.number()));
    }
    return request.done();
  }

  static int allocate(Request request) throws FuseException {
    FuseMessage in = request.in();
    int mode = in.getInt(24);
    int known =
        FileCalls.FALLOC_KEEP_SIZE | FileCalls.FALLOC_PUNCH_HOLE | FileCalls.FALLOC_ZERO_RANGE;
    if ((mode & ~known) != 0) {
      throw new FuseException(Errno.EOPNOTSUPP);
    }
    request.changes();
    try (Descriptor file = use(request, 0)) {
      check(FileCalls.allocate(file.number(), mode, in.getLong(8), in.getLong(16)));
    }
    return request.done();
  }

  static int seek(Request request) throws FuseException {
    long position = request.in().getLong(8);
    int whence = request.in().getInt(16);
    try (Descriptor file = use(request, 0)) {
      long found =
          switch (whence) {
            case SEEK_DATA -> FileCalls.nextData(file.number(), position);
            case SEEK_HOLE -> FileCalls.nextHole(file.number(), position);
            default -> throw new FuseException(Errno.EINVAL);
          };
      MemorySegment reply = request.allocate(8);
      reply.set(JAVA_LONG_UNALIGNED, 0, check(found));
      return request.send(reply);
    }
  }

  static int copy(Request request) throws FuseException {
    FuseMessage in = request.in();
    long target = in.getLong(16);
    long length = in.getLong(40);
    if (length < 0 || in.getLong(48) != 0) {
      throw new FuseException(Errno.EINVAL);
    }
    request.changes();
    request.out().needs(WRITE_REPLY);
    try (Descriptor from = use(request, 0);
        Descriptor to =
            request.session().handles().use(in.getLong(24), target, false).descriptor()) {
      if (in.uid() != 0) {
        Attributes.dropPrivileges(request, to);
      }
      long count =
          request
              .calls()
              .copy(
                  from.number(),
                  in.getLong(8),
                  to.number(),
                  in.getLong(32),
                  Math.min(length, MOST_COPIED));
      return sendWritten(request, check(count));
    }
  }
}
