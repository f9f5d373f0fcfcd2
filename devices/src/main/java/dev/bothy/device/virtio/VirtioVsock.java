package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Socket device: Virtual I/O Device (VIRTIO) 1.2, section 5.10, with streams. The host's side is
 * Unix sockets: a guest that connects to port 52 of the host, context 2, gets to the socket whose
 * name is the device's path with {@code _52} behind it; programs of the host reach ports of the
 * guest through the socket at the path itself, as {@link VsockListener} says.
 *
 * <p>Streams end when the device is reset. They are no part of the saved state: a guest that is
 * loaded is told that they are gone (5.10.6.7).
 */
public final class VirtioVsock extends VirtioDevice {
  /** The host's address. */
  static final long HOST_CID = 2;

  /** Addresses that a guest may have. */
  public static final long FIRST_CID = 3;

  public static final long LAST_CID = 0xffff_fffeL;

  private static final int DEVICE = 19;
  private static final long F_STREAM = 1;
  private static final int QUEUES = 3;
  private static final int QUEUE_SIZE = 128;
  private static final int RECEIVE = 0;
  private static final int TRANSMIT = 1;
  private static final int EVENTS = 2;
  private static final int CONFIG_SIZE = 8;
  private static final int EVENT_SIZE = 4;

  /** Streams at a time; what is more is refused. */
  static final int MAX_STREAMS = 512;

  /** Refusals that wait for a buffer; the guest's packets wait while there are so many. */
  private static final int MAX_REFUSALS = 128;

  /** Where ports of host programs begin. */
  private static final int FIRST_PORT = 1 << 30;

  private record Ports(int guest, int host) {}

  private final long cid;
  private final ReentrantLock lock = new ReentrantLock();
  private final VsockListener listener;

  // Guarded by the lock.
  private final Map<Ports, VsockStream> streams = new HashMap<>();
  private final Deque<VsockHeader> refusals = new ArrayDeque<>();

  /** Streams that may have a packet for the guest, in turn. */
  private final Set<VsockStream> ready = new LinkedHashSet<>();

  /** Packets of the guest wait until there is room for refusals. */
  private volatile boolean stalled;

  private int nextPort = FIRST_PORT;
  private boolean closed;

  /** The guest is to be told that all streams are gone. */
  private boolean lost;

  /**
   * Makes a device.
   *
   * @param io runs what serves queues
   * @param cid the guest's address, {@link #FIRST_CID} to {@link #LAST_CID}
   * @param listener belongs to this device from now on, and is closed with it
   */
  public VirtioVsock(GuestMemory memory, Executor io, long cid, VsockListener listener) {
    super("virtio-vsock", DEVICE, PACKED_RINGS | F_STREAM, QUEUES, QUEUE_SIZE, memory, io);
    if (cid < FIRST_CID || cid > LAST_CID) {
      throw new IllegalArgumentException("a guest's context is 3 to 4294967294, not " + cid);
    }
    this.cid = cid;
    this.listener = listener;
    listener.start(this::connectGuest);
  }

  @Override
  protected int configSize() {
    return CONFIG_SIZE;
  }

  @Override
  protected int readConfig(int at) {
    return (int) (cid >>> (8 * at)) & 0xff;
  }

  // For streams.

  ReentrantLock lock() {
    return lock;
  }

  long guestCid() {
    return cid;
  }

  /** Runs {@code action} with the lock. */
  void locked(Runnable action) {
    lock.lock();
    try {
      action.run();
    } finally {
      lock.unlock();
    }
  }

  /** Runs what waits for a socket. */
  void run(Runnable task) {
    Thread.ofVirtual().name("vsock-stream").start(task);
  }

  /** {@code stream} may have a packet for the guest. With the lock; {@link #wake} is to follow. */
  void offer(VsockStream stream) {
    ready.add(stream);
  }

  /** Sends what there is. Without the lock. */
  void wake() {
    kick(queue(RECEIVE));
  }

  /** {@code stream} has ended. With the lock. */
  void forget(VsockStream stream) {
    streams.remove(new Ports(stream.guestPort(), stream.hostPort()), stream);
    ready.remove(stream);
  }

  // From the host.

  private void connectGuest(SocketChannel socket, int guestPort) {
    boolean taken = false;
    lock.lock();
    try {
      if (running() && !closed && streams.size() < MAX_STREAMS) {
        Ports ports = new Ports(guestPort, nextPort(guestPort));
        VsockStream stream = new VsockStream(this, guestPort, ports.host());
        streams.put(ports, stream);
        stream.request(socket);
        taken = true;
      }
    } finally {
      lock.unlock();
    }
    if (taken) {
      wake();
    } else {
      try {
        socket.close();
      } catch (IOException e) {
        // The program is gone.
      }
    }
  }

  /** A free one: there are many more than streams. */
  private int nextPort(int guestPort) {
    do {
      nextPort = nextPort == Integer.MAX_VALUE ? FIRST_PORT : nextPort + 1;
    } while (streams.containsKey(new Ports(guestPort, nextPort)));
    return nextPort;
  }

  // Queues.

  @Override
  protected void serve(Virtqueue queue) throws VirtqueueException {
    switch (queue.index()) {
      case RECEIVE -> fill(queue);
      case TRANSMIT -> super.serve(queue);
      default -> tellEvent(queue);
    }
  }

  private void fill(Virtqueue queue) throws VirtqueueException {
    do {
      queue.wantNotifications(false);
      boolean more;
      do {
        more = !yielding() && fillOne(queue);
      } while (more);
      publish(queue);
      queue.wantNotifications(true);
      if (stalled && refusals() < MAX_REFUSALS) {
        stalled = false;
        kick(queue(TRANSMIT));
      }
    } while (!yielding() && hasPacket() && queue.hasRequest());
  }

  private int refusals() {
    lock.lock();
    try {
      return refusals.size();
    } finally {
      lock.unlock();
    }
  }

  private boolean hasPacket() {
    lock.lock();
    try {
      return !refusals.isEmpty() || !ready.isEmpty();
    } finally {
      lock.unlock();
    }
  }

  /** Puts the next packet into the next buffer; false if there is no packet or no buffer. */
  private boolean fillOne(Virtqueue queue) throws VirtqueueException {
    lock.lock();
    try {
      int operation = 0;
      VsockStream stream = null;
      while (refusals.isEmpty() && operation == 0) {
        if (ready.isEmpty()) {
          return false;
        }
        stream = ready.iterator().next();
        operation = stream.next();
        if (operation == 0) {
          ready.remove(stream);
        }
      }
      DescriptorChain chain = queue.poll();
      if (chain == null) {
        return false;
      }
      Buffers packet = chain.writable();
      if (packet.length() <= VsockHeader.SIZE) {
        throw new VirtqueueException("a buffer of " + packet.length() + " bytes for a packet");
      }
      int length = VsockHeader.SIZE;
      if (operation == 0) {
        refusals.remove().write(packet);
      } else {
        ready.remove(stream);
        length = stream.send(operation, packet);
        if (stream.next() != 0) {
          ready.add(stream);
        }
      }
      queue.complete(chain, length);
      return true;
    } finally {
      lock.unlock();
    }
  }

  @Override
  protected boolean handle(Virtqueue queue, DescriptorChain chain) throws VirtqueueException {
    Buffers packet = chain.readable();
    if (packet.length() < VsockHeader.SIZE) {
      throw new VirtqueueException("a packet of " + packet.length() + " bytes");
    }
    lock.lock();
    try {
      if (refusals.size() >= MAX_REFUSALS) {
        stalled = true;
        queue.undo(chain);
        return false;
      }
      take(VsockHeader.read(packet), packet.from(VsockHeader.SIZE));
    } finally {
      lock.unlock();
    }
    queue.complete(chain, 0);
    wake();
    return true;
  }

  private void take(VsockHeader header, Buffers payload) {
    if (header.sourceCid() != cid) {
      return;
    }
    Ports ports = new Ports(header.sourcePort(), header.targetPort());
    VsockStream stream = streams.get(ports);
    long length = header.length() & 0xffff_ffffL;
    boolean sound =
        header.targetCid() == HOST_CID
            && header.type() == VsockHeader.STREAM
            && length <= payload.length();
    boolean request = header.operation() == VsockHeader.REQUEST;
    if (sound && stream != null && !request) {
      stream.receive(header, payload.slice(0, length));
    } else if (sound && stream == null && request && streams.size() < MAX_STREAMS) {
      VsockStream made = new VsockStream(this, header.sourcePort(), header.targetPort());
      streams.put(ports, made);
      made.begin(header);
      made.connect(listener.hostPort(header.targetPort()));
    } else {
      if (stream != null) {
        stream.end();
      }
      if (header.operation() != VsockHeader.RESET) {
        refusals.add(header.refusal());
      }
    }
  }

  private void tellEvent(Virtqueue queue) throws VirtqueueException {
    lock.lock();
    try {
      DescriptorChain chain = lost ? queue.poll() : null;
      if (chain != null) {
        lost = false;
        if (chain.writable().length() < EVENT_SIZE) {
          throw new VirtqueueException("no room for an event");
        }
        chain.writable().fill(0, EVENT_SIZE, 0);
        queue.complete(chain, EVENT_SIZE);
      }
    } finally {
      lock.unlock();
    }
    publish(queue);
  }

  // Life.

  private void endAll() {
    List<VsockStream> all = new ArrayList<>(streams.values());
    all.forEach(VsockStream::end);
    refusals.clear();
  }

  @Override
  protected void resetDevice() {
    locked(
        () -> {
          endAll();
          lost = false;
        });
  }

  @Override
  public void close() {
    super.close();
    listener.close();
    locked(
        () -> {
          closed = true;
          endAll();
        });
  }

  @Override
  protected void saveDevice(StateWriter out) {
    locked(() -> out.putBoolean(lost || !streams.isEmpty()));
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    boolean told = in.getBoolean();
    locked(() -> lost = told);
  }
}
