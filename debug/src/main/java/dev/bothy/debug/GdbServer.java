package dev.bothy.debug;

import dev.bothy.core.StopCause;
import dev.bothy.debug.monitor.Monitor;
import dev.bothy.host.Uninterrupted;
import dev.bothy.host.UnixServer;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineDebugger;
import dev.bothy.machine.MachineExit;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Where gdb connects to a machine: a port of the loopback address, or a Unix socket. One debugger
 * at a time; the machine stops when one comes and goes on when it goes, whether it says so or not.
 * Others are turned away, after a second in which that one may go. Any thread.
 */
public final class GdbServer implements AutoCloseable {
  /** How long one who comes while another is there may wait. */
  private static final Duration COURTESY = Duration.ofSeconds(1);

  /** Connections at once, of those that have not said anything, too. */
  static final int MOST_CALLERS = 16;

  private static final long PATIENCE = TimeUnit.MILLISECONDS.toNanos(100);

  /** What waits for connections. */
  private interface Entrance extends AutoCloseable {
    SocketChannel accept() throws IOException;

    @Override
    void close() throws IOException;
  }

  private final Machine machine;
  private final MachineDebugger debugger;
  private final Monitor monitor;
  private final Optional<RegisterLayout> layout;
  private final Entrance entrance;
  private final String target;

  // Guarded by this.
  private boolean started;

  /** Tells the debugger of the machine's end. */
  private Thread end;

  private boolean closed;

  /** All connections. */
  private final Set<SocketChannel> callers = new HashSet<>();

  /** The machine waits for the first debugger. */
  private boolean waiting;

  /** A debugger is there, on a thread of its own. */
  private Thread visit;

  private GdbSession session;

  private GdbServer(
      Machine machine,
      Monitor monitor,
      Entrance entrance,
      String target,
      Optional<RegisterLayout> layout) {
    this.machine = machine;
    this.monitor = monitor;
    this.debugger = machine.debugger().orElseThrow();
    this.entrance = entrance;
    this.target = target;
    this.layout = layout;
  }

  /**
   * Takes a port of the loopback address; connections wait until {@link #start}.
   *
   * @param machine that has a {@link Machine#debugger}
   * @param monitor of that machine, for gdb's {@code monitor}
   * @param port 0: any that is free
   * @param layout how processors are shown; empty: by their mode when the debugger comes, as 64-bit
   *     ones if they have not run yet
   * @throws IOException in one line, if it cannot be had
   */
  public static GdbServer atPort(
      Machine machine, Monitor monitor, int port, Optional<RegisterLayout> layout)
      throws IOException {
    ServerSocketChannel server = ServerSocketChannel.open();
    try {
      server.setOption(StandardSocketOptions.SO_REUSEADDR, true);
      server.bind(new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), port));
      int given = ((InetSocketAddress) server.getLocalAddress()).getPort();
      Entrance entrance =
          new Entrance() {
            @Override
            public SocketChannel accept() throws IOException {
              SocketChannel channel = server.accept();
              channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
              return channel;
            }

            @Override
            public void close() throws IOException {
              server.close();
            }
          };
      return new GdbServer(machine, monitor, entrance, "127.0.0.1:" + given, layout);
    } catch (IOException e) {
      server.close();
      throw new IOException(
          "cannot listen for gdb at port " + port + " (" + e.getMessage() + ")", e);
    }
  }

  /** The same with a Unix socket, whose file goes when this is closed. */
  public static GdbServer atSocket(
      Machine machine, Monitor monitor, Path path, Optional<RegisterLayout> layout)
      throws IOException {
    UnixServer server = new UnixServer(path);
    Entrance entrance =
        new Entrance() {
          @Override
          public SocketChannel accept() throws IOException {
            return server.accept();
          }

          @Override
          public void close() {
            server.close();
          }
        };
    return new GdbServer(machine, monitor, entrance, path.toString(), layout);
  }

  /** What gdb's {@code target remote} takes. */
  public String target() {
    return target;
  }

  /** A machine that is not started yet is to wait for the first debugger to let it go on. */
  public synchronized void holdMachine() {
    waiting = true;
    debugger.attach(this::stopped);
  }

  /** Lets debuggers in; the machine has been started. */
  public synchronized void start() {
    if (!started && !closed) {
      started = true;
      end = Thread.ofVirtual().name("bothy-gdb-end").start(this::awaitEnd);
      Thread.ofVirtual().name("bothy-gdb").start(this::letIn);
    }
  }

  private void letIn() {
    while (true) {
      try {
        SocketChannel channel = entrance.accept();
        if (!comes(channel)) {
          channel.close();
          continue;
        }
        Thread.ofVirtual().name("bothy-gdb-visit").start(() -> visit(channel));
      } catch (ClosedChannelException e) {
        return;
      } catch (IOException e) {
        // Too many files are open, for example.
        LockSupport.parkNanos(PATIENCE);
      }
    }
  }

  private synchronized boolean comes(SocketChannel caller) {
    return !closed && callers.size() < MOST_CALLERS && callers.add(caller);
  }

  private synchronized void goes(SocketChannel caller) {
    callers.remove(caller);
  }

  private void visit(SocketChannel channel) {
    try (channel) {
      PacketStream packets = new PacketStream(channel);
      if (packets.beginsWell() && enter()) {
        try {
          receive(packets);
        } finally {
          packets.awaitSent(COURTESY);
          leave();
        }
      }
    } catch (IOException e) {
      // It is gone.
    } finally {
      goes(channel);
    }
  }

  private synchronized boolean enter() throws IOException {
    try {
      // The one before may be on its way out.
      long deadline = System.nanoTime() + COURTESY.toNanos();
      for (long left = COURTESY.toNanos(); visit != null && !closed && left > 0; ) {
        TimeUnit.NANOSECONDS.timedWait(this, left);
        left = deadline - System.nanoTime();
      }
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
    if (closed || visit != null) {
      return false;
    }
    visit = Thread.currentThread();
    return true;
  }

  private void receive(PacketStream packets) throws IOException {
    synchronized (this) {
      if (!waiting && !debugger.attach(this::stopped)) {
        return;
      }
      waiting = false;
    }
    debugger.stop();
    GdbSession made =
        new GdbSession(machine, debugger, monitor, layout.orElseGet(this::layout), packets);
    synchronized (this) {
      session = made;
    }
    made.serve();
  }

  private RegisterLayout layout() {
    // Before its first instruction, a kernel for 64 bits may be about to leave a mode of 32.
    machine.engineLock().lock();
    try {
      return machine.statistics().instructions() == 0
          ? RegisterLayout.X86_64
          : RegisterLayout.of(machine.vcpu(0).state());
    } finally {
      machine.engineLock().unlock();
    }
  }

  private void leave() {
    debugger.stop();
    debugger.detach();
    synchronized (this) {
      session = null;
      visit = null;
      notifyAll();
    }
  }

  private synchronized GdbSession session() {
    return session;
  }

  private void stopped(int index, StopCause cause) {
    GdbSession present = session();
    if (present != null) {
      present.stopped(index, cause);
    }
  }

  private void awaitEnd() {
    try {
      MachineExit exit = machine.awaitExit();
      GdbSession present = session();
      if (present != null) {
        present.ended(exit instanceof MachineExit.PoweredOff ? 0 : 1);
      }
    } catch (IOException e) {
      // It is gone.
    } catch (InterruptedException e) {
      // Nobody interrupts this thread.
    }
  }

  /** What the visitor was told last has gone out, if it reads at all. */
  private void goodbye() {
    if (session != null) {
      session.awaitSent(COURTESY);
    }
  }

  /** Sends the debugger away and lets none in any more. The machine is not closed yet. */
  @Override
  public void close() {
    Thread present;
    Thread told;
    synchronized (this) {
      told = end;
    }
    if (told != null && !machine.running()) {
      Uninterrupted.join(told);
    }
    try {
      entrance.close();
      synchronized (this) {
        closed = true;
        present = visit;
        goodbye();
        for (SocketChannel caller : callers) {
          caller.close();
        }
      }
    } catch (IOException e) {
      // Nothing more can be done about it.
      present = null;
    }
    if (present != null) {
      Uninterrupted.join(present);
    }
  }
}
