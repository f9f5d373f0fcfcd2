package dev.bothy;

import dev.bothy.device.serial.SerialOutput;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * What a guest sent to its serial console: the last part is kept for {@link Console}, all of it
 * goes on to a stream if there is one. The stream has a thread of its own; a guest that floods it
 * waits for it.
 */
final class ConsoleOutput implements SerialOutput {
  /** Bytes kept; a power of two. */
  static final int KEPT = 1 << 18;

  /** Pause of the stream's thread after the first byte, so that it finds more of them together. */
  private static final long GATHER_MILLIS = 2;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition arrived = lock.newCondition();
  private final Condition forwarded = lock.newCondition();
  private final OutputStream stream;

  private final byte[] ring = new byte[KEPT];
  private long written;

  /** Bytes that went to the stream; without one the same as written. */
  private long sent;

  /** Up to here {@link #expect} has consumed. */
  private long matched;

  private boolean ended;
  private boolean abandoned;
  private Thread forwarder;

  /** {@code stream} may be null. */
  ConsoleOutput(OutputStream stream) {
    this.stream = stream;
  }

  /** Lets the stream have its bytes; {@code onFailure} hears if it does not take them any more. */
  void start(String name, Consumer<IOException> onFailure) {
    if (stream != null) {
      forwarder = Thread.ofPlatform().daemon().name(name).start(() -> forward(onFailure));
    }
  }

  @Override
  public void write(int value) {
    lock.lock();
    try {
      while (stream != null && written - sent >= KEPT && !abandoned) {
        forwarded.awaitUninterruptibly();
      }
      ring[(int) written & KEPT - 1] = (byte) value;
      written++;
      arrived.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void forward(Consumer<IOException> onFailure) {
    byte[] chunk = new byte[1 << 13];
    try {
      for (int length = take(chunk); length > 0; length = take(chunk)) {
        stream.write(chunk, 0, length);
        stream.flush();
        sent(length);
        if (length < chunk.length) {
          Thread.sleep(GATHER_MILLIS);
        }
      }
    } catch (IOException e) {
      abandon();
      onFailure.accept(e);
    } catch (InterruptedException e) {
      abandon();
    }
  }

  /** Waits for bytes; 0 at the end of all. */
  private int take(byte[] chunk) throws InterruptedException {
    lock.lock();
    try {
      while (sent == written && !ended) {
        arrived.await();
      }
      int length = (int) Math.min(chunk.length, written - sent);
      copy(sent, chunk, length);
      return length;
    } finally {
      lock.unlock();
    }
  }

  private void copy(long from, byte[] target, int length) {
    for (int i = 0; i < length; i++) {
      target[i] = ring[(int) (from + i) & KEPT - 1];
    }
  }

  private void sent(int length) {
    lock.lock();
    try {
      sent += length;
      forwarded.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** No more guest: wakes who waits for output. */
  void end() {
    lock.lock();
    try {
      ended = true;
      arrived.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** From now on nothing waits for the stream. */
  void abandon() {
    lock.lock();
    try {
      abandoned = true;
      forwarded.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Gives up on a stream that blocks. */
  void close() {
    end();
    abandon();
    if (forwarder != null) {
      forwarder.interrupt();
    }
  }

  /** What is kept, as UTF-8; bytes that are none come as replacement characters. */
  String text() {
    lock.lock();
    try {
      return text(Math.max(0, written - KEPT), written);
    } finally {
      lock.unlock();
    }
  }

  private String text(long from, long to) {
    byte[] bytes = new byte[(int) (to - from)];
    copy(from, bytes, bytes.length);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  String expect(String wanted, Duration timeout) throws ConsoleException, InterruptedException {
    byte[] bytes = wanted.getBytes(StandardCharsets.UTF_8);
    if (bytes.length == 0 || bytes.length > KEPT) {
      throw new IllegalArgumentException("the text to expect must have 1 to " + KEPT + " bytes");
    }
    long nanos = timeout.toNanos();
    lock.lock();
    try {
      long searched = matched;
      while (true) {
        searched = Math.max(searched, written - KEPT);
        for (; searched + bytes.length <= written; searched++) {
          if (isAt(searched, bytes)) {
            String found = text(Math.max(matched, written - KEPT), searched + bytes.length);
            matched = searched + bytes.length;
            return found;
          }
        }
        if (ended) {
          throw failed(wanted, "the machine ended");
        }
        if (nanos <= 0) {
          throw failed(wanted, "it did not come within " + timeout.toMillis() + " ms");
        }
        nanos = arrived.awaitNanos(nanos);
      }
    } finally {
      lock.unlock();
    }
  }

  private boolean isAt(long position, byte[] bytes) {
    for (int i = 0; i < bytes.length; i++) {
      if (ring[(int) (position + i) & KEPT - 1] != bytes[i]) {
        return false;
      }
    }
    return true;
  }

  private ConsoleException failed(String wanted, String why) {
    String tail = text(Math.max(0, Math.max(written - KEPT, written - 400)), written);
    return new ConsoleException(
        "expected \"" + wanted + "\" on the console, but " + why + "; it said last: " + tail);
  }

  /**
   * Waits until the stream has all bytes or does not take them any more; false if that takes too
   * long.
   */
  boolean drain(Duration timeout) throws InterruptedException {
    long nanos = TimeUnit.NANOSECONDS.convert(timeout);
    lock.lock();
    try {
      while (forwarder != null && sent < written && !abandoned) {
        if (nanos <= 0) {
          return false;
        }
        nanos = forwarded.awaitNanos(nanos);
      }
      return true;
    } finally {
      lock.unlock();
    }
  }
}
