package dev.bothy.net;

/**
 * A network as one card sees it: the other end of its cable. The card hands over what the guest
 * sends by {@link #transmit}; the network hands over what comes in by {@link NetworkCard#receive}.
 *
 * <p>All methods may be called by any thread, several at a time, and return without waiting for
 * another host or for the guest. A network calls its card on threads of its own, and never from
 * within a call of the card's, so a card may hold a lock while it calls.
 *
 * <p>A network goes with the host's time, not with the guest's, and saves no state: it has lost its
 * connections after a machine is restored, and says so to the guest as a router would that was
 * started anew.
 */
public interface Network extends AutoCloseable {
  /**
   * Plugs the card in. Frames come from now on.
   *
   * @throws IllegalStateException if there was a card already
   */
  void attach(NetworkCard card);

  /**
   * Takes a frame that the guest sends. What there is no room for, or what is malformed, is lost as
   * on a wire. Nothing of the frame is used after the return. Offloads of every kind are taken: see
   * {@link Offload}.
   */
  void transmit(Frame frame);

  /**
   * Says that the card has room again, after it refused a frame; the network comes with that frame
   * soon. Calls too many are harmless.
   */
  void receiveReady();

  /**
   * Says what the guest's driver takes; {@link Offloads#NONE} until then. A frame that is already
   * on its way may still follow the old rules, hence a card calls this before it first takes frames
   * for a driver.
   */
  void accept(Offloads offloads);

  /**
   * Says that the machine was reset: what the guest had under way is ended, and those it talked
   * with are told; what waits for a first answer of the guest's goes on waiting.
   */
  default void reset() {}

  /** False while there is no cable: frames are lost in both directions. */
  boolean linkUp();

  /**
   * Ends all connections and gives back ports and interfaces. The card is not called after the
   * return. Closing twice is harmless; what is transmitted later is lost.
   */
  @Override
  void close();
}
