package dev.bothy.net;

/**
 * The guest's network card, as a network sees it. Called by one thread of the network at a time,
 * which holds no lock; a call must not wait for the guest.
 */
public interface NetworkCard {
  /**
   * Takes a frame for the guest. Nothing of the frame may be used after the return.
   *
   * @return false if the guest has no room for it now: then the network keeps it, and asks again
   *     after the card has called {@link Network#receiveReady}, which the card does as soon as it
   *     has more room than it had when it refused. A card without a driver takes frames and drops
   *     them. A frame no larger room could hold is taken and dropped, never refused.
   */
  boolean receive(Frame frame);

  /** The cable was plugged in (true) or pulled; {@link Network#linkUp} says the same. */
  void linkChanged(boolean up);
}
