package dev.bothy.debug;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Queue;
import java.util.concurrent.TimeUnit;

/**
 * The packets of gdb's remote protocol on a connection: "Overview" of appendix E of its manual. One
 * thread reads, others may write; nobody waits for the other end to read. The other end is believed
 * nothing: what is no packet is passed over, what is longer than {@link #LONGEST} is thrown away,
 * and who lets more than {@link #MOST_WAITING} bytes wait for it loses its connection.
 */
final class PacketStream {
  /** Bytes between $ and # at most. */
  static final int LONGEST = 0x4000;

  /** Bytes that wait to be sent at most: some answers of the longest kind. */
  static final int MOST_WAITING = 16 * LONGEST;

  private static final int ESCAPE = '}';
  private static final int INTERRUPT = 3;

  /** What comes from gdb. */
  sealed interface Event {}

  /** A command, with escapes undone. */
  record Command(byte[] bytes) implements Event {
    String text() {
      return new String(bytes, StandardCharsets.ISO_8859_1);
    }
  }

  /** Ctrl-C. */
  record Interrupt() implements Event {}

  /** A packet that is too long, or damaged on a connection where that cannot be said. */
  record Garbage() implements Event {}

  private final SocketChannel channel;
  private final ByteBuffer input = ByteBuffer.allocate(4096).limit(0);
  private final byte[] packet = new byte[LONGEST];

  /** Packets are acknowledged: until gdb asks to leave that. */
  private volatile boolean acknowledging = true;

  /** What was sent last, to be sent again if gdb wants it. */
  private byte[] last = {};

  // What is to be sent, guarded by this.
  private final Queue<byte[]> waiting = new ArrayDeque<>();
  private int waitingBytes;

  /** A thread is sending. */
  private boolean sending;

  private boolean broken;

  PacketStream(SocketChannel channel) {
    this.channel = channel;
  }

  /** From now on neither side acknowledges. */
  void stopAcknowledging() {
    acknowledging = false;
  }

  /** -1 at the end. */
  private int read() throws IOException {
    if (!input.hasRemaining()) {
      int length = channel.read(input.clear());
      input.flip();
      if (length < 0) {
        input.limit(0);
        return -1;
      }
    }
    return input.get() & 0xff;
  }

  /**
   * True if what the other end sends first may be gdb's. A web browser that somebody leads here
   * begins otherwise.
   */
  boolean beginsWell() throws IOException {
    int first = read();
    if (first < 0) {
      return false;
    }
    input.position(input.position() - 1);
    return first == '+' || first == '$' || first == INTERRUPT;
  }

  /** The next event, waited for; null at the end. */
  Event next() throws IOException {
    while (true) {
      int b = read();
      switch (b) {
        case -1 -> {
          return null;
        }
        case INTERRUPT -> {
          return new Interrupt();
        }
        case '-' -> repeat();
        case '$' -> {
          Event event = packet();
          if (event != null) {
            return event;
          }
        }
        default -> {
          // Acknowledgements, and what has no meaning.
        }
      }
    }
  }

  /** What follows a $; null if it is damaged and gdb was told, or the end has come. */
  private Event packet() throws IOException {
    int sum = 0;
    int length = 0;
    boolean escaped = false;
    while (true) {
      int b = read();
      if (b < 0) {
        return null;
      }
      if (b == '#') {
        break;
      }
      if (b == '$') {
        // The one before was cut short.
        sum = 0;
        length = 0;
        escaped = false;
        continue;
      }
      sum += b;
      if (b == ESCAPE && !escaped) {
        escaped = true;
        continue;
      }
      if (length < LONGEST) {
        packet[length] = (byte) (escaped ? b ^ 0x20 : b);
      }
      length = Math.min(length + 1, LONGEST + 1);
      escaped = false;
    }
    int high = Character.digit(read(), 16);
    int low = Character.digit(read(), 16);
    boolean sound = high >= 0 && low >= 0 && (sum & 0xff) == high * 16 + low;
    if (acknowledging) {
      write(new byte[] {(byte) (sound ? '+' : '-')});
      if (!sound) {
        return null;
      }
    }
    return sound && length <= LONGEST ? new Command(Arrays.copyOf(packet, length)) : new Garbage();
  }

  /** Sends a packet of ASCII characters. */
  void send(String text) throws IOException {
    send(text.getBytes(StandardCharsets.ISO_8859_1));
  }

  /** Sends a packet; what has a meaning in the protocol is escaped. */
  synchronized void send(byte[] bytes) throws IOException {
    byte[] out = new byte[2 * bytes.length + 4];
    int at = 0;
    out[at++] = '$';
    for (byte b : bytes) {
      if (b == '$' || b == '#' || b == ESCAPE || b == '*') {
        out[at++] = ESCAPE;
        out[at++] = (byte) (b ^ 0x20);
      } else {
        out[at++] = b;
      }
    }
    int sum = 0;
    for (int i = 1; i < at; i++) {
      sum += out[i];
    }
    out[at++] = '#';
    out[at++] = (byte) Character.forDigit(sum >> 4 & 15, 16);
    out[at++] = (byte) Character.forDigit(sum & 15, 16);
    last = Arrays.copyOf(out, at);
    write(last);
  }

  private synchronized void repeat() throws IOException {
    write(last);
  }

  private synchronized void write(byte[] bytes) throws IOException {
    if (!broken && waitingBytes + bytes.length > MOST_WAITING) {
      broken = true;
      channel.close();
    }
    if (broken) {
      throw new IOException("the debugger does not listen");
    }
    waiting.add(bytes);
    waitingBytes += bytes.length;
    if (!sending) {
      sending = true;
      Thread.ofVirtual().name("bothy-gdb-answers").start(this::sendWaiting);
    }
  }

  private void sendWaiting() {
    try {
      for (byte[] bytes = null; (bytes = sentAndNext(bytes)) != null; ) {
        ByteBuffer out = ByteBuffer.wrap(bytes);
        while (out.hasRemaining()) {
          channel.write(out);
        }
      }
    } catch (IOException e) {
      // Its reader notices, too.
      stopSending();
    }
  }

  /** What is to be sent after {@code sent}; null if that was all, or nobody listens. */
  private synchronized byte[] sentAndNext(byte[] sent) {
    waitingBytes -= sent == null ? 0 : sent.length;
    byte[] next = broken ? null : waiting.poll();
    if (next == null) {
      sending = false;
      notifyAll();
    }
    return next;
  }

  private synchronized void stopSending() {
    broken = true;
    sending = false;
    notifyAll();
  }

  /** Waits until the host has taken what was written, or {@code most} is over. */
  synchronized void awaitSent(Duration most) {
    long deadline = System.nanoTime() + most.toNanos();
    try {
      for (long left; sending && (left = deadline - System.nanoTime()) > 0; ) {
        TimeUnit.NANOSECONDS.timedWait(this, left);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
