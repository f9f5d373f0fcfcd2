package dev.bothy.net;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** An option's parts between its commas: a kind, and keys with values. */
final class OptionWords {
  private final String kind;
  private final List<String> rest;

  OptionWords(String[] words) {
    kind = words[0];
    rest = new ArrayList<>(List.of(words).subList(1, words.length));
  }

  String kind() {
    return kind;
  }

  /** The values of a key, which are then used up. */
  List<String> all(String key) {
    List<String> values = new ArrayList<>();
    rest.removeIf(
        word -> {
          boolean found = word.equals(key) || word.startsWith(key + "=");
          if (found) {
            values.add(word.equals(key) ? "" : word.substring(key.length() + 1));
          }
          return found;
        });
    return values;
  }

  Optional<String> one(String key) {
    List<String> values = all(key);
    if (values.size() > 1) {
      throw new IllegalArgumentException(key + " is there more than once");
    }
    return values.stream().findFirst();
  }

  void finish() {
    if (!rest.isEmpty()) {
      throw new IllegalArgumentException(
          "a network of kind " + kind + " knows no '" + rest.getFirst() + "'");
    }
  }
}
