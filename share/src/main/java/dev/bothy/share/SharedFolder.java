package dev.bothy.share;

import static dev.bothy.host.FolderCalls.O_FOLDER;
import static dev.bothy.host.FolderCalls.O_NOFOLLOW;
import static dev.bothy.host.FolderCalls.O_PATH;

import dev.bothy.host.FileCalls;
import dev.bothy.host.FileStatus;
import dev.bothy.host.FolderCalls;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * The folder that is shared, and how the host finds what it holds: always from its descriptor
 * downwards, through folders alone. Thread-safe.
 */
final class SharedFolder implements AutoCloseable {
  /**
   * No symbolic link is followed: the guest's kernel does that, with look-ups of its own. No mount
   * point is passed: what is mounted in there was not meant, and could be a file system whose files
   * are the host's processes.
   */
  private static final int INSIDE =
      FolderCalls.RESOLVE_BENEATH
          | FolderCalls.RESOLVE_NO_MAGICLINKS
          | FolderCalls.RESOLVE_NO_SYMLINKS
          | FolderCalls.RESOLVE_NO_XDEV;

  private final Descriptor root;
  private final FileIdentity identity;
  private final boolean readOnly;
  private final boolean privileged;
  private final boolean birthLasts;
  private final DescriptorBudget budget;

  private SharedFolder(
      Descriptor root,
      FileIdentity identity,
      boolean readOnly,
      boolean privileged,
      boolean birthLasts,
      DescriptorBudget budget) {
    this.root = root;
    this.identity = identity;
    this.readOnly = readOnly;
    this.privileged = privileged;
    this.birthLasts = birthLasts;
    this.budget = budget;
  }

  static SharedFolder open(Path path, boolean readOnly) throws IOException {
    if (!FolderCalls.available() || !FileCalls.available()) {
      throw new IOException(
          "sharing a folder needs Linux on x86-64 or AArch64, and calls into the C library");
    }
    int descriptor = FileCalls.open(path, O_PATH | O_FOLDER | FileCalls.O_CLOEXEC, 0);
    if (descriptor < 0) {
      throw new IOException(
          switch (-descriptor) {
            case Errno.ENOENT -> "there is no folder " + path + " to share: make it first";
            case Errno.ENOTDIR -> path + " is no folder, and only folders can be shared";
            case Errno.EACCES -> "no permission to share the folder " + path;
            default ->
                "the folder " + path + " cannot be shared: " + FileCalls.message(-descriptor);
          });
    }
    Descriptor root = new Descriptor(descriptor);
    try (Arena arena = Arena.ofConfined()) {
      return opened(path, root, readOnly, new FolderCalls(arena), arena);
    } catch (IOException | RuntimeException | Error e) {
      root.close();
      throw e;
    }
  }

  private static SharedFolder opened(
      Path path, Descriptor root, boolean readOnly, FolderCalls calls, Arena arena)
      throws IOException {
    int descriptor = root.number();
    try {
      FuseException.check(calls.findStatus(descriptor));
      FileStatus status = calls.status();
      FuseException.check(calls.findFileSystem(descriptor));
      long kind = calls.fileSystem().kind();
      if (kind == FolderCalls.PROC_FILE_SYSTEM || kind == FolderCalls.SYS_FILE_SYSTEM) {
        throw new IOException(path + " is the host's kernel, not a folder that can be shared");
      }
      int again = calls.open(descriptor, arena.allocateFrom("."), O_PATH | O_FOLDER, 0, INSIDE);
      if (again < 0) {
        throw new IOException(
            "sharing a folder needs openat2(2): run Linux 5.6 or newer, in a container one that"
                + " allows it");
      }
      FileCalls.close(again);
      boolean birthLasts = kind != FolderCalls.OVERLAY_FILE_SYSTEM;
      FileIdentity identity = FileIdentity.of(status, birthLasts);
      if (!reachedByNumber(descriptor, calls, identity, birthLasts)) {
        throw new IOException("sharing a folder needs the host's /proc: mount it");
      }
      return new SharedFolder(
          root,
          identity,
          readOnly,
          calls.user() == 0,
          birthLasts,
          new DescriptorBudget(calls.descriptorLimit()));
    } catch (FuseException e) {
      throw new IOException(
          "the folder " + path + " cannot be shared: " + FileCalls.message(e.errno()), e);
    }
  }

  /** Whether a descriptor's path in /proc leads to what it stands for. */
  private static boolean reachedByNumber(
      int descriptor, FolderCalls calls, FileIdentity identity, boolean birthLasts) {
    int again = calls.reopen(descriptor, O_PATH | O_FOLDER);
    if (again < 0) {
      return false;
    }
    boolean same =
        calls.findStatus(again) >= 0
            && FileIdentity.of(calls.status(), birthLasts).equals(identity);
    FileCalls.close(again);
    return same;
  }

  /** The folder itself. */
  Descriptor root() {
    return root;
  }

  FileIdentity identity() {
    return identity;
  }

  FileIdentity identity(FileStatus status) {
    return FileIdentity.of(status, birthLasts);
  }

  boolean readOnly() {
    return readOnly;
  }

  /** True if files can be given to other users. */
  boolean privileged() {
    return privileged;
  }

  DescriptorBudget budget() {
    return budget;
  }

  /**
   * Finds what a path below a folder leads to, without opening it.
   *
   * @throws FuseException what openat2(2) says
   */
  static Descriptor find(FolderCalls calls, Descriptor folder, MemorySegment path)
      throws FuseException {
    return new Descriptor(
        FuseException.check(calls.open(folder.number(), path, O_PATH | O_NOFOLLOW, 0, INSIDE)));
  }

  /** Makes and opens a file that is not there yet. */
  static Descriptor make(
      FolderCalls calls, Descriptor folder, MemorySegment name, int flags, int permissions)
      throws FuseException {
    int all = flags | O_NOFOLLOW | FileCalls.O_CREAT | FileCalls.O_EXCL;
    return new Descriptor(
        FuseException.check(calls.open(folder.number(), name, all, permissions, INSIDE)));
  }

  /** Makes and opens a file that has no name. */
  static Descriptor makeNameless(
      FolderCalls calls, Descriptor folder, Arena arena, int flags, int permissions)
      throws FuseException {
    int all = flags | O_FOLDER | FolderCalls.O_TMPFILE;
    return new Descriptor(
        FuseException.check(
            calls.open(folder.number(), arena.allocateFrom("."), all, permissions, INSIDE)));
  }

  @Override
  public void close() {
    root.close();
  }
}
