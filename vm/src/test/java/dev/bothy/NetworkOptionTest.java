package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.net.MacAddress;
import dev.bothy.net.PortForward;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class NetworkOptionTest {
  @Test
  void readsAUserNetworkWithEverything() {
    NetworkOption option =
        NetworkOption.parse(
            "user,hostfwd=tcp:127.0.0.1:2222-:22,restrict=on,hostfwd=udp:[::1]:53-10.0.2.16:5353,"
                + "hostname=bothy,mac=52:54:00:00:00:01,capture=/tmp/x.pcap,capture-limit=16M");
    assertEquals(
        new NetworkOption.User(
            List.of(
                new PortForward(PortForward.Protocol.TCP, "127.0.0.1", 2222, "", 22),
                new PortForward(PortForward.Protocol.UDP, "::1", 53, "10.0.2.16", 5353)),
            true,
            Optional.of("bothy"),
            new NetworkOption.Card(
                Optional.of(MacAddress.parse("52:54:00:00:00:01")),
                Optional.of(Path.of("/tmp/x.pcap")),
                16 << 20)),
        option);
  }

  @Test
  void forwardsFromLoopbackUnlessToldOtherwise() {
    assertEquals("127.0.0.1", PortForward.parse("tcp::2222-:22").hostAddress());
    assertEquals("127.0.0.1", PortForward.parse(":2222-:22").hostAddress());
    assertEquals("0.0.0.0", PortForward.parse("tcp:0.0.0.0:2222-:22").hostAddress());
  }

  @Test
  void readsTheOthers() {
    assertEquals(new NetworkOption.None(), NetworkOption.parse("none"));
    assertTrue(
        NetworkOption.parse("tap,ifname=tap0") instanceof NetworkOption.Tap tap
            && tap.interfaceName().equals("tap0"));
    assertFalse(
        NetworkOption.parse("user") instanceof NetworkOption.User user && user.restricted());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "bridge",
        "none,restrict=on",
        "user,restrict=perhaps",
        "user,restrict=on,restrict=off",
        "user,hostfwd=2222",
        "user,hostfwd=tcp:127.0.0.1:2222",
        "user,hostfwd=sctp::1-:2",
        "user,hostfwd=tcp::0-:22",
        "user,hostfwd=tcp::70000-:22",
        "user,hostfwd=tcp:localhost.example:1-:22",
        "user,hostfwd=tcp:1.2.3.4.5:1-:22",
        "user,hostname=-x",
        "user,ifname=tap0",
        "user,mac=ff:ff:ff:ff:ff:ff",
        "user,capture=",
        "user,capture-limit=0",
        "user,",
        "tap",
        "tap,ifname=",
        "tap,ifname=abcdefghijklmnop",
        "tap,ifname=a/b"
      })
  void refusesTheRestInOneLine(String text) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> NetworkOption.parse(text)).getMessage();
    assertFalse(message.isBlank() || message.contains("\n"), message);
  }

  @Test
  void saysThatAnAddressIsNotTheHosts() {
    NetworkOption option = NetworkOption.parse("user,hostfwd=tcp:192.0.2.1:2222-:22");
    String message = assertThrows(IOException.class, () -> option.open(_ -> {})).getMessage();
    assertTrue(message.contains("192.0.2.1:2222") && message.contains("or address"), message);
    assertFalse(message.contains("\n"), message);
  }

  @Test
  void saysWhichPortIsInUse() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"))) {
      String port = Integer.toString(taken.getLocalPort());
      NetworkOption option = NetworkOption.parse("user,hostfwd=tcp::" + port + "-:22");
      String message = assertThrows(IOException.class, () -> option.open(_ -> {})).getMessage();
      assertTrue(message.contains(port) && !message.contains("\n"), message);
    }
  }

  @Test
  void saysWhatIsWrongWithACaptureFile(@TempDir Path folder) {
    NetworkOption option =
        NetworkOption.parse("user,capture=" + folder.resolve("none").resolve("x.pcap"));
    String message = assertThrows(IOException.class, () -> option.open(_ -> {})).getMessage();
    assertTrue(message.contains("x.pcap (there is no such folder)"), message);
  }
}
