package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.ConsoleSocket.Place;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConsoleSocketTest {
  @Test
  void aPlaceIsASocketAndPerhapsAName() {
    assertEquals(new Place(Path.of("/run/tty"), ""), Place.parse("socket=/run/tty"));
    assertEquals(
        new Place(Path.of("/run/agent"), "org.agent-1"),
        Place.parse("socket=/run/agent,name=org.agent-1"));
    assertEquals(new Place(Path.of("a,b=c"), "d"), Place.parse("socket=a,,b=c,name=d"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "''|wants its socket",
        "/run/tty|wants its socket",
        "socket=|wants its socket",
        "socket=,name=a|wants its socket",
        "name=a,socket=b|wants its socket",
        "socket=a,name=|no name of a port",
        "socket=a,name=b c|no name of a port",
        "socket=a,nmae=b|knows no \"nmae=b\"",
        "socket=a,|knows no \"\"",
      })
  void whatIsNoPlaceIsSaidInOneLine(String text, String mentions) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Place.parse(text)).getMessage();
    assertTrue(message.contains(mentions), message);
    assertEquals(1, message.lines().count(), message);
  }
}
