package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.debug.RegisterLayout;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GdbOptionTest {
  private static GdbOption port(int port) {
    return new GdbOption(Optional.empty(), port, false, Optional.empty());
  }

  @Test
  void takesPortsOfTheLoopbackAddressAndPaths() {
    assertEquals(port(1234), GdbOption.parse("1234"));
    assertEquals(port(1234), GdbOption.parse(":1234"));
    assertEquals(port(0), GdbOption.parse("127.0.0.1:0"));
    assertEquals(port(99), GdbOption.parse("localhost:99"));
    assertEquals(
        new GdbOption(Optional.of(Path.of("/run/a,b")), 0, true, Optional.of(RegisterLayout.I8086)),
        GdbOption.parse("/run/a,,b,wait,arch=i8086"));
    assertEquals(Optional.of(Path.of("./1234")), GdbOption.parse("./1234").path());
    assertEquals(Optional.empty(), GdbOption.parse("1,arch=auto").layout());
  }

  @ParameterizedTest
  @ValueSource(strings = {"0.0.0.0:1234", "192.168.1.1:1", "[::]:1234", "*:1234", "example.org:1"})
  void listensNowhereElseAndSaysSo(String text) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> GdbOption.parse(text)).getMessage();
    assertTrue(message.contains("loopback address alone"), message);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "65536", "123456", "1,arch=vax", "1,now", "1,wait=maybe"})
  void refusesWhatMakesNoSense(String text) {
    assertThrows(IllegalArgumentException.class, () -> GdbOption.parse(text));
  }
}
