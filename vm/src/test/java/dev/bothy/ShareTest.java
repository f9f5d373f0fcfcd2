package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ShareTest {
  @TempDir Path folder;

  @Test
  void aFolderAloneIsForReadingAndWriting() {
    assertEquals(new Share(Path.of("/srv/work"), "", false), Share.parse("/srv/work"));
    assertEquals(new Share(Path.of("."), "", false), Share.parse("."));
  }

  @Test
  void everythingCanBeSaid() {
    assertEquals(
        new Share(Path.of("/srv"), "src-1.0_a", true), Share.parse("/srv:src-1.0_a,readonly"));
    assertTrue(Share.parse("a,readonly=on").readOnly());
    assertFalse(Share.parse("a,readonly=off").readOnly());
    assertEquals("x".repeat(36), Share.parse("a:" + "x".repeat(36)).tag());
  }

  @Test
  void commasAndColonsInNamesAreWrittenTwice() {
    assertEquals(new Share(Path.of("a:b,c"), "d", true), Share.parse("a::b,,c:d,readonly"));
    assertEquals(new Share(Path.of("a:"), "", false), Share.parse("a::"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "''|wants a folder",
        ":tag|wants a folder",
        ",readonly|wants a folder",
        "a:|tag is missing",
        "a:b:c|colon in a name twice",
        "a:b c|is no tag",
        "a:b/c|is no tag",
        "a:..|is no tag",
        "a:ü|is no tag",
        "a:1234567890123456789012345678901234567|too long",
        "a,rw|knows no \"rw\"",
        "a,readonly=yes|on or off",
      })
  void whatIsNoShareIsSaidInOneLine(String text, String mentions) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Share.parse(text)).getMessage();
    assertTrue(message.contains(mentions), message);
    assertEquals(1, message.lines().count(), message);
  }

  @Test
  void aNameThatTheHostCannotHaveIsSaidInOneLine() {
    String message =
        assertThrows(IllegalArgumentException.class, () -> Share.parse("a\0b")).getMessage();
    assertTrue(message.contains("no file's name"), message);
  }

  @Test
  void tagsAreUnique() {
    Vm.Builder builder = Vm.builder().share(Share.parse("a")).share(Share.parse("b:share"));
    String message =
        assertThrows(IllegalArgumentException.class, () -> builder.share(Share.parse("c:share")))
            .getMessage();
    assertTrue(message.contains("\"share\" is given twice"), message);
  }

  @Test
  void whatCannotBeSharedIsSaidInOneLine() throws Exception {
    Path file = Files.createFile(folder.resolve("file"));
    for (Path path : new Path[] {folder.resolve("missing"), file}) {
      Vm.Builder builder = Vm.builder().kernel(file).share(new Share(path, "", false));
      String message = assertThrows(VmException.class, builder::build).getMessage();
      assertTrue(message.contains(path.toString()), message);
      assertEquals(1, message.lines().count(), message);
    }
  }
}
