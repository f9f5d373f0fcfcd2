package dev.bothy.image.storage;

import dev.bothy.image.ImageException;
import dev.bothy.image.ImageException.Trouble;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * The image files that this process has open, and their locks: one writer, or any number of readers
 * of a file, in this process and among all that lock.
 *
 * <p>Java's locks belong to a process and a file: whoever closes any descriptor of the file loses
 * them all. So this process has each file open once, however many use it. The locks are on the
 * bytes that QEMU uses for its own (it has a shared lock of byte 100 + n for a permission that it
 * has and 200 + n for one that it grants nobody else: 0 is consistent reading, 1 writing, 3
 * resizing), so that each keeps off what the other writes. Without Linux' own calls, a file that
 * QEMU writes can still be opened for reading.
 */
final class OpenFiles {
  private static final long FIRST_LOCK = 100;
  private static final long LOCKS = 200;
  private static final long HAS_READ = 100;
  private static final long HAS_WRITE = 101;
  private static final long HAS_RESIZE = 103;
  private static final long GRANTS_NO_WRITE = 201;
  private static final long GRANTS_NO_RESIZE = 203;

  private static final Map<Object, Shared> OPEN = new HashMap<>();

  /** A file that is open, for one writer or several readers. */
  static final class Shared {
    final HostFile file;
    private final Object key;
    private final boolean writing;
    private int users = 1;

    private Shared(HostFile file, Object key, boolean writing) {
      this.file = file;
      this.key = key;
      this.writing = writing;
    }

    /** Ends one use; the last closes the file, and so ends the locks. */
    void release() throws IOException {
      synchronized (OPEN) {
        if (--users == 0) {
          OPEN.remove(key);
          file.close();
        }
      }
    }
  }

  private OpenFiles() {}

  /**
   * Opens a file that exists.
   *
   * @throws ImageException if it is not there, no file or block device, not permitted or in use
   */
  static Shared open(Path path, boolean writing) throws ImageException {
    synchronized (OPEN) {
      try {
        checkKind(path);
        Shared shared = OPEN.get(key(path));
        if (shared == null) {
          return add(path, writing, false);
        }
        if (writing || shared.writing) {
          throw inUse(path);
        }
        shared.users++;
        return shared;
      } catch (IOException e) {
        throw failure(path, e);
      }
    }
  }

  /**
   * Makes a new file and opens it for writing.
   *
   * @throws ImageException if there is such a file already, or it cannot be made
   */
  static Shared create(Path path) throws ImageException {
    synchronized (OPEN) {
      try {
        return add(path, true, true);
      } catch (IOException e) {
        ImageException failure = failure(path, e);
        throw failure.trouble() == Trouble.NOT_FOUND
            ? new ImageException(
                Trouble.NOT_FOUND, path + " cannot be made: there is no such folder", e)
            : failure;
      }
    }
  }

  private static Shared add(Path path, boolean writing, boolean make) throws IOException {
    HostFile file = HostFile.open(path, writing, make);
    try {
      if (writing ? !lockForWriting(file) : !lockForReading(file)) {
        throw inUse(path);
      }
      Shared shared = new Shared(file, key(path), writing);
      OPEN.put(shared.key, shared);
      return shared;
    } catch (IOException | RuntimeException e) {
      file.close();
      // Whoever has locked what we had just made may have begun to write to it.
      if (make && !(e instanceof ImageException image && image.trouble() == Trouble.IN_USE)) {
        Files.deleteIfExists(path);
      }
      throw e;
    }
  }

  private static boolean lockForWriting(HostFile file) throws IOException {
    return file.lock(FIRST_LOCK, LOCKS, false);
  }

  /** What others write, they have a shared lock for, which does not keep ours off. */
  private static boolean lockForReading(HostFile file) throws IOException {
    return file.lock(HAS_READ, 1, true)
        && file.lock(GRANTS_NO_WRITE, 1, true)
        && file.lock(GRANTS_NO_RESIZE, 1, true)
        && !file.lockedByOthers(HAS_WRITE)
        && !file.lockedByOthers(HAS_RESIZE);
  }

  private static Object key(Path path) throws IOException {
    Object key =
        Files.readAttributes(path, java.nio.file.attribute.BasicFileAttributes.class).fileKey();
    return key != null ? key : path.toRealPath();
  }

  /** Opening a pipe would wait for somebody at its other end. */
  private static void checkKind(Path path) throws IOException {
    if (Files.isRegularFile(path)) {
      return;
    }
    if (Files.isDirectory(path)) {
      throw new ImageException(Trouble.REFUSED, path + " is a folder, not a disk image");
    }
    if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      throw new NoSuchFileException(path.toString());
    }
    if (!Files.exists(path)) {
      throw new ImageException(
          Trouble.NOT_FOUND, path + " is a link to a file that does not exist");
    }
    boolean blockDevice =
        path.getFileSystem().supportedFileAttributeViews().contains("unix")
            && ((int) Files.getAttribute(path, "unix:mode") & 0xf000) == 0x6000;
    if (!blockDevice) {
      throw new ImageException(Trouble.REFUSED, path + " is neither a file nor a block device");
    }
  }

  private static ImageException inUse(Path path) {
    return new ImageException(
        Trouble.IN_USE, path + " is in use: another machine or command has it open");
  }

  /** The error of a host's file as one line that names it. */
  static ImageException failure(Path path, IOException e) {
    return switch (e) {
      case ImageException already -> already;
      case NoSuchFileException _ ->
          new ImageException(Trouble.NOT_FOUND, "there is no file " + path, e);
      case FileAlreadyExistsException _ ->
          new ImageException(Trouble.REFUSED, path + " exists already", e);
      case AccessDeniedException _ ->
          new ImageException(Trouble.NOT_PERMITTED, "no permission for " + path, e);
      case FileSystemException f when f.getReason() != null -> failure(path, f.getReason(), e);
      default -> failure(path, String.valueOf(e.getMessage()), e);
    };
  }

  private static ImageException failure(Path path, String reason, IOException e) {
    // What the C library says of ENOSPC and EDQUOT; Java gives no number.
    boolean full = reason.contains("No space left") || reason.contains("quota exceeded");
    return new ImageException(
        full ? Trouble.NO_SPACE : Trouble.HOST_ERROR, path + ": " + reason.strip(), e);
  }
}
