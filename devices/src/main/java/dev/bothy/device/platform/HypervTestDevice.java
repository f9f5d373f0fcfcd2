package dev.bothy.device.platform;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.SyntheticConnections;
import dev.bothy.core.SyntheticInterruptTarget;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * The port by which conformance guests try synthetic interrupts out: raises them, and makes
 * connections that send what they are sent to a vCPU, as QEMU's {@code hyperv-testdev} does. A
 * command is written as 32 bits: source, vCPU, command and connection, a byte each.
 */
public final class HypervTestDevice implements BusDevice, SyntheticConnections, Stateful {
  public static final int PORT = 0x3000;
  public static final int LENGTH = 4;

  // Commands. Routes of interrupts need not be made here, and not be taken away.
  private static final int INTERRUPT = 3;
  private static final int CONNECT_MESSAGES = 4;
  private static final int DISCONNECT_MESSAGES = 5;
  private static final int CONNECT_EVENTS = 6;
  private static final int DISCONNECT_EVENTS = 7;

  private static final int CONNECTIONS = 256;

  /** Where a connection leads, and the message that waits for room there. */
  private static final class Connection {
    final int vcpu;
    final int source;
    int type;

    /** Or null. */
    byte[] waiting;

    Connection(int vcpu, int source) {
      this.vcpu = vcpu;
      this.source = source;
    }
  }

  private final Map<Integer, Connection> messages = new TreeMap<>();
  private final Map<Integer, Connection> events = new TreeMap<>();
  private Optional<SyntheticInterruptTarget> target = Optional.empty();

  /** Maps the port. */
  public void attach(AddressSpace ports) {
    ports.map("hyperv-test", PORT, LENGTH, this);
  }

  /** Gives it interrupts to raise, if there are any, while no vCPU runs. */
  public synchronized void connect(Optional<SyntheticInterruptTarget> interrupts) {
    target = interrupts;
  }

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public synchronized void write(long offset, int size, long value) {
    if (offset != 0 || size != LENGTH) {
      return;
    }
    int source = (int) value & 0xff;
    int vcpu = (int) (value >>> 8) & 0xff;
    int connection = (int) (value >>> 24) & 0xff;
    switch ((int) (value >>> 16) & 0xff) {
      case INTERRUPT -> target.ifPresent(to -> to.interrupt(vcpu, source));
      case CONNECT_MESSAGES -> messages.put(connection, new Connection(vcpu, source));
      case DISCONNECT_MESSAGES -> messages.remove(connection);
      case CONNECT_EVENTS -> events.put(connection, new Connection(vcpu, source));
      case DISCONNECT_EVENTS -> events.remove(connection);
      default -> {
        // Routes, and commands that nobody knows.
      }
    }
  }

  @Override
  public synchronized int postMessage(int connection, int type, byte[] payload) {
    Connection to = messages.get(connection);
    if (to == null) {
      return INVALID_CONNECTION;
    }
    if (to.waiting != null) {
      return INSUFFICIENT_BUFFERS;
    }
    to.type = type;
    to.waiting = payload.clone();
    deliver(to);
    return SUCCESS;
  }

  private void deliver(Connection to) {
    if (to.waiting != null
        && target.map(t -> t.post(to.vcpu, to.source, to.type, to.waiting)).orElse(true)) {
      to.waiting = null;
    }
  }

  /** The flag is the connection's own number. */
  @Override
  public synchronized int signalEvent(int connection, int flag) {
    Connection to = events.get(connection);
    if (to == null) {
      return INVALID_CONNECTION;
    }
    target.ifPresent(t -> t.setFlag(to.vcpu, to.source, connection));
    return SUCCESS;
  }

  @Override
  public synchronized void endOfMessage(int vcpu) {
    for (Connection to : messages.values()) {
      if (to.vcpu == vcpu) {
        deliver(to);
      }
    }
  }

  public synchronized void reset() {
    messages.clear();
    events.clear();
  }

  @Override
  public String stateName() {
    return "hyperv-test";
  }

  @Override
  public synchronized void save(StateWriter out) {
    save(out, messages);
    save(out, events);
  }

  private static void save(StateWriter out, Map<Integer, Connection> connections) {
    out.putInt(connections.size());
    connections.forEach(
        (number, to) -> {
          out.putByte(number).putByte(to.vcpu).putByte(to.source).putInt(to.type);
          out.putBoolean(to.waiting != null);
          if (to.waiting != null) {
            out.putBytes(to.waiting);
          }
        });
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    reset();
    load(in, messages);
    load(in, events);
  }

  private static void load(StateReader in, Map<Integer, Connection> connections)
      throws StateException {
    for (int left = in.getInt(0, CONNECTIONS); left > 0; left--) {
      int number = in.getByte() & 0xff;
      Connection to = new Connection(in.getByte() & 0xff, in.getByte() & 0xff);
      to.type = in.getInt();
      if (in.getBoolean()) {
        to.waiting = in.getBytes(MOST_PAYLOAD);
      }
      connections.put(number, to);
    }
  }
}
