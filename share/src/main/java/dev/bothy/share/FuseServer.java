package dev.bothy.share;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.host.FolderCalls;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/**
 * A folder of the host as a file system that speaks FUSE 7.31 and newer (the kernel's linux/fuse.h)
 * with a guest, as virtio-fs carries it: each request is some memory that the guest has written,
 * each reply some that it reads. The guest reaches that folder and nothing else. Its kernel follows
 * symbolic links, and decides what its users may do; the host decides what this process may.
 *
 * <p>A guest that may write can leave any program in the folder. If this process is root's, that
 * includes programs that make whoever runs them on the host root, so such a folder is best one that
 * others cannot enter.
 *
 * <p>Locks are the guest's own: no request asks for one. Errors are the host's, and besides ESTALE
 * for what is no longer where the guest has seen it, EXDEV for what is mounted inside of the
 * folder, and ENFILE when the guest has too much open, or knows too many files.
 *
 * <p>Thread-safe. Requests may be served by several threads at once.
 */
public final class FuseServer implements FuseFolder, AutoCloseable {
  private static final int MAJOR = 7;
  private static final int MINOR = 38;
  private static final int LEAST_MINOR = 31;

  /** sizeof(struct fuse_init_out). */
  private static final int INIT_REPLY = 64;

  /** Bytes of one write, and of one read. */
  private static final int MOST_AT_ONCE = 1 << 20;

  private static final int PAGE = 4096;
  private static final int MOST_IN_BACKGROUND = 64;

  // Flags of INIT.
  private static final int ASYNC_READ = 1;
  private static final int ATOMIC_O_TRUNC = 1 << 3;
  private static final int EXPORT_SUPPORT = 1 << 4;
  private static final int BIG_WRITES = 1 << 5;
  private static final int AUTO_INVAL_DATA = 1 << 12;
  private static final int DO_READDIRPLUS = 1 << 13;
  private static final int READDIRPLUS_AUTO = 1 << 14;
  private static final int ASYNC_DIO = 1 << 15;
  private static final int PARALLEL_DIROPS = 1 << 18;
  private static final int MAX_PAGES = 1 << 22;
  private static final int CACHE_SYMLINKS = 1 << 23;
  private static final int HANDLE_KILLPRIV_V2 = 1 << 28;

  /**
   * What is not among them is left to the guest's kernel: locks, its umask, and when it writes what
   * it has cached, which is at once, since others look at the folder too. Access control lists are
   * not offered.
   */
  private static final int OFFERED =
      ASYNC_READ
          | ATOMIC_O_TRUNC
          | EXPORT_SUPPORT
          | BIG_WRITES
          | AUTO_INVAL_DATA
          | DO_READDIRPLUS
          | READDIRPLUS_AUTO
          | ASYNC_DIO
          | PARALLEL_DIROPS
          | MAX_PAGES
          | CACHE_SYMLINKS
          | HANDLE_KILLPRIV_V2;

  private final SharedFolder folder;
  private volatile Session session;
  private boolean closed;

  private FuseServer(SharedFolder folder) {
    this.folder = folder;
    session = new Session(folder);
  }

  /**
   * Opens a folder.
   *
   * @param readOnly refuses every change with EROFS
   * @throws IOException in one line that says what to do, if there is no such folder, or no way to
   *     keep a guest inside of it on this host
   */
  public static FuseServer open(Path folder, boolean readOnly) throws IOException {
    return new FuseServer(SharedFolder.open(folder, readOnly));
  }

  @Override
  public int serve(List<MemorySegment> request, List<MemorySegment> reply) {
    FuseReply out = new FuseReply(reply);
    if (!folder.root().use()) {
      return out.error(0, Errno.ENODEV);
    }
    try (Descriptor _ = folder.root();
        Arena arena = Arena.ofConfined()) {
      FuseMessage in = FuseMessage.read(request, arena);
      if (in == null) {
        return out.error(0, Errno.EIO);
      }
      Session current = session;
      try {
        return serve(new Request(folder, current, new FolderCalls(arena), arena, in, out));
      } catch (FuseException e) {
        return out.error(in.unique(), e.errno());
      }
    }
  }

  private int serve(Request request) throws FuseException {
    int opcode = request.in().opcode();
    if (opcode == Opcode.INIT) {
      return begin(request);
    }
    if (!request.session().begun()) {
      throw new FuseException(Errno.EIO);
    }
    return switch (opcode) {
      case Opcode.LOOKUP -> Names.lookup(request);
      case Opcode.FORGET -> forget(request);
      case Opcode.BATCH_FORGET -> forgetAll(request);
      case Opcode.GETATTR -> Attributes.get(request);
      case Opcode.SETATTR -> Attributes.set(request);
      case Opcode.STATX -> Attributes.extended(request);
      case Opcode.ACCESS -> Attributes.access(request);
      case Opcode.STATFS -> Attributes.fileSystem(request);
      case Opcode.READLINK -> Names.readLink(request);
      case Opcode.SYMLINK -> Names.makeSymbolicLink(request);
      case Opcode.MKNOD -> Names.makeNode(request);
      case Opcode.MKDIR -> Names.makeFolder(request);
      case Opcode.LINK -> Names.link(request);
      case Opcode.UNLINK -> Names.remove(request, false);
      case Opcode.RMDIR -> Names.remove(request, true);
      case Opcode.RENAME -> Names.rename(request, false);
      case Opcode.RENAME2 -> Names.rename(request, true);
      case Opcode.OPEN -> OpenFiles.open(request);
      case Opcode.CREATE -> OpenFiles.create(request);
      case Opcode.TMPFILE -> OpenFiles.createNameless(request);
      case Opcode.READ -> OpenFiles.read(request);
      case Opcode.WRITE -> OpenFiles.write(request);
      case Opcode.RELEASE -> OpenFiles.release(request, false);
      case Opcode.FSYNC -> OpenFiles.sync(request, false);
      case Opcode.FALLOCATE -> OpenFiles.allocate(request);
      case Opcode.LSEEK -> OpenFiles.seek(request);
      case Opcode.COPY_FILE_RANGE -> OpenFiles.copy(request);
      case Opcode.SYNCFS -> OpenFiles.syncFileSystem(request);
      case Opcode.OPENDIR -> OpenFolders.open(request);
      case Opcode.READDIR -> OpenFolders.read(request, false);
      case Opcode.READDIRPLUS -> OpenFolders.read(request, true);
      case Opcode.RELEASEDIR -> OpenFiles.release(request, true);
      case Opcode.FSYNCDIR -> OpenFiles.sync(request, true);
      case Opcode.GETXATTR -> ExtendedAttributes.get(request);
      case Opcode.SETXATTR -> ExtendedAttributes.set(request);
      case Opcode.LISTXATTR -> ExtendedAttributes.list(request);
      case Opcode.REMOVEXATTR -> ExtendedAttributes.remove(request);
      // Nothing waits for longer than the host does, so there is nothing to interrupt.
      case Opcode.INTERRUPT -> 0;
      case Opcode.DESTROY -> {
        int size = request.done();
        reset();
        yield size;
      }
      // FLUSH among them: nothing is kept back that a close would have to write.
      default -> throw new FuseException(Errno.ENOSYS);
    };
  }

  private int begin(Request request) throws FuseException {
    FuseMessage in = request.in();
    request.out().needs(INIT_REPLY);
    in.needs(16);
    int major = in.getInt(0);
    int minor = in.getInt(4);
    if (major < MAJOR || major == MAJOR && minor < LEAST_MINOR) {
      throw new FuseException(Errno.EPROTO);
    }
    MemorySegment reply = request.allocate(INIT_REPLY);
    reply.set(JAVA_INT, 0, MAJOR);
    reply.set(JAVA_INT, 4, MINOR);
    if (major == MAJOR) {
      reply.set(JAVA_INT, 4, Math.min(minor, MINOR));
      reply.set(JAVA_INT, 8, in.getInt(8));
      reply.set(JAVA_INT, 12, in.getInt(12) & OFFERED);
      reply.set(JAVA_SHORT, 16, (short) MOST_IN_BACKGROUND);
      reply.set(JAVA_SHORT, 18, (short) (MOST_IN_BACKGROUND * 3 / 4));
      reply.set(JAVA_INT, 20, MOST_AT_ONCE);
      reply.set(JAVA_INT, 24, 1);
      reply.set(JAVA_SHORT, 28, (short) (MOST_AT_ONCE / PAGE));
      // A driver that begins anew knows nothing from before.
      reset();
      session.begin();
    }
    return request.send(reply);
  }

  private static int forget(Request request) throws FuseException {
    request.nodes().forget(request.in().node(), request.in().getLong(0));
    return 0;
  }

  private static int forgetAll(Request request) throws FuseException {
    long count = request.in().getInt(0) & 0xffff_ffffL;
    request.in().needs(8 + 16 * count);
    for (long at = 8; at < 8 + 16 * count; at += 16) {
      request.nodes().forget(request.in().getLong(at), request.in().getLong(at + 8));
    }
    return 0;
  }

  /** Requests that are under way end as they would have, without leaving anything behind. */
  @Override
  public synchronized void reset() {
    Session before = session;
    session = new Session(folder);
    before.close();
  }

  /** Nodes by their paths, and what is open. */
  @Override
  public void save(StateWriter out) {
    new SavedSession(folder).save(session, out);
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    Session loaded = new SavedSession(folder).load(in);
    Session before = session;
    session = loaded;
    before.close();
  }

  /** Closes all that is open. Requests that still come are answered with an error. */
  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      session.close();
      folder.close();
    }
  }
}
