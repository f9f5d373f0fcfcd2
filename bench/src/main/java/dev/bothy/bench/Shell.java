package dev.bothy.bench;

import java.util.List;

/** Commands as one would type them. */
final class Shell {
  private Shell() {}

  static String line(List<String> command) {
    StringBuilder line = new StringBuilder();
    for (String word : command) {
      line.append(line.isEmpty() ? "" : " ");
      line.append(word.matches("[A-Za-z0-9_./:=,-]+") ? word : "'" + word + "'");
    }
    return line.toString();
  }
}
