package dev.bothy.debug;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The packets of gdb's remote protocol on a connection: "Overview" of appendix E of its manual. One
 * thread reads, others may write. The other end is believed nothing: what is no packet is passed
 * over, what is longer than {@link #LONGEST} is kept from nobody but the sender.
 */
final class PacketStream {
  /** Bytes between $ and # at most. */
  static final int LONGEST = 0x4000;

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
    ByteBuffer out = ByteBuffer.wrap(bytes);
    while (out.hasRemaining()) {
      channel.write(out);
    }
  }
}
