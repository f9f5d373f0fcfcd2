package dev.bothy.net.user;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * UDP (RFC 768) through sockets of the host: one for each address and port of the guest, whatever
 * it sends to (RFC 4787, REQ-1), open for answers from where it has sent to (REQ-8), closed after
 * two minutes of silence (REQ-5). Guarded by the stack's lock.
 */
final class Udp {
  static final int HEADER = 8;

  /** Sockets at a time; one more replaces the one longest silent. */
  static final int SESSIONS = 512;

  /** Whom one socket's answers may come from: the latest. */
  private static final int CORRESPONDENTS = 128;

  /** Hosts' clients that a forwarded port talks with at a time. */
  static final int CLIENTS = 256;

  private static final long SILENCE = 120_000_000_000L;
  private static final int DNS_PORT = 53;
  private static final int EPHEMERAL = 49152;

  private record Endpoint(IpAddress address, int port) {}

  private final Stack stack;
  private final Outside outside;
  private final Map<Endpoint, Session> sessions = new LinkedHashMap<>(16, 0.75f, true);
  private final Map<Endpoint, Client> clients = new HashMap<>();

  Udp(Stack stack, Outside outside) {
    this.stack = stack;
    this.outside = outside;
  }

  int count() {
    return sessions.size();
  }

  /** A map that forgets what was used longest ago. */
  private static <K, V> Map<K, V> recent(int most) {
    return new LinkedHashMap<>(16, 0.75f, true) {
      @Override
      protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {
        return size() > most;
      }
    };
  }

  /** The guest's socket and the host's that stands for it. */
  private final class Session extends Timeouts.Timeout implements Outside.DatagramReceiver {
    final Endpoint guest;
    Outside.HostDatagrams host;

    /** By the address on the host, the address as the guest has it. */
    final Map<Endpoint, IpAddress> correspondents = recent(CORRESPONDENTS);

    Session(Endpoint guest) {
      this.guest = guest;
    }

    @Override
    public void received(IpAddress from, int port, byte[] payload) {
      IpAddress shown = correspondents.get(new Endpoint(from, port));
      if (shown != null && sessions.get(guest) == this) {
        stack.timeouts().arm(this, stack.now() + SILENCE);
        Udp.this.send(shown, port, guest.address, guest.port, payload);
      }
    }

    @Override
    void expired(long now) {
      sessions.remove(guest, this);
      host.close();
    }
  }

  /** A packet from the guest. */
  void received(Packet packet) {
    if (packet.length < HEADER || !packet.has(packet.transport + HEADER)) {
      return;
    }
    byte[] bytes = packet.header();
    int at = packet.transport;
    int sourcePort = Wire.get16(bytes, at);
    int port = Wire.get16(bytes, at + 2);
    int length = Wire.get16(bytes, at + 4);
    boolean unsummed = packet.destination.isV4() && Wire.get16(bytes, at + 6) == 0;
    if (length < HEADER || length > packet.length || port == 0 || sourcePort == 0) {
      return;
    }
    packet.length = length;
    if (!unsummed && !packet.checksumHolds()) {
      return;
    }
    byte[] payload =
        Arrays.copyOfRange(packet.all(), packet.transport + HEADER, packet.transport + length);
    Endpoint guest = new Endpoint(packet.source, sourcePort);
    if (AddressPlan.isDns(packet.destination)) {
      if (port == DNS_PORT) {
        stack.dns().asked(packet.source, sourcePort, packet.destination, payload);
      } else {
        stack.errors().unreachable(packet, IcmpErrors.Reason.PORT);
      }
      return;
    }
    if (AddressPlan.isGateway(packet.destination) && toClient(guest, port, payload)) {
      return;
    }
    IpAddress target = AddressPlan.toHost(packet.destination);
    if (stack.restricted() || target == null) {
      stack
          .errors()
          .unreachable(
              packet, target == null ? IcmpErrors.Reason.NO_ROUTE : IcmpErrors.Reason.PROHIBITED);
      return;
    }
    Session session = session(guest);
    if (session == null) {
      stack.errors().unreachable(packet, IcmpErrors.Reason.NO_ROUTE);
      return;
    }
    session.correspondents.put(new Endpoint(target, port), packet.destination);
    stack.timeouts().arm(session, stack.now() + SILENCE);
    session.host.send(target, port, payload);
  }

  private Session session(Endpoint guest) {
    Session session = sessions.get(guest);
    if (session != null) {
      return session;
    }
    if (sessions.size() >= SESSIONS) {
      Session oldest = sessions.values().iterator().next();
      stack.timeouts().cancel(oldest);
      oldest.expired(stack.now());
    }
    session = new Session(guest);
    session.host = outside.open(guest.address.isV4(), session);
    if (session.host == null) {
      return null;
    }
    sessions.put(guest, session);
    return session;
  }

  /** Sends a datagram to the guest. */
  void send(
      IpAddress source,
      int sourcePort,
      IpAddress destination,
      int destinationPort,
      byte[] payload) {
    byte[] frame = Ip.allocate(destination, HEADER + payload.length);
    int at = frame.length - payload.length - HEADER;
    Wire.put16(frame, at, sourcePort);
    Wire.put16(frame, at + 2, destinationPort);
    Wire.put16(frame, at + 4, HEADER + payload.length);
    System.arraycopy(payload, 0, frame, at + HEADER, payload.length);
    Egress.finishChecksum(frame, at, 6, source, destination, Ip.UDP);
    stack.ip().send(frame, Ip.UDP, source, destination);
  }

  // Forwarded ports.

  /** Somebody who sends to a forwarded port, known to the guest by a port of the gateway's. */
  private final class Client extends Timeouts.Timeout {
    final Endpoint shown;
    final Endpoint guest;
    final Endpoint client;
    final Forward forward;

    Client(Endpoint shown, Endpoint guest, Endpoint client, Forward forward) {
      this.shown = shown;
      this.guest = guest;
      this.client = client;
      this.forward = forward;
    }

    @Override
    void expired(long now) {
      clients.remove(shown, this);
      forward.clients.remove(client, this);
    }
  }

  /** A port of the host that leads to the guest. */
  private final class Forward implements Outside.DatagramReceiver {
    final Outside.HostDatagrams host;
    final IpAddress guest;
    final int guestPort;
    final Map<Endpoint, Client> clients = new LinkedHashMap<>(16, 0.75f, true);

    Forward(Outside.HostDatagrams host, IpAddress guest, int guestPort) {
      this.host = host;
      this.guest = guest;
      this.guestPort = guestPort;
    }

    @Override
    public void received(IpAddress from, int port, byte[] payload) {
      Client client = clients.get(new Endpoint(from, port));
      if (client == null) {
        client = admit(new Endpoint(from, port));
      }
      stack.timeouts().arm(client, stack.now() + SILENCE);
      send(client.shown.address, client.shown.port, client.guest.address, guestPort, payload);
    }

    private Client admit(Endpoint from) {
      if (clients.size() >= CLIENTS) {
        Client oldest = clients.values().iterator().next();
        stack.timeouts().cancel(oldest);
        oldest.expired(stack.now());
      }
      IpAddress to = stack.guestAddress(guest);
      IpAddress gateway = AddressPlan.gateway(to.isV4());
      Endpoint shown = new Endpoint(gateway, from.port);
      while (Udp.this.clients.containsKey(shown)) {
        shown = new Endpoint(gateway, EPHEMERAL + stack.random().nextInt(65536 - EPHEMERAL));
      }
      Client client = new Client(shown, new Endpoint(to, guestPort), from, this);
      clients.put(from, client);
      Udp.this.clients.put(shown, client);
      return client;
    }
  }

  /** What comes to {@code host} goes to the guest's port; {@code guest} as in a forward. */
  Outside.DatagramReceiver forward(Outside.HostDatagrams host, IpAddress guest, int guestPort) {
    return new Forward(host, guest, guestPort);
  }

  private boolean toClient(Endpoint guest, int port, byte[] payload) {
    Client client = clients.get(new Endpoint(AddressPlan.gateway(guest.address.isV4()), port));
    if (client == null || !client.guest.equals(guest)) {
      return false;
    }
    stack.timeouts().arm(client, stack.now() + SILENCE);
    client.forward.host.send(client.client.address, client.client.port, payload);
    return true;
  }

  /** Closes all sockets but those of forwarded ports. */
  void close() {
    for (Session session : sessions.values()) {
      stack.timeouts().cancel(session);
      session.host.close();
    }
    sessions.clear();
  }
}
