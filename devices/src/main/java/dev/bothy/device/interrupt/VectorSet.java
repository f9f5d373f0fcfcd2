package dev.bothy.device.interrupt;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.Arrays;

/** One bit for each of 256 vectors, as the IRR, ISR and TMR hold them. Guarded by its owner. */
final class VectorSet {
  private final int[] words = new int[8];

  /** Vectors {@code 32 * index} and on. */
  int word(int index) {
    return words[index];
  }

  void setWord(int index, int word) {
    words[index] = word;
  }

  boolean contains(int vector) {
    return (words[vector >>> 5] >>> vector & 1) != 0;
  }

  void add(int vector) {
    words[vector >>> 5] |= 1 << vector;
  }

  void remove(int vector) {
    words[vector >>> 5] &= ~(1 << vector);
  }

  void clear() {
    Arrays.fill(words, 0);
  }

  /** The highest vector, or -1. */
  int highest() {
    for (int i = words.length - 1; i >= 0; i--) {
      if (words[i] != 0) {
        return i * 32 + 31 - Integer.numberOfLeadingZeros(words[i]);
      }
    }
    return -1;
  }

  void save(StateWriter out) {
    for (int word : words) {
      out.putInt(word);
    }
  }

  void load(StateReader in) throws StateException {
    for (int i = 0; i < words.length; i++) {
      words[i] = in.getInt();
    }
  }
}
