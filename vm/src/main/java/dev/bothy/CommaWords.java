package dev.bothy;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The words of an option's value, with commas between them: perhaps one that stands first, then
 * {@code KEY} and {@code KEY=VALUE} in any order. A comma in a word is written twice. Words are
 * used up as they are asked for. Not thread-safe.
 */
final class CommaWords {
  private final List<String> words;

  /** Takes {@code text} apart. */
  CommaWords(String text) {
    words = of(text);
  }

  /** At least one word, perhaps empty. */
  static List<String> of(String text) {
    return of(text, ',');
  }

  /** The same with another character between the words. */
  static List<String> of(String text, char separator) {
    List<String> words = new ArrayList<>();
    StringBuilder word = new StringBuilder();
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c != separator) {
        word.append(c);
      } else if (i + 1 < text.length() && text.charAt(i + 1) == separator) {
        word.append(c);
        i++;
      } else {
        words.add(word.toString());
        word.setLength(0);
      }
    }
    words.add(word.toString());
    return words;
  }

  /** The word in front, perhaps empty. To be asked for once, and before all others. */
  String first() {
    return words.removeFirst();
  }

  /** The values of a key, in their order; empty texts where it stands alone. */
  List<String> all(String key) {
    List<String> values = new ArrayList<>();
    words.removeIf(
        word -> {
          boolean found = word.equals(key) || word.startsWith(key + "=");
          if (found) {
            values.add(word.equals(key) ? "" : word.substring(key.length() + 1));
          }
          return found;
        });
    return values;
  }

  /** The value of a key that may be there once. */
  Optional<String> one(String key) {
    List<String> values = all(key);
    if (values.size() > 1) {
      throw new IllegalArgumentException(key + " is there more than once");
    }
    return values.stream().findFirst();
  }

  /** A key that stands alone or is on or off; off if it is not there. */
  boolean isOn(String key) {
    return one(key)
        .map(
            value ->
                switch (value) {
                  case "", "on" -> true;
                  case "off" -> false;
                  default ->
                      throw new IllegalArgumentException(
                          key + " is on or off, not \"" + value + "\"");
                })
        .orElse(false);
  }

  /** A file's name. */
  static Path path(String text) {
    try {
      if (!text.isEmpty()) {
        return Path.of(text);
      }
    } catch (InvalidPathException e) {
      // As for no name at all.
    }
    throw new IllegalArgumentException("\"" + text + "\" is no file's name");
  }

  /**
   * Refuses what nobody has asked for.
   *
   * @param what knows none of it
   * @param form what would be right
   */
  void finish(String what, String form) {
    if (!words.isEmpty()) {
      throw new IllegalArgumentException(
          what + " knows no \"" + words.getFirst() + "\": " + form + ", commas in names twice");
    }
  }
}
