package dev.bothy.net;

import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * What a machine's network is to be, as one word of a command line says it: {@code none}, {@code
 * user[,hostfwd=FORWARD]...[,restrict=on|off][,hostname=NAME]} or {@code tap,ifname=NAME}; the last
 * two also with {@code mac=ADDRESS}, {@code capture=FILE} and {@code capture-limit=SIZE}.
 */
public sealed interface NetworkOption {
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
   * Reads the option.
   *
   * @throws IllegalArgumentException in one line, if it is something else
   */
  static NetworkOption parse(String text) {
    OptionWords words = new OptionWords(text.split(",", -1));
    NetworkOption option =
        switch (words.kind()) {
          case "none" -> new None();
          case "user" -> {
            List<PortForward> forwards =
                words.all("hostfwd").stream().map(PortForward::parse).toList();
            boolean restricted = words.one("restrict").map(NetworkOption::isOn).orElse(false);
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
                  "'" + words.kind() + "' is no network: user, tap and none are");
        };
    words.finish();
    return option;
  }

  private static Card card(OptionWords words) {
    return new Card(
        words.one("mac").map(NetworkOption::cardAddress),
        words.one("capture").map(NetworkOption::path),
        words.one("capture-limit").map(NetworkOption::size).orElse(CAPTURE_LIMIT));
  }

  private static boolean isOn(String text) {
    return switch (text) {
      case "on", "" -> true;
      case "off" -> false;
      default -> throw new IllegalArgumentException("restrict is on or off, not '" + text + "'");
    };
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

  private static Path path(String text) {
    try {
      if (!text.isEmpty()) {
        return Path.of(text);
      }
    } catch (InvalidPathException e) {
      // As for no name at all.
    }
    throw new IllegalArgumentException("capture wants a file: capture=net.pcap");
  }

  private static long size(String text) {
    String upper = text.toUpperCase(Locale.ROOT);
    if (!upper.matches("[1-9]\\d{0,8}[KMG]?")) {
      throw new IllegalArgumentException("'" + text + "' is no size: 512M is one");
    }
    int shift = 10 * (1 + "KMG".indexOf(upper.charAt(upper.length() - 1)));
    return Long.parseLong(upper.replaceAll("[KMG]", "")) << shift;
  }
}
