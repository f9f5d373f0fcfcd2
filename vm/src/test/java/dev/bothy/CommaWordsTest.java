package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CommaWordsTest {
  @Test
  void aCommaInAWordIsWrittenTwice() {
    assertEquals(List.of("a,b", "c"), CommaWords.of("a,,b,c"));
    assertEquals(List.of("a,", "b"), CommaWords.of("a,,,b"));
    assertEquals(List.of("", ""), CommaWords.of(","));
    assertEquals(List.of(","), CommaWords.of(",,"));
    assertEquals(List.of(""), CommaWords.of(""));
  }

  @Test
  void theRuleIsTheSameInEveryOptionWithAFile() {
    Path file = Path.of("/tmp/a,b=c");
    assertEquals(file, Disk.parse("/tmp/a,,b=c,readonly").file());
    assertEquals(file, Vsock.parse("3,uds=/tmp/a,,b=c").path());
    assertEquals(file, ConsoleSocket.Place.parse("socket=/tmp/a,,b=c").socket());
    assertTrue(
        NetworkOption.parse("user,capture=/tmp/a,,b=c,restrict=on")
                instanceof NetworkOption.User user
            && user.card().capture().equals(Optional.of(file)));
  }

  @Test
  void keysAreUsedUpInAnyOrder() {
    CommaWords words = new CommaWords("kind,b=2,a,c=off,b=3,d=x=y");
    assertEquals("kind", words.first());
    assertTrue(words.isOn("a"));
    assertEquals(List.of("2", "3"), words.all("b"));
    assertEquals(Optional.of("x=y"), words.one("d"));
    assertEquals(Optional.empty(), words.one("b"));
    assertEquals(false, words.isOn("c"));
    assertEquals(false, words.isOn("e"));
    words.finish("a test", "KIND");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"3,uds=a,uds=b", "3,uds=a,b", "3,uds=", "3", "x,uds=a", "", "uds=a", "3,uds=a\0"})
  void whatIsNoSocketDeviceIsSaidInOneLine(String text) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Vsock.parse(text)).getMessage();
    assertEquals(1, message.lines().count(), message);
  }
}
