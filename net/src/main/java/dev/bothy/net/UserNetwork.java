package dev.bothy.net;

import dev.bothy.net.user.HostSockets;
import dev.bothy.net.user.IpAddress;
import dev.bothy.net.user.Stack;
import dev.bothy.net.user.Turn;
import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;

/**
 * A network of its own for one guest, which reaches the host's networks through ordinary sockets of
 * this process, without privileges. By IPv4 it is 10.0.2.0/24: the gateway is 10.0.2.2, the name
 * server 10.0.2.3, and DHCP gives 10.0.2.15. By IPv6 it is fec0::/64: the gateway is fec0::2, the
 * name server fec0::3, and guests choose their own address by the router's advertisement.
 *
 * <p>What the guest sends to the gateway goes to the host's loopback address. TCP and UDP go
 * anywhere the host's sockets do, but for loopback and link-local addresses. Echo requests are
 * answered by gateway and name server; for other hosts an answer only says that the host found the
 * other to be there ({@link java.net.InetAddress#isReachable}), and its time is that of the
 * finding.
 */
public final class UserNetwork implements Network {
  /** Frames that are made at a time; what the card refuses of them waits. */
  private static final int BATCH = 32;

  private final long origin = System.nanoTime();
  private final Turn turn = new Turn(this::alarm);
  private final Condition work = turn.condition();
  private final HostSockets sockets = new HostSockets(turn);
  private final Stack stack;
  private NetworkCard card;
  private volatile Thread delivery;

  /** The time until which the delivery thread waits for work; meaningless while it does not. */
  private long waitingUntil;

  private boolean waiting;
  private volatile boolean closed;
  private volatile boolean ready;

  /**
   * A network with the ports of the host that lead to the guest.
   *
   * @param hostName what DHCP calls the guest; null for nothing
   * @param restricted true to cut the guest off from all but forwarded ports
   * @throws IOException in one line, if a port cannot be had
   */
  public UserNetwork(List<PortForward> forwards, String hostName, boolean restricted)
      throws IOException {
    this.stack =
        new Stack(
            sockets,
            this::now,
            new SplittableRandom(new SecureRandom().nextLong()),
            hostName,
            restricted,
            this::wake);
    try {
      for (PortForward forward : forwards) {
        open(forward);
      }
    } catch (IOException | RuntimeException e) {
      sockets.close();
      throw e;
    }
  }

  private long now() {
    return System.nanoTime() - origin;
  }

  private void open(PortForward forward) throws IOException {
    InetSocketAddress from = HostSockets.socketAddress(forward.hostAddress(), forward.hostPort());
    IpAddress guest =
        forward.guestAddress().isEmpty()
            ? IpAddress.ANY_IPV4
            : IpAddress.parse(forward.guestAddress());
    try {
      switch (forward.protocol()) {
        case TCP -> sockets.forwardTcp(stack, from, guest, forward.guestPort());
        case UDP -> sockets.forwardUdp(stack, from, guest, forward.guestPort());
        default -> throw new AssertionError(forward.protocol());
      }
    } catch (BindException e) {
      throw new IOException(
          forward.describeHost()
              + " cannot be forwarded ("
              + e.getMessage()
              + "): name another port or address",
          e);
    } catch (IOException e) {
      throw new IOException(
          forward.describeHost() + " cannot be forwarded (" + e.getMessage() + ")", e);
    }
  }

  @Override
  public void attach(NetworkCard newCard) {
    Objects.requireNonNull(newCard);
    turn.run(
        () -> {
          if (card != null) {
            throw new IllegalStateException("there is a card already");
          }
          card = newCard;
          delivery = Thread.ofPlatform().daemon().name("bothy-net").start(this::deliver);
        });
  }

  @Override
  public void transmit(Frame frame) {
    turn.begin();
    try {
      if (!closed) {
        stack.input(frame);
      }
    } finally {
      turn.end();
    }
  }

  @Override
  public void receiveReady() {
    ready = true;
    LockSupport.unpark(delivery);
  }

  @Override
  public void accept(Offloads offloads) {
    turn.run(() -> stack.accept(offloads));
  }

  @Override
  public void reset() {
    turn.run(stack::reset);
  }

  @Override
  public boolean linkUp() {
    return !closed;
  }

  /** The stack has something to do; the lock is held. */
  private void wake() {
    if (waiting) {
      waiting = false;
      work.signal();
    }
  }

  /** Whoever leaves the stack has perhaps left something to be done earlier. */
  private void alarm() {
    if (waiting && stack.nextTick() < waitingUntil) {
      wake();
    }
  }

  private void deliver() {
    List<Frame> frames = new ArrayList<>();
    while (!closed) {
      frames.clear();
      turn.begin();
      try {
        collect(frames);
      } catch (InterruptedException e) {
        return;
      } finally {
        turn.end();
      }
      for (Frame frame : frames) {
        if (!handOver(frame)) {
          return;
        }
      }
    }
  }

  private void collect(List<Frame> frames) throws InterruptedException {
    while (!closed) {
      stack.tick();
      stack.output(frames, BATCH);
      if (!frames.isEmpty()) {
        return;
      }
      waitingUntil = stack.nextTick();
      long nanos = waitingUntil - now();
      waiting = true;
      if (waitingUntil == Long.MAX_VALUE) {
        work.await();
      } else if (nanos > 0) {
        work.awaitNanos(nanos);
      }
      waiting = false;
    }
  }

  /** False once it is closed. */
  private boolean handOver(Frame frame) {
    while (!closed) {
      ready = false;
      if (card.receive(frame)) {
        return true;
      }
      while (!ready && !closed) {
        LockSupport.park(this);
      }
    }
    return false;
  }

  @Override
  public void close() {
    // Who has been accepted and is not in the stack yet finds that nobody listens any more.
    sockets.close();
    turn.run(
        () -> {
          closed = true;
          stack.close();
          work.signal();
        });
    Thread thread = delivery;
    if (thread != null && thread != Thread.currentThread()) {
      LockSupport.unpark(thread);
      try {
        thread.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
