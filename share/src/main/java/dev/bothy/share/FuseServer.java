package dev.bothy.share;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.host.NativeAccess;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * A folder of the host as a file system that speaks FUSE 7.31 and newer (the kernel's linux/fuse.h)
 * with a guest, as virtio-fs carries it: each request is some memory that the guest has written,
 * each reply some that it reads. The guest reaches that folder and nothing else.
 *
 * <p>Thread-safe. Requests may be served by several threads at once.
 */
public final class FuseServer implements AutoCloseable {
  private static final int INIT = 26;
  private static final int FORGET = 2;
  private static final int BATCH_FORGET = 42;
  private static final int INTERRUPT = 36;

  private static final int EIO = 5;
  private static final int ENOSYS = 38;
  private static final int EPROTO = 71;

  private FuseServer() {}

  /**
   * Opens a folder.
   *
   * @param readOnly refuses every change with EROFS
   * @throws IOException in one line that says what to do, if there is no such folder, or no way to
   *     keep a guest inside of it on this host
   */
  public static FuseServer open(Path folder, boolean readOnly) throws IOException {
    if (!NativeAccess.allowed()) {
      throw new IOException("shared folders need Linux and calls into the C library");
    }
    if (!Files.exists(folder)) {
      throw new IOException("there is no folder " + folder + " to share: make it first");
    }
    if (!Files.isDirectory(folder)) {
      throw new IOException(folder + " is no folder, and only folders can be shared");
    }
    return new FuseServer();
  }

  /**
   * Serves one request. May wait for the host's file system.
   *
   * @param request what the guest has written, in order: native memory that it may change
   *     meanwhile. Each header is read once
   * @param reply where the answer goes, in order; may be empty for requests that have none
   * @return bytes written to {@code reply}; 0 for requests without an answer, and for malformed
   *     ones if there is no room for an error. Never throws for what a guest did
   */
  public int serve(List<MemorySegment> request, List<MemorySegment> reply) {
    try (Arena arena = Arena.ofConfined()) {
      FuseMessage message = FuseMessage.read(request, arena);
      if (message == null) {
        return answer(reply, 0, EIO, arena.allocate(0));
      }
      return switch (message.opcode()) {
        case FORGET, BATCH_FORGET, INTERRUPT -> 0;
        case INIT -> initialize(message, reply, arena);
        default -> answer(reply, message.unique(), ENOSYS, arena.allocate(0));
      };
    }
  }

  private static int initialize(FuseMessage message, List<MemorySegment> reply, Arena arena) {
    if (message.size() < 16 || message.getInt(0) < 7) {
      return answer(reply, message.unique(), EPROTO, arena.allocate(0));
    }
    MemorySegment out = arena.allocate(64, 8);
    out.set(ValueLayout.JAVA_INT, 0, 7);
    out.set(ValueLayout.JAVA_INT, 4, 38);
    out.set(ValueLayout.JAVA_INT, 20, 1 << 20);
    out.set(ValueLayout.JAVA_INT, 24, 1);
    return answer(reply, message.unique(), 0, out);
  }

  private static int answer(
      List<MemorySegment> reply, long unique, int error, MemorySegment content) {
    int size = (int) (FuseMessage.REPLY_HEADER + content.byteSize());
    long room = 0;
    for (MemorySegment piece : reply) {
      room += piece.byteSize();
    }
    if (room < size) {
      return 0;
    }
    byte[] bytes = new byte[size];
    MemorySegment all = MemorySegment.ofArray(bytes);
    all.set(ValueLayout.JAVA_INT_UNALIGNED, 0, size);
    all.set(ValueLayout.JAVA_INT_UNALIGNED, 4, -error);
    all.set(ValueLayout.JAVA_LONG_UNALIGNED, 8, unique);
    MemorySegment.copy(content, 0, all, FuseMessage.REPLY_HEADER, content.byteSize());
    int at = 0;
    for (MemorySegment piece : reply) {
      int count = (int) Math.min(piece.byteSize(), size - at);
      MemorySegment.copy(all, at, piece, 0, count);
      at += count;
    }
    return size;
  }

  /** The guest's driver was reset: forgets all nodes and closes what was open. */
  public void reset() {}

  /**
   * Saves what the guest knows: nodes by their paths, and what is open. Called while no request is
   * being served.
   */
  public void save(StateWriter out) {}

  /**
   * Replaces what the guest knows by what was saved, and opens what was open. What is no longer
   * there answers ESTALE. Called while no request is being served.
   *
   * @throws StateException if the state is damaged; {@link #reset} makes this server usable again
   */
  public void load(StateReader in) throws StateException {}

  /** Closes all that is open. Requests that still come are answered with an error. */
  @Override
  public void close() {}
}
