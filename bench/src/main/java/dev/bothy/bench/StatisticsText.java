package dev.bothy.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The file of {@code ./bothy run --stats}, as far as benchmarks ask. */
record StatisticsText(String json) {
  /** Empty if there is none: the process was killed. */
  static StatisticsText read(Path file) throws IOException {
    return new StatisticsText(Files.exists(file) ? Files.readString(file) : "");
  }

  /** The first number of that name, or 0. */
  double number(String name) {
    Matcher number =
        Pattern.compile("\"" + Pattern.quote(name) + "\" : (-?[0-9.]+(E-?[0-9]+)?)").matcher(json);
    return number.find() ? Double.parseDouble(number.group(1)) : 0;
  }
}
