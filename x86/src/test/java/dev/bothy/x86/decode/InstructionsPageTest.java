package dev.bothy.x86.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

final class InstructionsPageTest {
  /** Stale? Run again with {@code -Dbothy.regenerate=true}. */
  @Test
  void pageInDocsIsThatOfTheTable() throws IOException {
    Path page = Path.of(System.getProperty("basedir", "."), "..", "docs", "INSTRUCTIONS.md");
    if (Boolean.getBoolean("bothy.regenerate")) {
      Files.createDirectories(page.getParent());
      Files.writeString(page, InstructionsPage.text());
    }
    assertEquals(
        InstructionsPage.text(),
        Files.readString(page),
        "docs/INSTRUCTIONS.md is stale: run the tests of x86 with -Dbothy.regenerate=true");
  }
}
