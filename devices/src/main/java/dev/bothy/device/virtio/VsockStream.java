package dev.bothy.device.virtio;

import java.io.IOException;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.locks.Condition;

/**
 * One stream between a port of the guest and a Unix socket of the host: Virtual I/O Device (VIRTIO)
 * 1.2, section 5.10.6. What the guest sends waits in a buffer of fixed size, which is the credit
 * that the guest gets; what the host sends is read when the last of it has gone to the guest. Two
 * virtual threads wait for the socket.
 *
 * <p>State is guarded by the device's lock; methods that say so are called with it.
 */
final class VsockStream {
  /** Bytes that the guest may send before the host takes them. */
  static final int SPACE = 1 << 17;

  private static final int CHUNK = 1 << 16;
  private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);
  private static final int BOTH = VsockHeader.RECEIVES_NO_MORE | VsockHeader.SENDS_NO_MORE;

  private final VirtioVsock device;
  private final int guestPort;
  private final int hostPort;
  private final Condition changed;

  private SocketChannel channel;
  private boolean established;
  private boolean dead;

  /** Operations to send to the guest, one bit each; and the flags of the shutdown among them. */
  private int wanted;

  private int shutdown;

  // From the guest to the host.
  private byte[] ring;
  private int first;
  private int waiting;
  private int received;
  private int forwarded;
  private int toldForwarded;
  private int guestShutdown;
  private boolean hostDeaf;
  private boolean drained;

  // From the host to the guest.
  private ByteBuffer outgoing = NOTHING;
  private int sent;
  private int guestSpace;
  private int guestForwarded;

  VsockStream(VirtioVsock device, int guestPort, int hostPort) {
    this.device = device;
    this.guestPort = guestPort;
    this.hostPort = hostPort;
    changed = device.lock().newCondition();
  }

  int guestPort() {
    return guestPort;
  }

  int hostPort() {
    return hostPort;
  }

  // Beginnings.

  /** Takes the credit that comes with the guest's request. With the lock. */
  void begin(VsockHeader request) {
    guestSpace = request.space();
    guestForwarded = request.forwarded();
  }

  /** The guest wants this stream: connects it to the host's socket. With the lock. */
  void connect(SocketAddress address) {
    device.run(
        () -> {
          try {
            SocketChannel socket = SocketChannel.open(address);
            device.lock().lock();
            try {
              channel = socket;
              if (dead) {
                closeChannel();
                return;
              }
              establish(new byte[0]);
              want(VsockHeader.RESPONSE);
            } finally {
              device.lock().unlock();
            }
          } catch (IOException e) {
            device.locked(() -> want(VsockHeader.RESET));
          }
          device.wake();
        });
  }

  /** The host wants this stream: asks the guest. With the lock. */
  void request(SocketChannel socket) {
    channel = socket;
    want(VsockHeader.REQUEST);
  }

  private void establish(byte[] greeting) {
    established = true;
    device.run(() -> forward(greeting));
    device.run(this::fetch);
  }

  // Packets.

  /** Takes a packet of the guest's for this stream. With the lock. */
  void receive(VsockHeader header, Buffers payload) {
    guestSpace = header.space();
    guestForwarded = header.forwarded();
    switch (header.operation()) {
      case VsockHeader.RESPONSE -> {
        if (established || channel == null) {
          want(VsockHeader.RESET);
        } else {
          String greeting = "OK " + Integer.toUnsignedString(hostPort) + "\n";
          establish(greeting.getBytes(StandardCharsets.US_ASCII));
        }
      }
      case VsockHeader.DATA -> takeData(payload);
      case VsockHeader.SHUTDOWN -> {
        guestShutdown |= header.flags() & BOTH;
        changed.signalAll();
        endIfDone();
      }
      case VsockHeader.CREDIT_UPDATE -> {
        // It is in every packet.
      }
      case VsockHeader.CREDIT_REQUEST -> want(VsockHeader.CREDIT_UPDATE);
      case VsockHeader.RESET -> end();
      default -> want(VsockHeader.RESET);
    }
    if (!dead) {
      device.offer(this);
    }
  }

  private void takeData(Buffers payload) {
    int length = (int) payload.length();
    boolean allowed = established && (guestShutdown & VsockHeader.SENDS_NO_MORE) == 0;
    if (!allowed || payload.length() > SPACE - (received - forwarded)) {
      want(VsockHeader.RESET);
      return;
    }
    received += length;
    if (hostDeaf) {
      forwarded += length;
      return;
    }
    if (ring == null) {
      ring = new byte[SPACE];
    }
    int at = first + waiting & SPACE - 1;
    int part = Math.min(length, SPACE - at);
    payload.read(0, ring, at, part);
    payload.read(part, ring, 0, length - part);
    waiting += length;
    changed.signalAll();
  }

  /** Asks for a packet to the guest. With the lock. */
  private void want(int operation) {
    if (!dead) {
      wanted |= 1 << operation;
      device.offer(this);
    }
  }

  private boolean wants(int operation) {
    return (wanted & 1 << operation) != 0;
  }

  /** Bytes that the guest has room for, as far as that matters. */
  private int credit() {
    long space = guestSpace & 0xffff_ffffL;
    long held = sent - guestForwarded & 0xffff_ffffL;
    return (int) Math.min(CHUNK, Math.max(0, space - held));
  }

  /** What the next packet to the guest is, or 0 for none. With the lock. */
  int next() {
    if (dead) {
      return 0;
    }
    if (wants(VsockHeader.RESET)) {
      return VsockHeader.RESET;
    }
    if (wants(VsockHeader.REQUEST)) {
      return VsockHeader.REQUEST;
    }
    if (wants(VsockHeader.RESPONSE)) {
      return VsockHeader.RESPONSE;
    }
    if (outgoing.hasRemaining() && credit() > 0) {
      return VsockHeader.DATA;
    }
    if (wants(VsockHeader.SHUTDOWN) && !outgoing.hasRemaining()) {
      return VsockHeader.SHUTDOWN;
    }
    return wants(VsockHeader.CREDIT_UPDATE) ? VsockHeader.CREDIT_UPDATE : 0;
  }

  /** Writes the packet {@link #next}; returns its bytes. With the lock. */
  int send(int operation, Buffers packet) {
    int length = 0;
    if (operation == VsockHeader.DATA) {
      long room = packet.length() - VsockHeader.SIZE;
      length = (int) Math.min(room, Math.min(credit(), outgoing.remaining()));
      packet.write(
          VsockHeader.SIZE, outgoing.array(), outgoing.arrayOffset() + outgoing.position(), length);
      outgoing.position(outgoing.position() + length);
      sent += length;
      if (!outgoing.hasRemaining()) {
        changed.signalAll();
      }
    }
    header(operation, length).write(packet);
    wanted &= ~(1 << operation | 1 << VsockHeader.CREDIT_UPDATE);
    toldForwarded = forwarded;
    if (operation == VsockHeader.RESET) {
      end();
    }
    return VsockHeader.SIZE + length;
  }

  private VsockHeader header(int operation, int length) {
    return new VsockHeader(
        VirtioVsock.HOST_CID,
        device.guestCid(),
        hostPort,
        guestPort,
        length,
        VsockHeader.STREAM,
        operation,
        operation == VsockHeader.SHUTDOWN ? shutdown : 0,
        SPACE,
        forwarded);
  }

  // Ends.

  /** The guest has closed the stream, and all that it sent has gone to the host. */
  private void endIfDone() {
    if (guestShutdown == BOTH && (drained || !established)) {
      want(VsockHeader.RESET);
    }
  }

  /** There is no such stream any more. With the lock. */
  void end() {
    if (!dead) {
      dead = true;
      changed.signalAll();
      closeChannel();
      device.forget(this);
    }
  }

  private void closeChannel() {
    if (channel != null) {
      try {
        channel.close();
      } catch (IOException e) {
        // It is gone in any case.
      }
    }
  }

  // The host's socket, on threads of their own.

  /** Hands on what the guest sends, until it sends no more. */
  private void forward(byte[] greeting) {
    ByteBuffer chunk = ByteBuffer.allocate(CHUNK).put(greeting);
    try {
      int length = 0;
      do {
        chunk.flip();
        while (chunk.hasRemaining()) {
          channel.write(chunk);
        }
        chunk.clear();
        length = awaitData(chunk, length);
      } while (length > 0);
      channel.shutdownOutput();
    } catch (IOException e) {
      device.locked(this::hostTakesNoMore);
    }
    device.locked(
        () -> {
          drained = true;
          endIfDone();
        });
    device.wake();
  }

  /**
   * Notes that {@code done} bytes have gone to the host and waits for more; 0 if none will come.
   */
  private int awaitData(ByteBuffer chunk, int done) {
    boolean tell;
    int length;
    device.lock().lock();
    try {
      forwarded += done;
      tell = forwarded - toldForwarded >= SPACE / 2;
      if (tell) {
        want(VsockHeader.CREDIT_UPDATE);
      }
    } finally {
      device.lock().unlock();
    }
    if (tell) {
      device.wake();
    }
    device.lock().lock();
    try {
      while (waiting == 0 && !dead && (guestShutdown & VsockHeader.SENDS_NO_MORE) == 0) {
        changed.awaitUninterruptibly();
      }
      length = dead ? 0 : Math.min(waiting, CHUNK);
      int part = Math.min(length, SPACE - first);
      if (length > 0) {
        chunk.put(ring, first, part).put(ring, 0, length - part);
      }
      first = first + length & SPACE - 1;
      waiting -= length;
    } finally {
      device.lock().unlock();
    }
    return length;
  }

  private void hostTakesNoMore() {
    hostDeaf = true;
    forwarded = received;
    waiting = 0;
    shutdown |= VsockHeader.RECEIVES_NO_MORE;
    want(VsockHeader.SHUTDOWN);
  }

  /** Fetches what the host sends, until it sends no more or the guest wants no more. */
  private void fetch() {
    ByteBuffer chunk = ByteBuffer.allocate(CHUNK);
    try {
      while (channel.read(chunk.clear()) >= 0) {
        chunk.flip();
        if (!deliver(chunk)) {
          return;
        }
      }
    } catch (IOException e) {
      // Nothing more will come from there.
    }
    device.locked(
        () -> {
          shutdown |= VsockHeader.SENDS_NO_MORE;
          want(VsockHeader.SHUTDOWN);
        });
    device.wake();
  }

  /** Lets the guest have the bytes; false if it wants no more. */
  private boolean deliver(ByteBuffer chunk) {
    device.locked(
        () -> {
          outgoing = chunk;
          device.offer(this);
        });
    device.wake();
    device.lock().lock();
    try {
      while (chunk.hasRemaining() && !deaf()) {
        changed.awaitUninterruptibly();
      }
      outgoing = NOTHING;
      return !deaf();
    } finally {
      device.lock().unlock();
    }
  }

  private boolean deaf() {
    return dead || (guestShutdown & VsockHeader.RECEIVES_NO_MORE) != 0;
  }
}
