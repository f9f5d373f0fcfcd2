package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class KeyFilterTest {
  private final List<String> heard = new ArrayList<>();
  private final KeyFilter keys =
      new KeyFilter(
          new KeyFilter.Commands() {
            @Override
            public void quit() {
              heard.add("quit");
            }

            @Override
            public void resume() {
              heard.add("resume");
            }

            @Override
            public void help() {
              heard.add("help");
            }
          });

  private String type(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
    return new String(bytes, 0, keys.filter(bytes, bytes.length), StandardCharsets.ISO_8859_1);
  }

  @Test
  void ordinaryKeysGoToTheGuest() {
    String all = "ls\r\u0003\u0004\u001b[A\u00ff\0";
    assertEquals(all, type(all));
    assertEquals(List.of(), heard);
  }

  @Test
  void prefixAndRResumes() {
    assertEquals("ab", type("a\u0001r\u0001Rb"));
    assertEquals(List.of("resume", "resume"), heard);
  }

  @Test
  void prefixAndXQuits() {
    assertEquals("ab", type("a\u0001xb"));
    assertEquals("", type("\u0001X"));
    assertEquals(List.of("quit", "quit"), heard);
  }

  @Test
  void prefixAndHHelps() {
    assertEquals("", type("\u0001h\u0001H"));
    assertEquals(List.of("help", "help"), heard);
  }

  @Test
  void prefixTwiceSendsItOnce() {
    assertEquals("\u0001x", type("\u0001\u0001x"));
    assertEquals(List.of(), heard);
  }

  @Test
  void prefixIsRememberedBetweenReads() {
    assertEquals("", type("\u0001"));
    assertEquals("", type("x"));
    assertEquals(List.of("quit"), heard);
  }

  @Test
  void prefixAndAnyOtherKeyIsDropped() {
    assertEquals("c", type("\u0001bc"));
    assertEquals(List.of(), heard);
  }
}
