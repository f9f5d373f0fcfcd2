package dev.bothy.x86.translate;

import dev.bothy.assemble.Assembler;

/**
 * What the scratch registers are known to hold where the code stands: it need not be loaded again.
 * Whatever code follows makes it unknown, unless that says otherwise.
 */
final class Scratch {
  private static final int NOWHERE = -1;

  private final Assembler a;

  /** The span whose host address {@link Home#A} holds at {@link #spanAt}: its word. */
  private int span;

  private int spanAt;

  /** The guest register without a home that {@link Home#V} holds at {@link #registerAt}. */
  private int register;

  private int registerAt;

  Scratch(Assembler a) {
    this.a = a;
  }

  /** Several ways lead here: nothing is known. */
  void forget() {
    spanAt = NOWHERE;
    registerAt = NOWHERE;
  }

  /** A is the host address of the span with that word: keeps it there. */
  void storeSpan(int word) {
    a.store(8, Home.BASE, word, Home.A);
  }

  /** The host address of the span with that word into A. Keeps flags. */
  void loadSpan(int word) {
    if (span != word || spanAt != a.size()) {
      boolean keepsV = registerAt == a.size();
      a.load(8, Home.A, Home.BASE, word);
      if (keepsV) {
        registerAt = a.size();
      }
    }
  }

  /** The code up to here has left the span's host address in A. */
  void holdsSpan(int word) {
    span = word;
    spanAt = a.size();
  }

  /** Loads guest register {@code gpr}, which has no home, into V, unless it is there. */
  void load(int gpr) {
    if (!holds(gpr)) {
      a.load(8, Home.V, Home.BASE, Home.displacement(gpr));
    }
  }

  /** True if V is known to hold guest register {@code gpr}. */
  boolean holds(int gpr) {
    return register == gpr && registerAt == a.size();
  }

  /** Stores V to guest register {@code gpr}, which has no home. */
  void store(int gpr) {
    a.store(8, Home.BASE, Home.displacement(gpr), Home.V);
    register = gpr;
    registerAt = a.size();
  }
}
