package dev.bothy.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The options of a benchmark, {@code --name value} or {@code --flag}, and the words behind them.
 * Wrong usage ends the process with status 2.
 */
final class Options {
  private final Map<String, String> values = new HashMap<>();
  private final List<String> words = new ArrayList<>();

  Options(String[] arguments, String usage, Set<String> names) {
    this(arguments, usage, names, Set.of());
  }

  Options(String[] arguments, String usage, Set<String> names, Set<String> flags) {
    for (int i = 0; i < arguments.length; i++) {
      String argument = arguments[i];
      if (!argument.startsWith("--")) {
        words.add(argument);
      } else if (flags.contains(argument.substring(2))) {
        values.put(argument.substring(2), "");
      } else if (names.contains(argument.substring(2)) && i + 1 < arguments.length) {
        values.put(argument.substring(2), arguments[++i]);
      } else {
        System.err.println("usage: " + usage);
        System.exit(2);
      }
    }
  }

  List<String> words() {
    return words;
  }

  boolean flag(String name) {
    return values.containsKey(name);
  }

  String text(String name, String preset) {
    return values.getOrDefault(name, preset);
  }

  int number(String name, int preset) {
    String value = values.get(name);
    try {
      return value == null ? preset : Integer.parseInt(value);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("--" + name + " wants a number, not " + value, e);
    }
  }

  /** A file that must be readable. */
  Path file(String name, Path preset) {
    Path file = values.containsKey(name) ? Path.of(values.get(name)) : preset;
    if (!Files.isReadable(file)) {
      throw new IllegalArgumentException("cannot read " + file);
    }
    return file;
  }
}
