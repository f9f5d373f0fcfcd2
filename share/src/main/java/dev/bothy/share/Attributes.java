package dev.bothy.share;

import static dev.bothy.share.FuseException.check;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.bothy.host.FileStatus;
import dev.bothy.host.FolderCalls;
import java.lang.foreign.MemorySegment;

/** What is known of a file beside its content: GETATTR, SETATTR, STATX, ACCESS, STATFS. */
final class Attributes {
  /** sizeof(struct fuse_entry_out). */
  static final int ENTRY = 128;

  /** sizeof(struct fuse_attr). */
  private static final int SIZE = 88;

  private static final int ATTRIBUTES_REPLY = 16 + SIZE;
  private static final int SETATTR_SIZE = 88;
  private static final int STATFS_REPLY = 80;
  private static final int STATX_REPLY = 288;
  private static final int STATX_BASIC = 0x7ff;
  private static final int STATX_BIRTH = 0x800;

  /**
   * Seconds that the guest may take what it has heard for granted. What it changes itself it knows;
   * changes by others it sees that late.
   */
  private static final long VALID = 1;

  private static final int GETATTR_HANDLE = 1;

  // fuse_setattr_in.valid
  private static final int MODE = 1;
  private static final int UID = 1 << 1;
  private static final int GID = 1 << 2;
  private static final int LENGTH = 1 << 3;
  private static final int ACCESSED = 1 << 4;
  private static final int MODIFIED = 1 << 5;
  private static final int HANDLE = 1 << 6;
  private static final int ACCESSED_NOW = 1 << 7;
  private static final int MODIFIED_NOW = 1 << 8;
  private static final int DROP_PRIVILEGES = 1 << 11;

  private static final int MAY_EXECUTE = 1;
  private static final int MAY_WRITE = 2;
  private static final int MAY_ALL = 7;

  private static final FileStatus.Time NOW = new FileStatus.Time(0, FolderCalls.UTIME_NOW);
  private static final FileStatus.Time AS_IT_IS = new FileStatus.Time(0, FolderCalls.UTIME_OMIT);

  private Attributes() {}

  /** Answers a look-up. */
  static int sendEntry(Request request, Node node, FileStatus status) throws FuseException {
    MemorySegment entry = request.allocate(ENTRY);
    writeEntry(entry, node, status);
    return request.send(entry);
  }

  /** Writes a struct fuse_entry_out. */
  static void writeEntry(MemorySegment entry, Node node, FileStatus status) {
    entry.set(JAVA_LONG_UNALIGNED, 0, node.id);
    // Numbers are never used again, so every generation is the first.
    entry.set(JAVA_LONG_UNALIGNED, 8, 0);
    entry.set(JAVA_LONG_UNALIGNED, 16, VALID);
    entry.set(JAVA_LONG_UNALIGNED, 24, VALID);
    entry.set(JAVA_LONG_UNALIGNED, 32, 0);
    write(entry.asSlice(40, SIZE), status);
  }

  /** Writes a struct fuse_attr. */
  private static void write(MemorySegment out, FileStatus status) {
    out.set(JAVA_LONG_UNALIGNED, 0, status.inode());
    out.set(JAVA_LONG_UNALIGNED, 8, status.size());
    out.set(JAVA_LONG_UNALIGNED, 16, status.blocks());
    out.set(JAVA_LONG_UNALIGNED, 24, status.accessed().seconds());
    out.set(JAVA_LONG_UNALIGNED, 32, status.modified().seconds());
    out.set(JAVA_LONG_UNALIGNED, 40, status.changed().seconds());
    out.set(JAVA_INT_UNALIGNED, 48, status.accessed().nanos());
    out.set(JAVA_INT_UNALIGNED, 52, status.modified().nanos());
    out.set(JAVA_INT_UNALIGNED, 56, status.changed().nanos());
    out.set(JAVA_INT_UNALIGNED, 60, status.mode());
    out.set(JAVA_INT_UNALIGNED, 64, status.links());
    out.set(JAVA_INT_UNALIGNED, 68, status.uid());
    out.set(JAVA_INT_UNALIGNED, 72, status.gid());
    out.set(JAVA_INT_UNALIGNED, 76, deviceNumber(status.special()));
    out.set(JAVA_INT_UNALIGNED, 80, status.blockSize());
    out.set(JAVA_INT_UNALIGNED, 84, 0);
  }

  /** As the guest's kernel has it: twelve bits of major and twenty of minor. */
  private static int deviceNumber(long special) {
    int major = (int) (special >>> 32);
    int minor = (int) special;
    return minor & 0xff | major << 8 | (minor & ~0xff) << 12;
  }

  private static int send(Request request, Descriptor file) throws FuseException {
    MemorySegment reply = request.allocate(ATTRIBUTES_REPLY);
    reply.set(JAVA_LONG, 0, VALID);
    write(reply.asSlice(16, SIZE), request.status(file));
    return request.send(reply);
  }

  static int get(Request request) throws FuseException {
    boolean opened = (request.in().getInt(0) & GETATTR_HANDLE) != 0;
    try (Descriptor file = opened ? opened(request, 8) : request.reach()) {
      return send(request, file);
    }
  }

  /** What the handle at {@code offset} has open, be it a file or a folder. */
  private static Descriptor opened(Request request, int offset) throws FuseException {
    Node node = request.node();
    long id = request.in().getLong(offset);
    return request.session().handles().use(id, node.id, node.isFolder()).descriptor();
  }

  static int set(Request request) throws FuseException {
    FuseMessage in = request.in();
    in.needs(SETATTR_SIZE);
    request.changes();
    request.out().needs(ATTRIBUTES_REPLY);
    int valid = in.getInt(0);
    try (Descriptor file = request.reach()) {
      FolderCalls calls = request.calls();
      int type = request.status(file).type();
      if ((valid & (UID | GID)) != 0) {
        int uid = (valid & UID) != 0 ? in.getInt(76) : FolderCalls.SAME_OWNER;
        int gid = (valid & GID) != 0 ? in.getInt(80) : FolderCalls.SAME_OWNER;
        check(calls.chown(file.number(), uid, gid));
      }
      if ((valid & MODE) != 0) {
        if (type == FileStatus.SYMBOLIC_LINK) {
          throw new FuseException(Errno.EOPNOTSUPP);
        }
        check(calls.chmod(file.number(), in.getInt(68) & FileStatus.PERMISSIONS));
      }
      if ((valid & LENGTH) != 0) {
        if (type != FileStatus.REGULAR) {
          throw new FuseException(type == FileStatus.FOLDER ? Errno.EISDIR : Errno.EINVAL);
        }
        resize(request, valid, file);
      }
      if ((valid & (ACCESSED | MODIFIED)) != 0) {
        check(
            calls.setTimes(
                file.number(),
                time(in, valid, ACCESSED, ACCESSED_NOW, 32, 56),
                time(in, valid, MODIFIED, MODIFIED_NOW, 40, 60)));
      }
      return send(request, file);
    }
  }

  private static FileStatus.Time time(
      FuseMessage in, int valid, int given, int now, int seconds, int nanos) throws FuseException {
    if ((valid & given) == 0) {
      return AS_IT_IS;
    }
    if ((valid & now) != 0) {
      return NOW;
    }
    int fraction = in.getInt(nanos);
    if (fraction < 0 || fraction > 999_999_999) {
      throw new FuseException(Errno.EINVAL);
    }
    return new FileStatus.Time(in.getLong(seconds), fraction);
  }

  private static void resize(Request request, int valid, Descriptor file) throws FuseException {
    if ((valid & DROP_PRIVILEGES) != 0) {
      dropPrivileges(request, file);
    }
    long size = request.in().getLong(16);
    if ((valid & HANDLE) == 0) {
      check(request.calls().truncate(file.number(), size));
      return;
    }
    // Whoever has it open may change it, whatever its permissions are by now.
    try (Descriptor opened = opened(request, 8)) {
      check(dev.bothy.host.FileCalls.truncate(opened.number(), size));
    }
  }

  /**
   * Takes what makes a program run as somebody else from a file that is changed. Without
   * privileges, the host's kernel does it.
   */
  static void dropPrivileges(Request request, Descriptor file) throws FuseException {
    if (!request.folder().privileged()) {
      return;
    }
    FileStatus status = request.status(file);
    int dropped = status.mode() & FileStatus.SET_UID;
    if ((status.mode() & FileStatus.GROUP_EXECUTES) != 0) {
      dropped |= status.mode() & FileStatus.SET_GID;
    }
    if (status.isRegular() && dropped != 0) {
      int permissions = status.mode() & FileStatus.PERMISSIONS & ~dropped;
      check(request.calls().chmod(file.number(), permissions));
    }
  }

  static int extended(Request request) throws FuseException {
    boolean opened = (request.in().getInt(0) & GETATTR_HANDLE) != 0;
    request.in().needs(24);
    FileStatus status;
    try (Descriptor file = opened ? opened(request, 8) : request.reach()) {
      status = request.status(file);
    }
    MemorySegment reply = request.allocate(STATX_REPLY);
    reply.set(JAVA_LONG, 0, VALID);
    MemorySegment out = reply.asSlice(32);
    out.set(JAVA_INT, 0, STATX_BASIC | (status.born() != null ? STATX_BIRTH : 0));
    out.set(JAVA_INT, 4, status.blockSize());
    out.set(JAVA_INT, 16, status.links());
    out.set(JAVA_INT, 20, status.uid());
    out.set(JAVA_INT, 24, status.gid());
    out.set(JAVA_SHORT, 28, (short) status.mode());
    out.set(JAVA_LONG, 32, status.inode());
    out.set(JAVA_LONG, 40, status.size());
    out.set(JAVA_LONG, 48, status.blocks());
    writeTime(out, 64, status.accessed());
    if (status.born() != null) {
      writeTime(out, 80, status.born());
    }
    writeTime(out, 96, status.changed());
    writeTime(out, 112, status.modified());
    out.set(JAVA_INT, 128, (int) (status.special() >>> 32));
    out.set(JAVA_INT, 132, (int) status.special());
    return request.send(reply);
  }

  private static void writeTime(MemorySegment out, long at, FileStatus.Time time) {
    out.set(JAVA_LONG, at, time.seconds());
    out.set(JAVA_INT, at + 8, time.nanos());
  }

  /** For kernels that do not decide themselves; those of virtio-fs do. */
  static int access(Request request) throws FuseException {
    int wanted = request.in().getInt(0) & MAY_ALL;
    FileStatus status;
    try (Descriptor file = request.reach()) {
      status = request.status(file);
    }
    if ((wanted & MAY_WRITE) != 0 && request.folder().readOnly()) {
      throw new FuseException(Errno.EROFS);
    }
    int allowed = status.mode();
    if (request.in().uid() == 0) {
      boolean anyExecutes = status.isFolder() || (status.mode() & 0111) != 0;
      allowed = anyExecutes ? MAY_ALL : MAY_ALL & ~MAY_EXECUTE;
    } else if (request.in().uid() == status.uid()) {
      allowed >>= 6;
    } else if (request.in().gid() == status.gid()) {
      allowed >>= 3;
    }
    if ((wanted & ~allowed) != 0) {
      throw new FuseException(Errno.EACCES);
    }
    return request.done();
  }

  static int fileSystem(Request request) throws FuseException {
    FolderCalls.FileSystemStatus status;
    try (Descriptor file = request.reach()) {
      check(request.calls().findFileSystem(file.number()));
      status = request.calls().fileSystem();
    }
    MemorySegment reply = request.allocate(STATFS_REPLY);
    reply.set(JAVA_LONG, 0, status.blocks());
    reply.set(JAVA_LONG, 8, status.free());
    reply.set(JAVA_LONG, 16, status.available());
    reply.set(JAVA_LONG, 24, status.files());
    reply.set(JAVA_LONG, 32, status.freeFiles());
    reply.set(JAVA_INT, 40, (int) status.blockSize());
    reply.set(JAVA_INT, 44, (int) status.nameLength());
    reply.set(JAVA_INT, 48, (int) status.fragmentSize());
    return request.send(reply);
  }
}
