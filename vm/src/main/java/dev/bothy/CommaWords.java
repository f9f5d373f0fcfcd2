package dev.bothy;

import java.util.ArrayList;
import java.util.List;

/** The words of an option's value, with commas between them; a comma in a word is written twice. */
final class CommaWords {
  private CommaWords() {}

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
}
