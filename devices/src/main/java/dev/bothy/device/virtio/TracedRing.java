package dev.bothy.device.virtio;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.function.Consumer;

/** A ring that tells of the requests in it. */
final class TracedRing extends Ring {
  private final Ring ring;
  private final Consumer<String> lines;

  /**
   * @param ring what is traced
   * @param features that were accepted
   */
  TracedRing(Ring ring, long features, Consumer<String> lines) {
    super(ring.memory, ring.size, features);
    this.ring = ring;
    this.lines = lines;
  }

  @Override
  DescriptorChain poll() throws VirtqueueException {
    try {
      DescriptorChain chain = ring.poll();
      if (chain != null) {
        lines.accept(
            "request %d: %d bytes to the device, room for %d"
                .formatted(chain.id, chain.readable().length(), chain.writable().length()));
      }
      return chain;
    } catch (VirtqueueException e) {
      lines.accept("malformed: " + e.getMessage());
      throw e;
    }
  }

  @Override
  void undo(DescriptorChain chain) {
    lines.accept("request %d: put back".formatted(chain.id));
    ring.undo(chain);
  }

  @Override
  void complete(DescriptorChain chain, int written) {
    lines.accept("request %d: done, %d bytes written".formatted(chain.id, written));
    ring.complete(chain, written);
  }

  @Override
  boolean publish() {
    boolean interrupts = ring.publish();
    if (interrupts) {
      lines.accept("interrupt");
    }
    return interrupts;
  }

  @Override
  void wantNotifications(boolean wanted) {
    ring.wantNotifications(wanted);
  }

  @Override
  boolean available() throws VirtqueueException {
    return ring.available();
  }

  @Override
  void save(StateWriter out) {
    ring.save(out);
  }

  @Override
  void load(StateReader in) throws StateException {
    ring.load(in);
  }
}
