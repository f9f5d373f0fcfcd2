package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class KeyFilterTest {
  private final List<String> heard = new ArrayList<>();
  private final StringBuilder typed = new StringBuilder();
  private final KeyFilter keys =
      new KeyFilter(
          new KeyFilter.Commands() {
            @Override
            public void quit() {
              heard.add("quit");
            }

            @Override
            public void monitor() {
              heard.add("monitor");
              typed.append('|');
            }

            @Override
            public void typed(byte[] keys, int from, int length) {
              typed.append(new String(keys, from, length, StandardCharsets.ISO_8859_1));
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

  private String type(String text) throws InterruptedException {
    byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
    typed.setLength(0);
    keys.filter(bytes, bytes.length);
    return typed.toString();
  }

  @Test
  void prefixAndCPartsWhatIsForTheMonitorFromWhatIsForTheGuest() throws Exception {
    assertEquals("ab|help\r|\u0001c", type("a\u0001qb\u0001chelp\r\u0001C\u0001\u0001c"));
    assertEquals(List.of("monitor", "monitor"), heard);
  }

  @Test
  void ordinaryKeysGoToTheGuest() throws InterruptedException {
    String all = "ls\r\u0003\u0004\u001b[A\u00ff\0";
    assertEquals(all, type(all));
    assertEquals(List.of(), heard);
  }

  @Test
  void prefixAndRResumes() throws InterruptedException {
    assertEquals("ab", type("a\u0001r\u0001Rb"));
    assertEquals(List.of("resume", "resume"), heard);
  }

  @Test
  void prefixAndXQuits() throws InterruptedException {
    assertEquals("ab", type("a\u0001xb"));
    assertEquals("", type("\u0001X"));
    assertEquals(List.of("quit", "quit"), heard);
  }

  @Test
  void prefixAndHHelps() throws InterruptedException {
    assertEquals("", type("\u0001h\u0001H"));
    assertEquals(List.of("help", "help"), heard);
  }

  @Test
  void prefixTwiceSendsItOnce() throws InterruptedException {
    assertEquals("\u0001x", type("\u0001\u0001x"));
    assertEquals(List.of(), heard);
  }

  @Test
  void prefixIsRememberedBetweenReads() throws InterruptedException {
    assertEquals("", type("\u0001"));
    assertEquals("", type("x"));
    assertEquals(List.of("quit"), heard);
  }

  @Test
  void prefixAndAnyOtherKeyIsDropped() throws InterruptedException {
    assertEquals("c", type("\u0001bc"));
    assertEquals(List.of(), heard);
  }
}
