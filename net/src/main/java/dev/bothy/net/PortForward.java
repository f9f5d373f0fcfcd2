package dev.bothy.net;

import dev.bothy.net.user.IpAddress;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A port of the host that leads to the guest.
 *
 * @param hostAddress in digits; 127.0.0.1 unless somebody asked for another one
 * @param hostPort from 1 to 65535
 * @param guestAddress in digits; empty for what DHCP gave
 * @param guestPort from 1 to 65535
 */
public record PortForward(
    Protocol protocol, String hostAddress, int hostPort, String guestAddress, int guestPort) {
  /** What is forwarded. */
  public enum Protocol {
    TCP,
    UDP
  }

  private static final String LOOPBACK = "127.0.0.1";
  private static final String ADDRESS = "(\\[[^\\]]*\\]|[^:\\[\\]]*)";
  private static final Pattern FORM =
      Pattern.compile("(?:(tcp|udp):)?" + ADDRESS + ":(\\d{1,5})-" + ADDRESS + ":(\\d{1,5})");

  /**
   * Reads {@code [tcp|udp]:[HOSTADDRESS]:PORT-[GUESTADDRESS]:PORT}; IPv6 addresses in brackets.
   *
   * @throws IllegalArgumentException in one line
   */
  public static PortForward parse(String text) {
    Matcher matcher = FORM.matcher(text);
    if (!matcher.matches()) {
      throw new IllegalArgumentException(
          "'" + text + "' is no forward: tcp:127.0.0.1:2222-:22 is one");
    }
    String protocol = matcher.group(1) == null ? "tcp" : matcher.group(1);
    String host = address(matcher.group(2));
    String guest = address(matcher.group(4));
    return new PortForward(
        Protocol.valueOf(protocol.toUpperCase(Locale.ROOT)),
        host.isEmpty() ? LOOPBACK : host,
        port(matcher.group(3)),
        guest,
        port(matcher.group(5)));
  }

  private static String address(String text) {
    String digits = text.startsWith("[") ? text.substring(1, text.length() - 1) : text;
    if (!digits.isEmpty()) {
      IpAddress.parse(digits);
    }
    return digits;
  }

  private static int port(String text) {
    int port = Integer.parseInt(text);
    if (port < 1 || port > 65535) {
      throw new IllegalArgumentException("'" + text + "' is no port: 1 to 65535 are");
    }
    return port;
  }

  /** The host's side in words. */
  String describeHost() {
    String address = hostAddress.contains(":") ? "[" + hostAddress + "]" : hostAddress;
    return "the host's " + protocol + " port " + address + ":" + hostPort;
  }
}
