package dev.bothy.machine.boot;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A kernel or initrd file opened for reading at any offset. Not thread-safe. */
final class KernelFile implements ElfImage.Bytes, AutoCloseable {
  private final String name;
  private final Path path;
  private final FileChannel channel;
  private final long size;

  private KernelFile(String name, Path path, FileChannel channel, long size) {
    this.path = path;
    this.name = name;
    this.channel = channel;
    this.size = size;
  }

  /**
   * Opens {@code path}.
   *
   * @param role "kernel" or "initrd", for messages
   * @throws BootException if it is missing, empty, no file, or unreadable
   */
  static KernelFile open(String role, Path path) throws BootException {
    String name = role + " " + path;
    if (!Files.exists(path)) {
      throw new BootException(name + " does not exist: check the path");
    }
    if (Files.isDirectory(path)) {
      throw new BootException(name + " is a folder: name a file in it");
    }
    if (!Files.isRegularFile(path)) {
      throw new BootException(name + " is not a regular file: copy it to one");
    }
    try {
      FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
      long size = channel.size();
      if (size == 0) {
        channel.close();
        throw new BootException(name + " is empty: get the file anew or name another");
      }
      return new KernelFile(name, path, channel, size);
    } catch (NoSuchFileException e) {
      throw new BootException(name + " does not exist: check the path", e);
    } catch (java.nio.file.AccessDeniedException e) {
      throw new BootException(name + " cannot be read: permission denied", e);
    } catch (IOException e) {
      throw new BootException(name + " cannot be read: " + e.getMessage(), e);
    }
  }

  /** Role and path, as messages begin. */
  String name() {
    return name;
  }

  long size() {
    return size;
  }

  Path path() {
    return path;
  }

  /** The first {@code limit} bytes, or all if there are fewer. */
  byte[] head(int limit) throws IOException {
    byte[] head = new byte[(int) Math.min(limit, size)];
    read(0, head, head.length);
    return head;
  }

  @Override
  public void read(long offset, byte[] target, int length) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(target, 0, length);
    while (buffer.hasRemaining()) {
      if (offset < 0 || channel.read(buffer, offset + buffer.position()) < 0) {
        throw new EOFException("the file ends early");
      }
    }
  }

  /**
   * {@code length} bytes from {@code offset} as a buffered stream; ends early where the file does.
   */
  InputStream slice(long offset, long length) {
    return new Slice(offset, length);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }

  private final class Slice extends PiecewiseStream {
    private final byte[] buffer = new byte[1 << 16];
    private long next;
    private final long end;

    Slice(long offset, long length) {
      next = offset;
      end = Math.min(size, offset + length);
    }

    @Override
    boolean nextPiece() throws IOException {
      int count = (int) Math.min(buffer.length, end - next);
      if (count <= 0) {
        return false;
      }
      KernelFile.this.read(next, buffer, count);
      next += count;
      put(buffer, count);
      return true;
    }
  }
}
