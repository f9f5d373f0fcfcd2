package dev.bothy.net.user;

import dev.bothy.net.Frame;
import java.util.ArrayList;
import java.util.List;
import java.util.PriorityQueue;
import java.util.Random;
import java.util.SplittableRandom;

/** A stack, a guest and a cable between them in virtual time, with delay and losses. */
final class Cable {
  private record Event(long at, long number, boolean toGuest, byte[] frame) {}

  final FakeOutside outside = new FakeOutside();
  final Stack stack;
  final List<GuestTcp> guests = new ArrayList<>();

  /** Frames for the guest that are no connection's. */
  final List<byte[]> others = new ArrayList<>();

  long now = 1;
  long delay;
  double loss;
  boolean reorders;
  int frames;
  private final Random random;
  private long number;
  private final PriorityQueue<Event> events =
      new PriorityQueue<>(
          (a, b) -> a.at != b.at ? Long.compare(a.at, b.at) : Long.compare(a.number, b.number));

  Cable(long seed, boolean restricted) {
    random = new Random(seed);
    stack =
        new Stack(outside, () -> now, new SplittableRandom(seed), "guest", restricted, () -> {});
  }

  /** A frame from the guest, on its way. */
  void fromGuest(byte[] frame) {
    send(frame, false);
  }

  private void send(byte[] frame, boolean toGuest) {
    if (random.nextDouble() >= loss) {
      long extra = reorders && random.nextInt(20) == 0 ? delay / 2 + 1000 : 0;
      events.add(new Event(now + delay + extra, number++, toGuest, frame));
    }
  }

  GuestTcp connect(String address, int port, String remote, int remotePort, boolean selective) {
    GuestTcp guest =
        new GuestTcp(
            Packets.address(address),
            port,
            Packets.address(remote),
            remotePort,
            selective,
            this::fromGuest);
    guests.add(guest);
    guest.connect(now);
    return guest;
  }

  /** Lets time pass until {@code done}, at most until {@code limit} nanoseconds. */
  boolean run(long limit, java.util.function.BooleanSupplier done) {
    while (true) {
      settle();
      if (done.getAsBoolean()) {
        return true;
      }
      long next = Math.min(stack.nextTick(), events.isEmpty() ? Long.MAX_VALUE : events.peek().at);
      for (GuestTcp guest : guests) {
        next = Math.min(next, guest.deadline());
      }
      if (next > limit) {
        now = Math.max(now, limit);
        return done.getAsBoolean();
      }
      now = Math.max(now, next);
      while (!events.isEmpty() && events.peek().at <= now) {
        Event event = events.poll();
        if (event.toGuest) {
          toGuest(event.frame);
        } else {
          stack.input(Frame.of(event.frame));
        }
      }
      stack.tick();
    }
  }

  /** Everything that happens at this moment. */
  private void settle() {
    for (FakeOutside.Peer peer : new ArrayList<>(outside.peers)) {
      if (!peer.aborted && !peer.connection.closed()) {
        peer.step();
      }
    }
    guests.forEach(guest -> guest.step(now));
    List<Frame> out = new ArrayList<>();
    do {
      out.clear();
      stack.output(out, 64);
      for (Frame frame : out) {
        frames++;
        send(frame.toArray(), true);
      }
    } while (!out.isEmpty());
  }

  private void toGuest(byte[] frame) {
    Packets.Seen seen = Packets.read(frame);
    if (seen != null && seen.protocol() == 6 && !guests.isEmpty()) {
      int port = seen.bytes().getShort(2) & 0xffff;
      for (GuestTcp guest : guests) {
        if (guest.port() == port) {
          guest.receive(seen, now);
          return;
        }
      }
    }
    others.add(frame);
  }

  /** Frames to the guest by now that are no connection's, after a moment. */
  List<byte[]> answers() {
    run(now + 2 * delay + 1, () -> false);
    List<byte[]> answers = new ArrayList<>(others);
    others.clear();
    return answers;
  }
}
