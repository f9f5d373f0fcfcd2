package dev.bothy.net;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.bothy.host.TapInterface;
import dev.bothy.net.Offload.Checksum;
import dev.bothy.net.Offload.Segmentation;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.concurrent.locks.LockSupport;

/**
 * A tap interface of the host: the guest is a neighbour of the host's kernel, and of whatever the
 * host bridges or routes the interface to. Linux only, and only where the user may open it.
 */
public final class TapNetwork implements Network {
  // struct virtio_net_hdr: what the kernel calls a frame's offloads.
  private static final int FLAGS = 0;
  private static final int SEGMENTATION = 1;
  private static final int HEADER_LENGTH = 2;
  private static final int SEGMENT_SIZE = 4;
  private static final int CHECKSUM_START = 6;
  private static final int CHECKSUM_OFFSET = 8;
  private static final int NEEDS_CHECKSUM = 1;
  private static final int DATA_VALID = 2;
  private static final int NONE = 0;
  private static final int TCPV4 = 1;
  private static final int TCPV6 = 4;

  private final TapInterface tap;
  private final MemorySegment sending =
      Arena.ofAuto().allocate(TapInterface.HEADER + Frame.MAX_LENGTH, 8);
  private volatile Thread delivery;
  private volatile boolean gone;
  private volatile boolean closed;
  private volatile boolean ready;

  /**
   * Opens the interface of that name.
   *
   * @throws IOException in one line, if that is not possible
   */
  public TapNetwork(String name) throws IOException {
    tap = TapInterface.open(name);
  }

  @Override
  public synchronized void attach(NetworkCard card) {
    Objects.requireNonNull(card);
    if (delivery != null) {
      throw new IllegalStateException("there is a card already");
    }
    delivery = Thread.ofPlatform().daemon().name("bothy-tap").start(() -> deliver(card));
  }

  @Override
  public void transmit(Frame frame) {
    synchronized (sending) {
      Offload offload = frame.offload();
      putHeader(offload);
      frame.copyTo(0, sending, TapInterface.HEADER, frame.length());
      // What the kernel has no room for, or does not like, is lost.
      tap.write(sending.asSlice(0, TapInterface.HEADER + (long) frame.length()));
    }
  }

  private void putHeader(Offload offload) {
    sending.set(
        JAVA_BYTE,
        FLAGS,
        (byte)
            switch (offload.checksum()) {
              case IN_FRAME -> 0;
              case PARTIAL -> NEEDS_CHECKSUM;
              case VERIFIED -> DATA_VALID;
            });
    sending.set(
        JAVA_BYTE,
        SEGMENTATION,
        (byte)
            switch (offload.segmentation()) {
              case NONE -> NONE;
              case TCP_IPV4 -> TCPV4;
              case TCP_IPV6 -> TCPV6;
            });
    put(HEADER_LENGTH, offload.headerLength());
    put(SEGMENT_SIZE, offload.segmentSize());
    put(CHECKSUM_START, offload.checksumStart());
    put(CHECKSUM_OFFSET, offload.checksumOffset());
  }

  private void put(int field, int value) {
    sending.set(JAVA_SHORT_UNALIGNED, field, (short) value);
  }

  private void deliver(NetworkCard card) {
    MemorySegment buffer = Arena.ofAuto().allocate(TapInterface.HEADER + Frame.MAX_LENGTH, 8);
    while (!closed) {
      int count = tap.read(buffer);
      if (count < 0) {
        if (!closed) {
          gone = true;
          card.linkChanged(false);
        }
        return;
      }
      if (count > TapInterface.HEADER) {
        handOver(
            card,
            new Frame(
                offload(buffer),
                buffer.asSlice(TapInterface.HEADER, count - (long) TapInterface.HEADER)));
      }
    }
  }

  private static Offload offload(MemorySegment header) {
    int flags = header.get(JAVA_BYTE, FLAGS);
    return new Offload(
        (flags & NEEDS_CHECKSUM) != 0
            ? Checksum.PARTIAL
            : (flags & DATA_VALID) != 0 ? Checksum.VERIFIED : Checksum.IN_FRAME,
        get(header, CHECKSUM_START),
        get(header, CHECKSUM_OFFSET),
        // The highest bit is about congestion notification.
        switch (header.get(JAVA_BYTE, SEGMENTATION) & 0x7f) {
          case TCPV4 -> Segmentation.TCP_IPV4;
          case TCPV6 -> Segmentation.TCP_IPV6;
          default -> Segmentation.NONE;
        },
        get(header, HEADER_LENGTH),
        get(header, SEGMENT_SIZE));
  }

  private static int get(MemorySegment header, int field) {
    return header.get(JAVA_SHORT_UNALIGNED, field) & 0xffff;
  }

  private void handOver(NetworkCard card, Frame frame) {
    while (!closed) {
      ready = false;
      if (card.receive(frame)) {
        return;
      }
      while (!ready && !closed) {
        LockSupport.park(this);
      }
    }
  }

  @Override
  public void receiveReady() {
    ready = true;
    LockSupport.unpark(delivery);
  }

  @Override
  public void accept(Offloads offloads) {
    tap.accept(offloads.checksum(), offloads.tcpIpv4(), offloads.tcpIpv6());
  }

  @Override
  public boolean linkUp() {
    return !closed && !gone;
  }

  @Override
  public void close() {
    closed = true;
    LockSupport.unpark(delivery);
    tap.close();
    Thread thread = delivery;
    if (thread != null && thread != Thread.currentThread()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
