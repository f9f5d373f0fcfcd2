package dev.bothy.host;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;

/**
 * A folder of files that this program keeps for itself, to be faster the next time: readable by its
 * user alone, replaced whole, bounded in size. What somebody else could have written is as good as
 * not there. Any number of threads and processes.
 */
public final class PrivateFolder {
  /** Writes a file's contents. */
  public interface Contents {
    void writeTo(FileChannel channel) throws IOException;
  }

  private static final boolean POSIX =
      FileSystems.getDefault().supportedFileAttributeViews().contains("posix");

  private static final Set<PosixFilePermission> OTHERS =
      EnumSet.of(PosixFilePermission.GROUP_WRITE, PosixFilePermission.OTHERS_WRITE);

  private static final String UNFINISHED = ".new";

  /** No file takes as long to be written. */
  private static final Duration ABANDONED = Duration.ofHours(1);

  private final Path path;

  /** The folder {@code path}, which need not exist. */
  public PrivateFolder(Path path) {
    this.path = path;
  }

  public Path path() {
    return path;
  }

  /** Makes the folder if it is not there. */
  public void create() throws IOException {
    if (!Files.isDirectory(path)) {
      Files.createDirectories(path.toAbsolutePath().getParent());
      try {
        Files.createDirectory(path, onlyOwner("rwx------"));
      } catch (java.nio.file.FileAlreadyExistsException e) {
        if (!Files.isDirectory(path)) {
          throw new IOException(path + " is no folder", e);
        }
      }
    }
    if (!isOurs(path)) {
      throw new IOException("others may write to the folder " + path);
    }
  }

  private static FileAttribute<?>[] onlyOwner(String permissions) {
    return POSIX
        ? new FileAttribute<?>[] {
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions))
        }
        : new FileAttribute<?>[0];
  }

  /** True if nobody else can have written there. */
  private static boolean isOurs(Path file) throws IOException {
    if (!POSIX) {
      return true;
    }
    PosixFileAttributes attributes =
        Files.readAttributes(file, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    for (PosixFilePermission permission : attributes.permissions()) {
      if (OTHERS.contains(permission)) {
        return false;
      }
    }
    return !attributes.isSymbolicLink() && isOurUser(file);
  }

  private static boolean isOurUser(Path file) throws IOException {
    Path self = Path.of("/proc/self");
    if (!Files.exists(self)) {
      return true;
    }
    return Files.getAttribute(self, "unix:uid")
        .equals(Files.getAttribute(file, "unix:uid", LinkOption.NOFOLLOW_LINKS));
  }

  /**
   * Opens file {@code name} for reading, and remembers that it was of use today; empty if there is
   * none, or none that only this user can have written.
   */
  public Optional<FileChannel> open(String name) throws IOException {
    Path file = path.resolve(name);
    try {
      if (!isOurs(path) || !isOurs(file) || !Files.isRegularFile(file)) {
        return Optional.empty();
      }
      FileChannel channel =
          FileChannel.open(file, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS);
      try {
        Files.setLastModifiedTime(file, FileTime.from(Instant.now()));
      } catch (IOException e) {
        // It may go sooner than others for that.
      }
      return Optional.of(channel);
    } catch (NoSuchFileException e) {
      return Optional.empty();
    }
  }

  /** The file whose lock whoever merges files holds. */
  public FileChannel lockFile() throws IOException {
    return FileChannel.open(
        path.resolve("lock"),
        Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE),
        onlyOwner("rw-------"));
  }

  /** Writes file {@code name}, which is replaced at once or, if that fails, not at all. */
  public void write(String name, Contents contents) throws IOException {
    try (Unfinished file = begin(name)) {
      contents.writeTo(file.channel());
      file.finish();
    }
  }

  /** Begins to write file {@code name}, which is replaced when that is finished. */
  public Unfinished begin(String name) throws IOException {
    String number = Long.toHexString(ThreadLocalRandom.current().nextLong());
    Path unfinished = path.resolve(name + "." + number + UNFINISHED);
    FileChannel channel =
        FileChannel.open(
            unfinished,
            Set.of(
                StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE),
            onlyOwner("rw-------"));
    return new Unfinished(unfinished, path.resolve(name), channel);
  }

  /** A file that is being written; gone when it is closed before it is finished. */
  public static final class Unfinished implements AutoCloseable {
    private final Path unfinished;
    private final Path file;
    private final FileChannel channel;

    private Unfinished(Path unfinished, Path file, FileChannel channel) {
      this.unfinished = unfinished;
      this.file = file;
      this.channel = channel;
    }

    /** For writing, and for reading what was written. */
    public FileChannel channel() {
      return channel;
    }

    /** All is written: the file takes its place. */
    public void finish() throws IOException {
      channel.close();
      try {
        Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE);
      } catch (AtomicMoveNotSupportedException e) {
        Files.move(unfinished, file, StandardCopyOption.REPLACE_EXISTING);
      }
    }

    @Override
    public void close() throws IOException {
      channel.close();
      Files.deleteIfExists(unfinished);
    }
  }

  /**
   * Removes those of the files that end in {@code suffix} which have not been of use for longest,
   * until what is left takes at most {@code most} bytes; and what was never finished.
   */
  public void bound(String suffix, long most) throws IOException {
    record Entry(Path file, FileTime time, long size) {}
    List<Entry> entries = new ArrayList<>();
    try (Stream<Path> files = Files.list(path)) {
      for (Path file : files.toList()) {
        String name = file.getFileName().toString();
        try {
          FileTime time = Files.getLastModifiedTime(file, LinkOption.NOFOLLOW_LINKS);
          if (name.endsWith(UNFINISHED)) {
            if (time.toInstant().isBefore(Instant.now().minus(ABANDONED))) {
              Files.deleteIfExists(file);
            }
          } else if (name.endsWith(suffix)) {
            entries.add(new Entry(file, time, Files.size(file)));
          }
        } catch (NoSuchFileException e) {
          // Another process has removed it.
        }
      }
    }
    entries.sort(Comparator.comparing(Entry::time).reversed());
    long kept = 0;
    for (Entry entry : entries) {
      kept += entry.size;
      if (kept > most) {
        Files.deleteIfExists(entry.file);
      }
    }
  }
}
