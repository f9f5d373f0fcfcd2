package dev.bothy.host;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.charset.Charset;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * System calls of Linux on files that are open, named by their descriptor, for what {@link
 * java.nio.channels.FileChannel} lacks: several buffers at once, holes, locks that belong to a
 * descriptor. Numbers of flags and errors are those that Linux has on every processor this runs on.
 *
 * <p>Each method returns what the call does, or <b>the negative error number</b> if that fails;
 * {@link #message} has words for it. Calls that a signal has interrupted are made again.
 *
 * <p>Any thread. A descriptor is nobody's: whoever closes one makes sure that no call with it is
 * under way or follows, since its number may be another file's by then. Only native memory can be
 * read to or written from; it must not be closed during the call. All throw {@link
 * UnsupportedOperationException} if not {@link #available}.
 */
public final class FileCalls {
  // open(2)
  public static final int O_RDONLY = 0;
  public static final int O_WRONLY = 1;
  public static final int O_RDWR = 2;
  public static final int O_CREAT = 0100;
  public static final int O_EXCL = 0200;
  public static final int O_NONBLOCK = 04000;
  public static final int O_CLOEXEC = 02000000;

  // fallocate(2)
  public static final int FALLOC_KEEP_SIZE = 1;
  public static final int FALLOC_PUNCH_HOLE = 2;
  public static final int FALLOC_ZERO_RANGE = 16;

  // errno(3)
  public static final int EPERM = 1;
  public static final int ENOENT = 2;
  public static final int EIO = 5;
  public static final int ENXIO = 6;
  public static final int EBADF = 9;
  public static final int EAGAIN = 11;
  public static final int EACCES = 13;
  public static final int EEXIST = 17;
  public static final int EINVAL = 22;
  public static final int EFBIG = 27;
  public static final int ENOSPC = 28;
  public static final int EROFS = 30;
  public static final int EOPNOTSUPP = 95;
  public static final int EDQUOT = 122;
  private static final int EINTR = 4;

  private static final int SEEK_END = 2;
  private static final int SEEK_DATA = 3;
  private static final int SEEK_HOLE = 4;

  // Locks (fcntl(2)): struct flock.
  private static final int F_OFD_GETLK = 36;
  private static final int F_OFD_SETLK = 37;
  private static final short F_RDLCK = 0;
  private static final short F_WRLCK = 1;
  private static final short F_UNLCK = 2;
  private static final int FLOCK_TYPE = 0;
  private static final int FLOCK_START = 8;
  private static final int FLOCK_LENGTH = 16;
  private static final int FLOCK_SIZE = 32;

  // statx(2), whose answer looks the same on all processors.
  private static final int AT_EMPTY_PATH = 0x1000;
  private static final int STATX_BASIC = 0x7ff;
  private static final int STATX_SIZE = 256;
  private static final int STATX_BLOCKS = 48;
  private static final int STATX_BLOCK = 512;

  // pwritev2(2)
  public static final int RWF_DSYNC = 2;
  public static final int RWF_SYNC = 4;
  public static final int RWF_APPEND = 16;

  /** The kernel takes no more buffers in one call. */
  private static final int IOV_MAX = 1024;

  private static final int IOV_SIZE = 16;

  /** The kernel moves no more bytes in one call. */
  public static final long MOST_AT_ONCE = 0x7fff_f000L;

  /** Linked by the first call. */
  private static final class Calls {
    static final LibraryFunction OPEN = LibraryFunction.variadic("open");
    static final LibraryFunction CLOSE = new LibraryFunction("close");
    static final LibraryFunction PREAD = new LibraryFunction("pread");
    static final LibraryFunction PWRITE = new LibraryFunction("pwrite");
    static final LibraryFunction PREADV = new LibraryFunction("preadv");
    static final LibraryFunction PWRITEV = new LibraryFunction("pwritev");
    static final LibraryFunction FALLOCATE = new LibraryFunction("fallocate");
    static final LibraryFunction FTRUNCATE = new LibraryFunction("ftruncate");
    static final LibraryFunction FDATASYNC = new LibraryFunction("fdatasync");
    static final LibraryFunction FSYNC = new LibraryFunction("fsync");
    static final LibraryFunction LSEEK = new LibraryFunction("lseek");
    static final LibraryFunction STATX = new LibraryFunction("statx");
    static final LibraryFunction FCNTL = LibraryFunction.variadic("fcntl");
  }

  /** Not in every C library. */
  private static final class RareCalls {
    static final LibraryFunction PWRITEV2 = new LibraryFunction("pwritev2");
  }

  /**
   * Memory for the arguments of a call and its error number. Few are made, since whoever needs one
   * finds one that was left here; a thread's own would be one for each virtual thread.
   */
  private static final class Room {
    private static final int SLOTS = 16;
    private static final AtomicReferenceArray<Room> LEFT = new AtomicReferenceArray<>(SLOTS);

    final MemorySegment state;
    final MemorySegment arguments;

    private Room() {
      Arena arena = Arena.ofAuto();
      state = LibraryFunction.callState(arena);
      arguments = arena.allocate((long) IOV_MAX * IOV_SIZE, 8);
    }

    static Room take() {
      Room room = LEFT.getAndSet(slot(), null);
      return room != null ? room : new Room();
    }

    void leave() {
      LEFT.setRelease(slot(), this);
    }

    private static int slot() {
      return (int) Thread.currentThread().threadId() & SLOTS - 1;
    }
  }

  private FileCalls() {}

  /** True if these calls can be made here. */
  public static boolean available() {
    return LibraryFunction.variadicAllowed();
  }

  /** What an error number means, in the C library's words. */
  public static String message(int errno) {
    return LibraryFunction.message(errno);
  }

  private static long longCall(
      Room room, LibraryFunction function, long a, long b, long c, long d, long e) {
    long result;
    do {
      result = function.longInto(room.state, a, b, c, d, e, 0);
    } while (result == -EINTR);
    return result;
  }

  private static long longCall(LibraryFunction function, long a, long b, long c, long d) {
    Room room = Room.take();
    long result = longCall(room, function, a, b, c, d, 0);
    room.leave();
    return result;
  }

  private static int intCall(LibraryFunction function, long a, long b, long c, long d) {
    Room room = Room.take();
    int result = intCall(room, function, a, b, c, d, 0);
    room.leave();
    return result;
  }

  private static int intCall(
      Room room, LibraryFunction function, long a, long b, long c, long d, long e) {
    int result;
    do {
      result = function.intInto(room.state, a, b, c, d, e, 0);
    } while (result == -EINTR);
    return result;
  }

  /**
   * Opens a file: open(2). Give {@link #O_CLOEXEC} always, and {@link #O_NONBLOCK} where it might
   * be a pipe.
   *
   * @param mode permissions of a file that is made
   * @return the descriptor
   */
  public static int open(Path path, int flags, int mode) {
    // As the JDK turns a path's text into bytes.
    Charset charset = Charset.forName(System.getProperty("sun.jnu.encoding"));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocateFrom(path.toString(), charset);
      return intCall(Calls.OPEN, name.address(), flags, mode, 0);
    }
  }

  /** Closes a descriptor: close(2). It is gone whatever this returns. */
  public static int close(int descriptor) {
    Room room = Room.take();
    // Not again after a signal: the number may be somebody else's by then.
    int result = Calls.CLOSE.intInto(room.state, descriptor, 0, 0, 0, 0, 0);
    room.leave();
    return result;
  }

  /** Bytes read into {@code target} from {@code position} on: pread(2); 0 at the end. */
  public static long read(int descriptor, long position, MemorySegment target) {
    return move(Calls.PREAD, descriptor, position, target);
  }

  /** Bytes of {@code source} that were written from {@code position} on: pwrite(2). */
  public static long write(int descriptor, long position, MemorySegment source) {
    return move(Calls.PWRITE, descriptor, position, source);
  }

  private static long move(
      LibraryFunction function, int descriptor, long position, MemorySegment segment) {
    checkNative(segment);
    long result = longCall(function, descriptor, segment.address(), segment.byteSize(), position);
    Reference.reachabilityFence(segment);
    return result;
  }

  private static void checkNative(MemorySegment segment) {
    if (!segment.isNative()) {
      throw new IllegalArgumentException("system calls need native memory");
    }
  }

  /**
   * As {@link #read(int, long, MemorySegment)} into several segments, one after the other:
   * preadv(2). Of more than 1024 segments the first ones are filled.
   */
  public static long read(int descriptor, long position, List<MemorySegment> targets) {
    return targets.size() == 1
        ? read(descriptor, position, targets.getFirst())
        : move(Calls.PREADV, descriptor, position, targets, 0);
  }

  /** As {@link #write(int, long, MemorySegment)} from several segments: pwritev(2). */
  public static long write(int descriptor, long position, List<MemorySegment> sources) {
    return sources.size() == 1
        ? write(descriptor, position, sources.getFirst())
        : move(Calls.PWRITEV, descriptor, position, sources, 0);
  }

  /**
   * As {@link #write(int, long, List)}, with {@code RWF_} flags for this call alone: pwritev2(2).
   */
  public static long write(int descriptor, long position, List<MemorySegment> sources, int flags) {
    return flags == 0
        ? write(descriptor, position, sources)
        : move(RareCalls.PWRITEV2, descriptor, position, sources, flags);
  }

  private static long move(
      LibraryFunction function,
      int descriptor,
      long position,
      List<MemorySegment> segments,
      int flags) {
    int count = Math.min(segments.size(), IOV_MAX);
    Room room = Room.take();
    for (int i = 0; i < count; i++) {
      MemorySegment segment = segments.get(i);
      checkNative(segment);
      room.arguments.set(JAVA_LONG, (long) i * IOV_SIZE, segment.address());
      room.arguments.set(JAVA_LONG, (long) i * IOV_SIZE + 8, segment.byteSize());
    }
    long result =
        longCall(room, function, descriptor, room.arguments.address(), count, position, flags);
    room.leave();
    Reference.reachabilityFence(segments);
    return result;
  }

  /**
   * Reserves, zeroes or gives back room: fallocate(2).
   *
   * @param mode 0 or {@code FALLOC_} flags
   */
  public static int allocate(int descriptor, int mode, long position, long length) {
    return intCall(Calls.FALLOCATE, descriptor, mode, position, length);
  }

  /** Cuts a file off or grows it with a hole: ftruncate(2). */
  public static int truncate(int descriptor, long size) {
    return intCall(Calls.FTRUNCATE, descriptor, size, 0, 0);
  }

  /** Has written data, and what is needed to read them, on stable storage: fdatasync(2). */
  public static int syncData(int descriptor) {
    return intCall(Calls.FDATASYNC, descriptor, 0, 0, 0);
  }

  /** As {@link #syncData}, with all that is known of the file: fsync(2). */
  public static int sync(int descriptor) {
    return intCall(Calls.FSYNC, descriptor, 0, 0, 0);
  }

  /** Bytes of a file or a block device. Moves the descriptor's position, as the next two do. */
  public static long size(int descriptor) {
    return longCall(Calls.LSEEK, descriptor, 0, SEEK_END, 0);
  }

  /** Where the next data are, from {@code position} on; {@code -ENXIO} if there are none. */
  public static long nextData(int descriptor, long position) {
    return longCall(Calls.LSEEK, descriptor, position, SEEK_DATA, 0);
  }

  /**
   * Where the next hole is, from {@code position} on; the end counts as one. {@code -ENXIO} from
   * the end on.
   */
  public static long nextHole(int descriptor, long position) {
    return longCall(Calls.LSEEK, descriptor, position, SEEK_HOLE, 0);
  }

  /** Bytes that a file takes on the host's disk, as far as that knows: statx(2). */
  public static long allocated(int descriptor) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment path = arena.allocateFrom("");
      MemorySegment answer = arena.allocate(STATX_SIZE, 8);
      Room room = Room.take();
      int result =
          intCall(
              room,
              Calls.STATX,
              descriptor,
              path.address(),
              AT_EMPTY_PATH,
              STATX_BASIC,
              answer.address());
      room.leave();
      return result < 0 ? result : answer.get(JAVA_LONG, STATX_BLOCKS) * STATX_BLOCK;
    }
  }

  /**
   * Locks bytes for what the descriptor was opened for, until all copies of it are closed:
   * F_OFD_SETLK of fcntl(2).
   *
   * @param exclusive nobody else can have a lock on any of them
   * @return {@code -EAGAIN} or {@code -EACCES} if somebody else's lock forbids it
   */
  public static int lock(int descriptor, long position, long length, boolean exclusive) {
    return lock(descriptor, F_OFD_SETLK, exclusive ? F_WRLCK : F_RDLCK, position, length);
  }

  /** Gives locks back. */
  public static int unlock(int descriptor, long position, long length) {
    return lock(descriptor, F_OFD_SETLK, F_UNLCK, position, length);
  }

  /**
   * Whether others have locked any of these bytes, shared or not: F_OFD_GETLK of fcntl(2). Others
   * are other processes, and other descriptors that were opened by themselves.
   *
   * @return 1 or 0
   */
  public static int lockedByOthers(int descriptor, long position, long length) {
    return lock(descriptor, F_OFD_GETLK, F_WRLCK, position, length);
  }

  private static int lock(int descriptor, int command, short type, long position, long length) {
    Room room = Room.take();
    MemorySegment flock = room.arguments.asSlice(0, FLOCK_SIZE).fill((byte) 0);
    flock.set(JAVA_SHORT, FLOCK_TYPE, type);
    flock.set(JAVA_LONG, FLOCK_START, position);
    flock.set(JAVA_LONG, FLOCK_LENGTH, length);
    int result = intCall(room, Calls.FCNTL, descriptor, command, flock.address(), 0, 0);
    if (result >= 0 && command == F_OFD_GETLK) {
      result = flock.get(JAVA_SHORT, FLOCK_TYPE) == F_UNLCK ? 0 : 1;
    }
    room.leave();
    return result;
  }
}
