package dev.bothy.machine.boot;

import dev.bothy.host.Uninterrupted;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/**
 * The same bytes as another stream, which a thread of its own reads some way ahead: what takes time
 * there, unpacking for example, goes on while the reader has other work. What goes wrong there is
 * thrown here, behind the bytes before it. One thread reads and closes.
 */
final class ReadAhead extends PiecewiseStream {
  private static final int CHUNK = 256 << 10;
  private static final int CHUNKS = 4;

  /** Bytes, or none at the end, or what went wrong. */
  private record Chunk(byte[] bytes, int length, Throwable trouble) {}

  private final InputStream plain;

  /** With room for all chunks, the one that {@link #close} adds, and the end. */
  private final BlockingQueue<Chunk> full = new ArrayBlockingQueue<>(CHUNKS + 2);

  private final BlockingQueue<byte[]> empty = new ArrayBlockingQueue<>(CHUNKS);
  private final Thread thread;
  private volatile boolean closed;

  private Chunk present;

  /** Starts reading {@code plain}, which is nobody else's until this is closed, and closed then. */
  ReadAhead(InputStream plain) {
    this.plain = plain;
    for (int i = 0; i < CHUNKS; i++) {
      empty.add(new byte[CHUNK]);
    }
    thread = Thread.ofPlatform().daemon().name("bothy-read-ahead").start(this::fill);
  }

  private void fill() {
    byte[] bytes = new byte[0];
    int length = 0;
    Throwable trouble = null;
    try {
      for (boolean more = true; more && !closed; ) {
        bytes = empty.take();
        length = 0;
        for (int count = 0; count >= 0 && length < bytes.length; length += Math.max(count, 0)) {
          count = plain.read(bytes, length, bytes.length - length);
          more = count >= 0;
        }
        if (more) {
          full.add(new Chunk(bytes, length, null));
          length = 0;
        }
      }
    } catch (InterruptedException | IOException | RuntimeException | Error e) {
      trouble = e;
    }
    if (length > 0) {
      full.add(new Chunk(bytes, length, null));
    }
    full.add(new Chunk(null, 0, trouble));
  }

  @Override
  boolean nextPiece() throws IOException {
    if (present != null && present.length == 0) {
      return rethrow(present.trouble);
    }
    if (present != null) {
      empty.add(present.bytes);
      present = null;
    }
    try {
      present = full.take();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while reading");
    }
    put(present.bytes, present.length);
    return true;
  }

  private static boolean rethrow(Throwable trouble) throws IOException {
    switch (trouble) {
      case null -> {
        return false;
      }
      case IOException e -> throw e;
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      default -> throw new IOException(trouble);
    }
  }

  @Override
  public void close() throws IOException {
    closed = true;
    // It may be waiting for a chunk; there is room for one unless it is not.
    empty.offer(new byte[1]);
    Uninterrupted.join(thread);
    plain.close();
  }
}
