package dev.bothy.host;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Set;

/**
 * System calls of Linux on what a folder holds, relative to the folder's descriptor: for those who
 * must be sure that nobody, by renaming or by symbolic links, leads them elsewhere (openat2(2)).
 * {@link FileCalls} has what is done with a file once it is open.
 *
 * <p>Methods return what the call does, or <b>the negative error number</b> if that fails; calls
 * that a signal has interrupted are made again. Names and paths are bytes in native memory that end
 * with a 0. Descriptors that {@link #O_PATH} has opened will do wherever a parameter is called
 * {@code file}.
 *
 * <p>An object has the memory that its calls need, and is for one thread at a time.
 */
public final class FolderCalls {
  /** Instead of a folder's descriptor: the path is absolute. */
  public static final int NO_FOLDER = -100;

  // open(2), as on x86-64; those that are another elsewhere are below.
  public static final int O_ACCESS = 3;
  public static final int O_TRUNC = 01000;
  public static final int O_APPEND = 02000;
  public static final int O_NOATIME = 01000000;
  public static final int O_PATH = 010000000;
  public static final int O_TMPFILE = 020000000;

  private static final boolean X86 =
      Set.of("amd64", "x86_64").contains(System.getProperty("os.arch"));
  private static final boolean AARCH64 = System.getProperty("os.arch").equals("aarch64");

  public static final int O_FOLDER = X86 ? 0200000 : 040000;
  public static final int O_NOFOLLOW = X86 ? 0400000 : 0100000;

  // openat2(2)
  public static final int RESOLVE_NO_XDEV = 1;
  public static final int RESOLVE_NO_MAGICLINKS = 2;
  public static final int RESOLVE_NO_SYMLINKS = 4;
  public static final int RESOLVE_BENEATH = 8;

  // renameat2(2)
  public static final int RENAME_NOREPLACE = 1;
  public static final int RENAME_EXCHANGE = 2;

  /** For {@link #setTimes}: now. */
  public static final int UTIME_NOW = 0x3fffffff;

  /** For {@link #setTimes}: as it is. */
  public static final int UTIME_OMIT = 0x3ffffffe;

  /** For {@link #chown}: as it is. */
  public static final int SAME_OWNER = -1;

  // Where Linux keeps the kind of a file system (statfs(2)).
  public static final long PROC_FILE_SYSTEM = 0x9fa0;
  public static final long SYS_FILE_SYSTEM = 0x62656572;
  public static final long OVERLAY_FILE_SYSTEM = 0x794c7630;

  private static final int EINTR = 4;
  private static final int AT_SYMLINK_FOLLOW = 0x400;
  private static final int AT_REMOVEDIR = 0x200;
  private static final int AT_EMPTY_PATH = 0x1000;
  private static final int RLIMIT_NOFILE = 7;

  // System calls without a function of their own in C libraries that are in use.
  private static final int SYS_OPENAT2 = 437;
  private static final int SYS_GETDENTS64 = X86 ? 217 : 61;

  private static final int HOW_SIZE = 24;
  private static final int STATX_SIZE = 256;
  private static final int STATX_BASIC_AND_BIRTH = 0xfff;
  private static final int STATX_BIRTH = 0x800;
  private static final int STATFS_SIZE = 120;
  private static final String PROC = "/proc/self/fd/";

  /** Linked by the first call. */
  private static final class Calls {
    static final LibraryFunction SYSCALL = LibraryFunction.variadic("syscall");
    static final LibraryFunction STATX = new LibraryFunction("statx");
    static final LibraryFunction FSTATFS = new LibraryFunction("fstatfs");
    static final LibraryFunction SYNCFS = new LibraryFunction("syncfs");
    static final LibraryFunction FCHOWNAT = new LibraryFunction("fchownat");
    static final LibraryFunction CHMOD = new LibraryFunction("chmod");
    static final LibraryFunction TRUNCATE = new LibraryFunction("truncate");
    static final LibraryFunction UTIMENSAT = new LibraryFunction("utimensat");
    static final LibraryFunction MKDIRAT = new LibraryFunction("mkdirat");
    static final LibraryFunction MKNODAT = new LibraryFunction("mknodat");
    static final LibraryFunction SYMLINKAT = new LibraryFunction("symlinkat");
    static final LibraryFunction LINKAT = new LibraryFunction("linkat");
    static final LibraryFunction UNLINKAT = new LibraryFunction("unlinkat");
    static final LibraryFunction RENAMEAT2 = new LibraryFunction("renameat2");
    static final LibraryFunction READLINKAT = new LibraryFunction("readlinkat");
    static final LibraryFunction GETXATTR = new LibraryFunction("getxattr");
    static final LibraryFunction SETXATTR = new LibraryFunction("setxattr");
    static final LibraryFunction LISTXATTR = new LibraryFunction("listxattr");
    static final LibraryFunction REMOVEXATTR = new LibraryFunction("removexattr");
    static final LibraryFunction LSEEK = new LibraryFunction("lseek");
    static final LibraryFunction COPY_FILE_RANGE = new LibraryFunction("copy_file_range");
    static final LibraryFunction GETRLIMIT = new LibraryFunction("getrlimit");
    static final LibraryFunction GETEUID = new LibraryFunction("geteuid");
  }

  private final MemorySegment state;

  /** What one call wants to be told, or answers. */
  private final MemorySegment room;

  private final MemorySegment procPath;
  private final MemorySegment empty;

  /**
   * @param arena where the memory comes from that the calls need; no call may follow its end
   * @throws UnsupportedOperationException if these calls cannot be made here
   */
  public FolderCalls(Arena arena) {
    if (!available()) {
      throw new UnsupportedOperationException("no calls for folders on this host");
    }
    state = LibraryFunction.callState(arena);
    MemorySegment all = arena.allocate(STATX_SIZE + 40, 8);
    room = all.asSlice(0, STATX_SIZE);
    procPath = all.asSlice(STATX_SIZE, 32);
    empty = all.asSlice(STATX_SIZE + 32, 8);
    MemorySegment.copy(PROC.getBytes(), 0, procPath, JAVA_BYTE, 0, PROC.length());
  }

  /** True on hosts whose system calls are known here: Linux on x86-64 and AArch64. */
  public static boolean available() {
    return NativeAccess.allowed() && (X86 || AARCH64) && linked();
  }

  /** False if the C library is one that lacks some of the functions. */
  private static boolean linked() {
    try {
      return Calls.SYSCALL != null;
    } catch (ExceptionInInitializerError | NoClassDefFoundError e) {
      return false;
    }
  }

  private int call(LibraryFunction function, long a, long b, long c, long d, long e) {
    int result;
    do {
      result = function.intInto(state, a, b, c, d, e, 0);
    } while (result == -EINTR);
    return result;
  }

  private long longCall(LibraryFunction function, long a, long b, long c, long d, long e, long f) {
    long result;
    do {
      result = function.longInto(state, a, b, c, d, e, f);
    } while (result == -EINTR);
    return result;
  }

  /** The path by which the kernel finds what a descriptor of ours stands for. */
  private long pathOf(int file) {
    int digits = 1;
    for (int rest = file; rest >= 10; rest /= 10) {
      digits++;
    }
    int rest = file;
    for (int i = digits - 1; i >= 0; i--) {
      procPath.set(JAVA_BYTE, PROC.length() + i, (byte) ('0' + rest % 10));
      rest /= 10;
    }
    procPath.set(JAVA_BYTE, PROC.length() + digits, (byte) 0);
    return procPath.address();
  }

  /**
   * Opens a path below a folder: openat2(2).
   *
   * @param mode permissions of a file that is made; 0 if none can be
   * @param resolve {@code RESOLVE_} flags
   * @return the descriptor
   */
  public int open(int folder, MemorySegment path, int flags, int mode, int resolve) {
    return open(folder, path.address(), flags, mode, resolve);
  }

  private int open(int folder, long path, int flags, int mode, int resolve) {
    room.set(JAVA_LONG, 0, (flags | FileCalls.O_CLOEXEC) & 0xffff_ffffL);
    room.set(JAVA_LONG, 8, mode);
    room.set(JAVA_LONG, 16, resolve);
    return (int) longCall(Calls.SYSCALL, SYS_OPENAT2, folder, path, room.address(), HOW_SIZE, 0);
  }

  /**
   * Opens anew what a descriptor stands for, to do more with it. Only for what is known to be a
   * regular file or a folder: opening anything else may wait for ever or reach a device.
   */
  public int reopen(int file, int flags) {
    return open(NO_FOLDER, pathOf(file), flags, 0, 0);
  }

  /** Finds out what {@link #status()} tells: statx(2). */
  public int findStatus(int file) {
    return call(
        Calls.STATX, file, empty.address(), AT_EMPTY_PATH, STATX_BASIC_AND_BIRTH, room.address());
  }

  /** What the last call of {@link #findStatus} has found, if no other call has been made since. */
  public FileStatus status() {
    boolean birthKnown = (room.get(JAVA_INT, 0) & STATX_BIRTH) != 0;
    return new FileStatus(
        room.get(JAVA_SHORT, 28) & 0xffff,
        room.get(JAVA_INT, 16),
        room.get(JAVA_INT, 20),
        room.get(JAVA_INT, 24),
        FileStatus.deviceNumber(room.get(JAVA_INT, 136), room.get(JAVA_INT, 140)),
        room.get(JAVA_LONG, 32),
        room.get(JAVA_LONG, 40),
        room.get(JAVA_LONG, 48),
        room.get(JAVA_INT, 4),
        room.get(JAVA_LONG, 8),
        FileStatus.deviceNumber(room.get(JAVA_INT, 128), room.get(JAVA_INT, 132)),
        time(64),
        time(112),
        time(96),
        birthKnown ? time(80) : null);
  }

  private FileStatus.Time time(int offset) {
    return new FileStatus.Time(room.get(JAVA_LONG, offset), room.get(JAVA_INT, offset + 8));
  }

  /** Finds out what {@link #fileSystem} tells: fstatfs(2). */
  public int findFileSystem(int file) {
    room.asSlice(0, STATFS_SIZE).fill((byte) 0);
    return call(Calls.FSTATFS, file, room.address(), 0, 0, 0);
  }

  /** What the last call of {@link #findFileSystem} has found, if no other has been made since. */
  public FileSystemStatus fileSystem() {
    return new FileSystemStatus(
        room.get(JAVA_LONG, 0),
        room.get(JAVA_LONG, 8),
        room.get(JAVA_LONG, 16),
        room.get(JAVA_LONG, 24),
        room.get(JAVA_LONG, 32),
        room.get(JAVA_LONG, 40),
        room.get(JAVA_LONG, 48),
        room.get(JAVA_LONG, 64),
        room.get(JAVA_LONG, 72));
  }

  /**
   * What the host knows of a file system: statfs(2).
   *
   * @param kind which one, {@link #PROC_FILE_SYSTEM} for example
   * @param blockSize bytes that are best moved at once
   * @param blocks its size in fragments
   * @param free fragments that are free
   * @param available of those, what others than root may have
   * @param files inodes there are
   * @param freeFiles inodes that are free
   * @param nameLength bytes a name can have
   * @param fragmentSize bytes
   */
  public record FileSystemStatus(
      long kind,
      long blockSize,
      long blocks,
      long free,
      long available,
      long files,
      long freeFiles,
      long nameLength,
      long fragmentSize) {}

  /** Has everything in the file's file system on stable storage: syncfs(2). Not for O_PATH. */
  public int syncFileSystem(int descriptor) {
    return call(Calls.SYNCFS, descriptor, 0, 0, 0, 0);
  }

  /** Changes owner and group, of symbolic links too; {@link #SAME_OWNER} leaves one as it is. */
  public int chown(int file, int uid, int gid) {
    return call(Calls.FCHOWNAT, file, empty.address(), uid, gid, AT_EMPTY_PATH);
  }

  /** Changes permissions, of anything but symbolic links. */
  public int chmod(int file, int permissions) {
    return call(Calls.CHMOD, pathOf(file), permissions, 0, 0, 0);
  }

  /** Changes the size of a regular file. */
  public int truncate(int file, long size) {
    return call(Calls.TRUNCATE, pathOf(file), size, 0, 0, 0);
  }

  /** Changes the times of access and modification, of symbolic links too; utimensat(2). */
  public int setTimes(int file, FileStatus.Time accessed, FileStatus.Time modified) {
    room.set(JAVA_LONG, 0, accessed.seconds());
    room.set(JAVA_LONG, 8, accessed.nanos());
    room.set(JAVA_LONG, 16, modified.seconds());
    room.set(JAVA_LONG, 24, modified.nanos());
    return call(Calls.UTIMENSAT, NO_FOLDER, pathOf(file), room.address(), 0, 0);
  }

  /** Makes a folder in a folder: mkdirat(2). */
  public int makeFolder(int folder, MemorySegment name, int permissions) {
    return call(Calls.MKDIRAT, folder, name.address(), permissions, 0, 0);
  }

  /** Makes a FIFO or a socket, which only {@code mode} tells: mknodat(2). */
  public int makeNode(int folder, MemorySegment name, int mode) {
    return call(Calls.MKNODAT, folder, name.address(), mode, 0, 0);
  }

  /** Makes a symbolic link: symlinkat(2). */
  public int makeSymbolicLink(int folder, MemorySegment name, MemorySegment target) {
    return call(Calls.SYMLINKAT, target.address(), folder, name.address(), 0, 0);
  }

  /** Gives a file one more name: linkat(2). */
  public int link(int file, int folder, MemorySegment name) {
    return call(Calls.LINKAT, NO_FOLDER, pathOf(file), folder, name.address(), AT_SYMLINK_FOLLOW);
  }

  /** Removes a name that is not a folder's: unlinkat(2). */
  public int remove(int folder, MemorySegment name) {
    return call(Calls.UNLINKAT, folder, name.address(), 0, 0, 0);
  }

  /** Removes an empty folder. */
  public int removeFolder(int folder, MemorySegment name) {
    return call(Calls.UNLINKAT, folder, name.address(), AT_REMOVEDIR, 0, 0);
  }

  /**
   * Renames: renameat2(2).
   *
   * @param flags {@code RENAME_} flags
   */
  public int rename(
      int folder, MemorySegment name, int newFolder, MemorySegment newName, int flags) {
    return call(Calls.RENAMEAT2, folder, name.address(), newFolder, newName.address(), flags);
  }

  /** What a symbolic link says, not ended by a 0; the bytes it takes. */
  public int readLink(int file, MemorySegment target) {
    return (int)
        longCall(
            Calls.READLINKAT, file, empty.address(), target.address(), target.byteSize(), 0, 0);
  }

  /**
   * The value of an extended attribute; the bytes it takes. Those alone if {@code value} is empty.
   */
  public int getAttribute(int file, MemorySegment name, MemorySegment value) {
    return (int)
        longCall(
            Calls.GETXATTR, pathOf(file), name.address(), value.address(), value.byteSize(), 0, 0);
  }

  /**
   * Sets an extended attribute.
   *
   * @param flags XATTR_CREATE and XATTR_REPLACE of setxattr(2)
   */
  public int setAttribute(int file, MemorySegment name, MemorySegment value, int flags) {
    return call(
        Calls.SETXATTR, pathOf(file), name.address(), value.address(), value.byteSize(), flags);
  }

  /** The names of a file's extended attributes, each ended by a 0; the bytes they take. */
  public int listAttributes(int file, MemorySegment names) {
    return (int)
        longCall(Calls.LISTXATTR, pathOf(file), names.address(), names.byteSize(), 0, 0, 0);
  }

  /** Removes an extended attribute. */
  public int removeAttribute(int file, MemorySegment name) {
    return call(Calls.REMOVEXATTR, pathOf(file), name.address(), 0, 0, 0);
  }

  /**
   * Reads from a folder that is open for reading as many entries as there is room for, and goes on
   * behind them the next time: getdents64(2).
   *
   * @return bytes read; 0 at the end
   */
  public int entries(int descriptor, MemorySegment target) {
    return (int)
        longCall(
            Calls.SYSCALL, SYS_GETDENTS64, descriptor, target.address(), target.byteSize(), 0, 0);
  }

  /** Moves a descriptor's position; where it is then: lseek(2). */
  public long seek(int descriptor, long position) {
    return longCall(Calls.LSEEK, descriptor, position, 0, 0, 0, 0);
  }

  /** Copies from one open file to another: copy_file_range(2). Bytes copied; 0 at the end. */
  public long copy(int source, long from, int target, long to, long length) {
    room.set(JAVA_LONG, 0, from);
    room.set(JAVA_LONG, 8, to);
    long address = room.address();
    return longCall(Calls.COPY_FILE_RANGE, source, address, target, address + 8, length, 0);
  }

  /** How many descriptors this process may have: RLIMIT_NOFILE of getrlimit(2). */
  public long descriptorLimit() {
    int result = call(Calls.GETRLIMIT, RLIMIT_NOFILE, room.address(), 0, 0, 0);
    long limit = room.get(JAVA_LONG, 0);
    return result < 0 ? result : limit < 0 ? Long.MAX_VALUE : limit;
  }

  /** Whose this process is: geteuid(2). */
  public int user() {
    return call(Calls.GETEUID, 0, 0, 0, 0, 0);
  }
}
