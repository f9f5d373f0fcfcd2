package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/**
 * Console device: Virtual I/O Device (VIRTIO) 1.2, section 5.3. Several ports, consoles and plain
 * ones, whose host's ends are {@link ConsolePort}s. A driver that takes no several ports has the
 * first.
 *
 * <p>What the driver is to be told is kept as a set of things a port, not as a queue of messages:
 * however often a guest asks, there is never more to tell.
 */
public final class VirtioConsole extends VirtioDevice {
  private static final int DEVICE = 3;
  private static final int QUEUE_SIZE = 64;

  /** Ports of one device, at most. */
  public static final int MAX_PORTS = 31;

  // Features (5.3.3).
  private static final long F_SIZE = 1L;
  private static final long F_MULTIPORT = 1L << 1;
  private static final long F_EMERG_WRITE = 1L << 2;

  // Configuration space (5.3.4).
  private static final int ROWS = 2;
  private static final int MAX_NR_PORTS = 4;
  private static final int EMERG_WR = 8;
  private static final int CONFIG_SIZE = 12;

  // Queues (5.3.2).
  private static final int CONTROL_RECEIVE = 2;
  private static final int CONTROL_TRANSMIT = 3;

  // Control messages (5.3.6.2).
  private static final int CONTROL_SIZE = 8;
  private static final int DEVICE_READY = 0;
  private static final int DEVICE_ADD = 1;
  private static final int PORT_READY = 3;
  private static final int CONSOLE_PORT = 4;
  private static final int RESIZE = 5;
  private static final int PORT_OPEN = 6;
  private static final int PORT_NAME = 7;

  /** In this order, drivers learn of a port. */
  private static final int[] TELLING = {DEVICE_ADD, CONSOLE_PORT, PORT_NAME, RESIZE, PORT_OPEN};

  /** Bytes handed to a sink at once. */
  private static final int PORTION = 4096;

  /**
   * Bytes that the guest may write in one request. A vCPU waits until they are taken; drivers write
   * what they find in a pipe at most.
   */
  private static final int REQUEST_LIMIT = 1 << 22;

  private final List<ConsolePort> ports;

  // Guarded by the lock, as is what ports have for the driver.
  private final Object lock = new Object();

  /** What is to be told of each port: a bit an event. */
  private final int[] untold;

  /** Ports that the guest has open. */
  private final boolean[] guestOpen;

  /** Bytes of the request in front that the sink has taken. */
  private final int[] taken;

  /**
   * @param ports 1 to {@link #MAX_PORTS}
   */
  public VirtioConsole(GuestMemory memory, List<ConsolePort> ports) {
    super(
        "virtio-console",
        DEVICE,
        SPLIT_RINGS | F_SIZE | F_MULTIPORT | F_EMERG_WRITE,
        2 * ports.size() + 2,
        QUEUE_SIZE,
        memory,
        AT_ONCE);
    if (ports.isEmpty() || ports.size() > MAX_PORTS) {
      throw new IllegalArgumentException("1 to " + MAX_PORTS + " ports, not " + ports.size());
    }
    this.ports = List.copyOf(ports);
    untold = new int[ports.size()];
    guestOpen = new boolean[ports.size()];
    taken = new int[ports.size()];
  }

  /** Connects the ports; once, before the machine starts. */
  public void plugIn() {
    for (int i = 0; i < ports.size(); i++) {
      ports.get(i).connect(this, i);
    }
  }

  @Override
  protected int configSize() {
    return CONFIG_SIZE;
  }

  @Override
  protected int readConfig(int at) {
    ConsolePort first = ports.getFirst();
    synchronized (lock) {
      return switch (at) {
        case 0, 1 -> first.columns >>> 8 * at;
        case ROWS, ROWS + 1 -> first.rows >>> 8 * (at - ROWS);
        case MAX_NR_PORTS -> ports.size();
        default -> 0;
      };
    }
  }

  /** A driver that is in trouble writes single bytes here, before anything is set up. */
  @Override
  protected void writeConfig(int at, int value) {
    if (at == EMERG_WR) {
      ports.getFirst().sink().take(new byte[] {(byte) value}, 1);
    }
  }

  private static int port(int queue) {
    return queue < 2 ? 0 : queue / 2 - 1;
  }

  private Virtqueue receiveQueue(int port) {
    return queue(port == 0 ? 0 : 2 * port + 2);
  }

  private Virtqueue transmitQueue(int port) {
    return queue(port == 0 ? 1 : 2 * port + 3);
  }

  @Override
  protected void serve(Virtqueue queue) throws VirtqueueException {
    if (queue.index() == CONTROL_RECEIVE) {
      tell();
    } else if (queue.index() % 2 == 0) {
      queue.wantNotifications(false);
      ports.get(port(queue.index())).room();
    } else {
      super.serve(queue);
    }
  }

  @Override
  protected boolean handle(Virtqueue queue, DescriptorChain chain) throws VirtqueueException {
    if (queue.index() == CONTROL_TRANSMIT) {
      Buffers message = chain.readable();
      if (message.length() < CONTROL_SIZE) {
        throw new VirtqueueException("a control message of " + message.length() + " bytes");
      }
      hear(message.getInt(0), message.getShort(4), message.getShort(6));
      queue.complete(chain, 0);
      return true;
    }
    return write(port(queue.index()), queue, chain);
  }

  // Control.

  private void hear(int port, int event, int value) {
    synchronized (lock) {
      if (event == DEVICE_READY) {
        for (int i = 0; i < untold.length; i++) {
          untold[i] = value == 1 ? 1 << DEVICE_ADD : 0;
        }
      } else if (port >= 0 && port < untold.length) {
        ConsolePort which = ports.get(port);
        if (event == PORT_READY && value == 1) {
          untold[port] |= 1 << PORT_OPEN;
          untold[port] |= which.console() ? 1 << CONSOLE_PORT : 0;
          untold[port] |= which.name().isEmpty() ? 0 : 1 << PORT_NAME;
          untold[port] |= which.console() && which.rows > 0 ? 1 << RESIZE : 0;
        } else if (event == PORT_OPEN) {
          guestOpen[port] = value != 0;
        }
      }
    }
    kick(queue(CONTROL_RECEIVE));
    if (event == PORT_OPEN && port >= 0 && port < untold.length) {
      ports.get(port).room();
    }
  }

  /** Tells what is to be told, as far as there are buffers for it. */
  private void tell() throws VirtqueueException {
    Virtqueue queue = queue(CONTROL_RECEIVE);
    queue.wantNotifications(true);
    while (true) {
      byte[] message = nextMessage(false);
      DescriptorChain chain = message == null ? null : queue.poll();
      if (chain == null) {
        break;
      }
      if (chain.writable().length() < CONTROL_SIZE) {
        throw new VirtqueueException("no room for a control message");
      }
      message = nextMessage(true);
      int length = (int) Math.min(chain.writable().length(), message == null ? 0 : message.length);
      if (message == null) {
        queue.undo(chain);
        break;
      }
      chain.writable().write(0, message, 0, length);
      queue.complete(chain, length);
    }
    publish(queue);
  }

  /** The next message, or null; {@code take} marks it as told. */
  private byte[] nextMessage(boolean take) {
    synchronized (lock) {
      for (int port = 0; port < untold.length; port++) {
        for (int event : TELLING) {
          if ((untold[port] & 1 << event) != 0) {
            untold[port] &= take ? ~(1 << event) : -1;
            return message(port, event);
          }
        }
      }
      return null;
    }
  }

  private byte[] message(int number, int event) {
    ConsolePort port = ports.get(number);
    byte[] more =
        switch (event) {
          case PORT_NAME -> (port.name() + "\0").getBytes(StandardCharsets.UTF_8);
          // Rows first, as drivers read it; the specification has them the other way round.
          case RESIZE -> shorts(port.rows, port.columns);
          default -> new byte[0];
        };
    int value = event == PORT_OPEN && !port.opened ? 0 : 1;
    byte[] message = new byte[CONTROL_SIZE + more.length];
    message[0] = (byte) number;
    message[4] = (byte) event;
    message[6] = (byte) value;
    System.arraycopy(more, 0, message, CONTROL_SIZE, more.length);
    return message;
  }

  private static byte[] shorts(int first, int second) {
    return new byte[] {(byte) first, (byte) (first >>> 8), (byte) second, (byte) (second >>> 8)};
  }

  private void note(int port, int event) {
    synchronized (lock) {
      untold[port] |= 1 << event;
    }
    kick(queue(CONTROL_RECEIVE));
  }

  void setOpen(int port, boolean open) {
    synchronized (lock) {
      ports.get(port).opened = open;
    }
    if (running()) {
      note(port, PORT_OPEN);
    }
  }

  void resize(int port, int columns, int rows) {
    ConsolePort which = ports.get(port);
    synchronized (lock) {
      which.columns = columns & 0xffff;
      which.rows = rows & 0xffff;
    }
    if (running() && which.console()) {
      note(port, RESIZE);
    }
    if (port == 0) {
      configChanged();
    }
  }

  // Data.

  /** Hands a request to the port's sink; false if that has no room for all of it. */
  private boolean write(int port, Virtqueue queue, DescriptorChain chain)
      throws VirtqueueException {
    Buffers data = chain.readable();
    if (data.length() > REQUEST_LIMIT) {
      throw new VirtqueueException(data.length() + " bytes at once for a port");
    }
    int total = (int) data.length();
    byte[] portion = new byte[Math.min(PORTION, total)];
    int done = Math.min(taken[port], total);
    while (done < total) {
      int length = Math.min(portion.length, total - done);
      data.read(done, portion, 0, length);
      int accepted = ports.get(port).sink().take(portion, length);
      done += accepted;
      if (accepted < length) {
        taken[port] = done;
        queue.undo(chain);
        return false;
      }
      if (yielding()) {
        break;
      }
    }
    if (done < total) {
      taken[port] = done;
      queue.undo(chain);
      return false;
    }
    taken[port] = 0;
    queue.complete(chain, 0);
    return true;
  }

  void sinkReady(int port) {
    kick(transmitQueue(port));
  }

  int offer(int port, byte[] bytes, int from, int length) {
    if (!enter()) {
      return 0;
    }
    Virtqueue queue = receiveQueue(port);
    int done = 0;
    try {
      boolean asked = false;
      while (done < length && open(port)) {
        DescriptorChain chain = queue.poll();
        if (chain == null) {
          if (asked) {
            break;
          }
          queue.wantNotifications(true);
          asked = true;
          continue;
        }
        int portion = (int) Math.min(chain.writable().length(), length - done);
        if (portion == 0) {
          throw new VirtqueueException("a buffer that takes no byte");
        }
        chain.writable().write(0, bytes, from + done, portion);
        queue.complete(chain, portion);
        done += portion;
      }
      publish(queue);
    } catch (VirtqueueException e) {
      fail();
    } finally {
      leave();
    }
    return done;
  }

  private boolean open(int port) {
    boolean always = port == 0 && !has(F_MULTIPORT);
    synchronized (lock) {
      return always || guestOpen[port];
    }
  }

  // Life.

  @Override
  protected void resumed() {
    ports.forEach(ConsolePort::room);
  }

  @Override
  protected void resetDevice() {
    synchronized (lock) {
      Arrays.fill(untold, 0);
      Arrays.fill(guestOpen, false);
      Arrays.fill(taken, 0);
    }
  }

  @Override
  protected void saveDevice(StateWriter out) {
    synchronized (lock) {
      for (int i = 0; i < untold.length; i++) {
        out.putInt(untold[i]).putBoolean(guestOpen[i]).putInt(taken[i]);
      }
    }
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    synchronized (lock) {
      for (int i = 0; i < untold.length; i++) {
        untold[i] = in.getInt(0, 0xff);
        guestOpen[i] = in.getBoolean();
        taken[i] = in.getInt(0, Integer.MAX_VALUE);
      }
    }
  }
}
