package dev.bothy.machine.boot;

import dev.bothy.host.PrivateFolder;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32;
import java.util.zip.CRC32C;

/**
 * Kernels that have been unpacked before, in a folder. Each belongs to one file, as the host's file
 * system knows it: device, inode, size, and the times of its last change, of which the one of the
 * inode cannot be set. Whatever is wrong with the folder, kernels are unpacked then as without it.
 */
final class UnpackedKernels {
  private static final String SUFFIX = ".kernel";
  private static final long MOST_BYTES = 256 << 20;
  private static final long MAGIC = 0x314b_796e_6f74_6842L;

  // A file: the magic number, a checksum of what is behind it, lengths of the name and of the
  // kernel, then both.
  private static final int HEAD = 24;
  private static final int SUM_AT = 8;
  private static final int CHUNK = 1 << 20;

  /** A file that has changed so recently may change again without another time. */
  private static final Duration SETTLED = Duration.ofSeconds(2);

  private final PrivateFolder folder;
  private final Duration settled;

  UnpackedKernels(Path folder) {
    this(folder, SETTLED);
  }

  /** {@code settled}: time since a file's last change from which on it is believed. */
  UnpackedKernels(Path folder, Duration settled) {
    this.folder = new PrivateFolder(folder);
    this.settled = settled;
  }

  /** What tells a file from all others and from itself at other times; empty if nothing does. */
  private Optional<byte[]> identity(KernelFile file) throws IOException {
    Map<String, Object> attributes;
    try {
      attributes = Files.readAttributes(file.path(), "unix:dev,ino,size,lastModifiedTime,ctime");
    } catch (UnsupportedOperationException | IllegalArgumentException e) {
      return Optional.empty();
    }
    FileTime changed = (FileTime) attributes.get("ctime");
    if (changed.toInstant().isAfter(Instant.now().minus(settled))) {
      return Optional.empty();
    }
    String text =
        "%s %s %s %s %s"
            .formatted(
                attributes.get("dev"),
                attributes.get("ino"),
                attributes.get("size"),
                ((FileTime) attributes.get("lastModifiedTime")).toInstant(),
                changed.toInstant());
    return Optional.of(text.getBytes(StandardCharsets.UTF_8));
  }

  private static String fileName(byte[] identity) {
    CRC32 first = new CRC32();
    first.update(identity);
    CRC32C second = new CRC32C();
    second.update(identity);
    return "%08x%08x".formatted(first.getValue(), second.getValue()) + SUFFIX;
  }

  /** The kernel in {@code file} as it was unpacked before; null if it was not. */
  Kept find(KernelFile file) {
    Arena arena = Arena.ofShared();
    try {
      Optional<byte[]> identity = identity(file);
      Optional<FileChannel> found =
          identity.isEmpty() ? Optional.empty() : folder.open(fileName(identity.get()));
      if (found.isPresent()) {
        try (FileChannel channel = found.get()) {
          MemorySegment all = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
          MemorySegment kernel = kernel(all, identity.get());
          if (kernel != null) {
            return new Kept(arena, kernel);
          }
        }
      }
    } catch (IOException e) {
      // As good as none.
    }
    arena.close();
    return null;
  }

  private static MemorySegment kernel(MemorySegment file, byte[] identity) {
    if (file.byteSize() < HEAD + identity.length) {
      return null;
    }
    ByteBuffer bytes = file.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    byte[] name = new byte[identity.length];
    bytes.get(HEAD, name);
    CRC32C sum = new CRC32C();
    sum.update(bytes.slice(HEAD, bytes.limit() - HEAD));
    if (bytes.getLong(0) != MAGIC
        || bytes.getInt(SUM_AT) != (int) sum.getValue()
        || bytes.getInt(SUM_AT + 4) != identity.length
        || bytes.getLong(SUM_AT + 8) != file.byteSize() - HEAD - identity.length
        || !Arrays.equals(name, identity)) {
      return null;
    }
    return file.asSlice(HEAD + identity.length);
  }

  /** A kernel found. */
  static final class Kept implements ElfImage.Bytes, AutoCloseable {
    private final Arena arena;
    private final MemorySegment kernel;

    private Kept(Arena arena, MemorySegment kernel) {
      this.arena = arena;
      this.kernel = kernel;
    }

    @Override
    public void read(long offset, byte[] target, int length) throws IOException {
      if (offset < 0 || offset > kernel.byteSize() - length) {
        throw new IOException("it unpacks to less than its headers say");
      }
      MemorySegment.copy(kernel, ValueLayout.JAVA_BYTE, offset, target, 0, length);
    }

    @Override
    public void close() {
      arena.close();
    }
  }

  /** Who keeps the kernel in {@code file} while it is unpacked; null if it is not to be kept. */
  Keeper keep(KernelFile file) {
    try {
      Optional<byte[]> identity = identity(file);
      if (identity.isEmpty()) {
        return null;
      }
      folder.create();
      return new Keeper(folder, identity.get());
    } catch (IOException e) {
      return null;
    }
  }

  /** Writes down what is read from a stream, from its beginning to its end. */
  static final class Keeper implements AutoCloseable {
    private final PrivateFolder folder;
    private final PrivateFolder.Unfinished file;
    private final byte[] identity;
    private final CRC32C sum = new CRC32C();
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(CHUNK);
    private long length;
    private boolean failed;

    private Keeper(PrivateFolder folder, byte[] identity) throws IOException {
      this.folder = folder;
      this.identity = identity;
      file = folder.begin(fileName(identity));
      buffer.position(HEAD);
      sum.update(identity);
      write(identity, 0, identity.length);
    }

    /** The same stream, which is kept as far as it is read. */
    InputStream listenTo(InputStream plain) {
      return new FilterInputStream(plain) {
        @Override
        public int read() throws IOException {
          byte[] one = new byte[1];
          return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] target, int from, int most) throws IOException {
          int count = in.read(target, from, most);
          if (count > 0) {
            length += count;
            sum.update(target, from, count);
            write(target, from, count);
          }
          return count;
        }

        @Override
        public long skip(long most) throws IOException {
          // What is skipped is kept as well.
          return Math.max(0, read(new byte[(int) Math.min(most, 1 << 16)]));
        }
      };
    }

    private void write(byte[] bytes, int from, int count) {
      for (int done = 0; done < count && !failed; ) {
        int now = Math.min(count - done, buffer.remaining());
        buffer.put(bytes, from + done, now);
        done += now;
        if (!buffer.hasRemaining()) {
          flush();
        }
      }
    }

    private void flush() {
      try {
        buffer.flip();
        while (buffer.hasRemaining()) {
          file.channel().write(buffer);
        }
      } catch (IOException e) {
        failed = true;
      }
      buffer.clear();
    }

    /** The stream has been read to its end, and was good. */
    void finish() {
      flush();
      ByteBuffer head = ByteBuffer.allocate(HEAD).order(ByteOrder.LITTLE_ENDIAN);
      head.putLong(MAGIC).putInt((int) sum.getValue()).putInt(identity.length).putLong(length);
      try {
        if (!failed && file.channel().write(head.flip(), 0) == HEAD) {
          file.finish();
          folder.bound(SUFFIX, MOST_BYTES);
        }
      } catch (IOException e) {
        // The next start unpacks it again.
      }
    }

    @Override
    public void close() {
      try {
        file.close();
      } catch (IOException e) {
        // It is removed another time.
      }
    }
  }
}
