package dev.bothy;

import dev.bothy.device.virtio.ConsolePort;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** What a machine is to have besides processors and memory. Not thread-safe. */
final class Peripherals {
  final List<Disk> disks = new ArrayList<>();
  final List<NetworkOption> networks = new ArrayList<>();
  final List<ConsolePort> ports = new ArrayList<>();
  final List<ConsoleSocket.Place> consoleSockets = new ArrayList<>();

  /** Null: none. */
  Vsock vsock;

  boolean testDevice;

  private final List<Share> shares = new ArrayList<>();

  /**
   * One more folder of the host.
   *
   * @throws IllegalArgumentException if there is one with that tag
   */
  void add(Share share) {
    if (!share.tag().isEmpty() && hasTag(share.tag())) {
      throw new IllegalArgumentException(
          "the tag \"" + share.tag() + "\" is given twice: give each share one of its own");
    }
    shares.add(share);
  }

  private boolean hasTag(String tag) {
    return shares.stream().anyMatch(share -> share.tag().equals(tag));
  }

  /** Gives tags to those that have none. */
  private void settleTags() {
    for (int i = 0; i < shares.size(); i++) {
      if (shares.get(i).tag().isEmpty()) {
        String tag = Share.DEFAULT_TAG;
        for (int number = 1; hasTag(tag); number++) {
          tag = Share.DEFAULT_TAG + number;
        }
        shares.set(i, shares.get(i).withTag(tag));
      }
    }
  }

  /**
   * Puts all of it into {@code cards}, in the order in which machines have them.
   *
   * @param usual networks of machines whose user has said nothing of any
   * @throws IOException in one line, if the host does not have what is behind one of them
   */
  void plugInto(Cards cards, List<NetworkOption> usual, Consumer<String> troubles)
      throws IOException {
    for (Disk disk : disks) {
      cards.add(disk, troubles);
    }
    for (NetworkOption network : networks.isEmpty() ? usual : networks) {
      cards.add(network, troubles);
    }
    settleTags();
    for (Share share : shares) {
      cards.add(share);
    }
    if (vsock != null) {
      cards.add(vsock);
    }
    cards.add(ports, consoleSockets);
    if (testDevice) {
      cards.addTestDevices();
    }
  }

  /**
   * What the default guest is to mount, as it could not find the tags out by itself, and how many
   * terminals it is to wait for and put shells on.
   */
  String guestWords() {
    StringBuilder words = new StringBuilder();
    for (Share share : shares) {
      words.append(" bothy.share=").append(share.tag()).append(share.readOnly() ? ",ro" : "");
    }
    long terminals =
        ports.stream().filter(ConsolePort::console).count()
            + consoleSockets.stream().filter(place -> place.name().isEmpty()).count();
    return words.append(terminals > 0 ? " bothy.terminals=" + terminals : "").toString();
  }
}
