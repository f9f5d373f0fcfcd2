package dev.bothy;

import dev.bothy.net.CapturedNetwork;
import dev.bothy.net.MacAddress;
import dev.bothy.net.Network;
import dev.bothy.net.PacketCapture;
import dev.bothy.net.PortForward;
import dev.bothy.net.TapNetwork;
import dev.bothy.net.UserNetwork;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/** What a network card of a machine is to be plugged into, or that there is to be none. */
public sealed interface NetworkOption {
  /** How {@link #parse} wants a {@link User}. */
  String USER_FORM =
      "user[,hostfwd=[tcp|udp:][ADDRESS]:PORT-[ADDRESS]:PORT]...[,restrict=on|off][,hostname=NAME]"
          + "[,mac=ADDRESS][,capture=FILE][,capture-limit=SIZE]";

  /** How {@link #parse} wants a {@link Tap}. */
  String TAP_FORM = "tap,ifname=NAME[,mac=ADDRESS][,capture=FILE][,capture-limit=SIZE]";

  /** Bytes of a capture file unless somebody says otherwise. */
  long CAPTURE_LIMIT = 1L << 30;

  /**
   * What all networks with a card have in common.
   *
   * @param mac the card's address, if one was chosen
   * @param capture where its frames are written to, if anywhere
   * @param captureLimit bytes of that file
   */
  record Card(Optional<MacAddress> mac, Optional<Path> capture, long captureLimit) {
    private Network captured(Network network, Consumer<String> warnings) throws IOException {
      if (capture.isEmpty()) {
        return network;
      }
      try {
        return new CapturedNetwork(
            network, new PacketCapture(capture.get(), captureLimit, warnings));
      } catch (IOException e) {
        network.close();
        throw e;
      }
    }
  }

  /** No card at all. */
  record None() implements NetworkOption {
    @Override
    public Optional<Network> open(Consumer<String> warnings) {
      return Optional.empty();
    }

    @Override
    public Optional<MacAddress> mac() {
      return Optional.empty();
    }
  }

  /**
   * A {@link UserNetwork}.
   *
   * @param restricted the guest reaches nothing outside
   * @param hostName what DHCP calls the guest, if anything
   */
  record User(List<PortForward> forwards, boolean restricted, Optional<String> hostName, Card card)
      implements NetworkOption {
    public User {
      forwards = List.copyOf(forwards);
    }

    @Override
    public Optional<Network> open(Consumer<String> warnings) throws IOException {
      Network network = new UserNetwork(forwards, hostName.orElse(null), restricted);
      return Optional.of(card.captured(network, warnings));
    }

    @Override
    public Optional<MacAddress> mac() {
      return card.mac;
    }
  }

  /**
   * A {@link TapNetwork}.
   *
   * @param interfaceName the interface on the host
   */
  record Tap(String interfaceName, Card card) implements NetworkOption {
    @Override
    public Optional<Network> open(Consumer<String> warnings) throws IOException {
      return Optional.of(card.captured(new TapNetwork(interfaceName), warnings));
    }

    @Override
    public Optional<MacAddress> mac() {
      return card.mac;
    }
  }

  /**
   * Opens the network; empty if there is to be no card.
   *
   * @param warnings gets one line if something of it stops working later
   * @throws IOException in one line, if that is not possible: a port in use, no permission
   */
  Optional<Network> open(Consumer<String> warnings) throws IOException;

  /** The card's address, if one was chosen. */
  Optional<MacAddress> mac();

  /**
   * Reads {@code none}, {@link #USER_FORM} or {@link #TAP_FORM}; a comma in a value is written
   * twice.
   *
   * @throws IllegalArgumentException in one line, if it is something else
   */
  static NetworkOption parse(String text) {
    CommaWords words = new CommaWords(text);
    String kind = words.first();
    NetworkOption option =
        switch (kind) {
          case "none" -> new None();
          case "user" -> {
            List<PortForward> forwards =
                words.all("hostfwd").stream().map(PortForward::parse).toList();
            boolean restricted = words.isOn("restrict");
            yield new User(
                forwards,
                restricted,
                words.one("hostname").map(NetworkOption::hostName),
                card(words));
          }
          case "tap" ->
              new Tap(
                  words
                      .one("ifname")
                      .filter(name -> name.matches("[^/\\s]{1,15}"))
                      .orElseThrow(
                          () ->
                              new IllegalArgumentException(
                                  "tap wants the interface's name: tap,ifname=tap0")),
                  card(words));
          default ->
              throw new IllegalArgumentException(
                  "\"" + kind + "\" is no network: user, tap and none are");
        };
    String form = option instanceof User ? USER_FORM : option instanceof Tap ? TAP_FORM : kind;
    words.finish("a network of kind " + kind, form);
    return option;
  }

  private static Card card(CommaWords words) {
    return new Card(
        words.one("mac").map(NetworkOption::cardAddress),
        words.one("capture").map(CommaWords::path),
        words.one("capture-limit").map(NetworkOption::size).orElse(CAPTURE_LIMIT));
  }

  private static String hostName(String text) {
    if (!text.matches("[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")) {
      throw new IllegalArgumentException("'" + text + "' is no host name");
    }
    return text;
  }

  private static MacAddress cardAddress(String text) {
    MacAddress address = MacAddress.parse(text);
    if (address.multicast() || address.value() == 0) {
      throw new IllegalArgumentException("no card has the address " + text);
    }
    return address;
  }

  private static long size(String text) {
    long size = MemorySize.parse(text);
    if (size < 1) {
      throw new IllegalArgumentException("a capture's limit is above 0");
    }
    return size;
  }
}
