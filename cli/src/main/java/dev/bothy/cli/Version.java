package dev.bothy.cli;

import java.io.IOException;
import java.io.InputStream;
import java.util.Properties;

/** What {@code --version} says. */
final class Version {
  private Version() {}

  static String text() throws IOException {
    Properties properties = new Properties();
    try (InputStream in = Version.class.getResourceAsStream("version.properties")) {
      properties.load(in);
    }
    return "bothy %s%nJava %s (%s)%n"
        .formatted(
            properties.getProperty("version"),
            Runtime.version(),
            System.getProperty("java.vendor"));
  }
}
