package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A pseudo-terminal, made by python3, on which a command runs and somebody types. */
final class PseudoTerminal {
  /** How the command ended, and what the terminal showed. */
  record Ended(int status, String output) {}

  private PseudoTerminal() {}

  /**
   * Runs a command to its end and asserts that the terminal's settings are what they were before.
   * Skips the calling test where there is no python3.
   *
   * @param limit for all of it
   * @param steps what to expect, what to do then (type something, with Python's escapes; or what
   *     else the script knows), and so on
   */
  static Ended run(Duration limit, List<String> command, String... steps) throws Exception {
    assumeTrue(hasPython(), "this host has no python3 to make a pseudo-terminal");
    List<String> all =
        new ArrayList<>(List.of("python3", script().toString(), String.valueOf(limit.toSeconds())));
    all.addAll(List.of(steps));
    all.add("--");
    all.addAll(command);
    Process process = new ProcessBuilder(all).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String output =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
    assertEquals(0, process.waitFor(), output);
    String[] parts = output.split("\n", 3);
    assertEquals("restored yes", parts[1], output);
    return new Ended(Integer.parseInt(parts[0].substring("status ".length())), parts[2]);
  }

  private static boolean hasPython() throws InterruptedException {
    try {
      return new ProcessBuilder("python3", "-c", "import termios").start().waitFor() == 0;
    } catch (IOException e) {
      return false;
    }
  }

  private static Path script() throws URISyntaxException {
    return Path.of(PseudoTerminal.class.getResource("/pty_session.py").toURI());
  }
}
