package dev.bothy.x86.translate;

import java.util.NavigableMap;
import java.util.TreeMap;

/** Names for the code that blocks share, for people. */
final class StubNames {
  private StubNames() {}

  static NavigableMap<Long, String> of(Stubs stubs) {
    NavigableMap<Long, String> names = new TreeMap<>();
    names.put(stubs.enter, "enter");
    for (int kind = 0; kind < Leave.KINDS; kind++) {
      names.put(stubs.leave[kind], "leave: " + Leave.name(kind));
    }
    names.put(stubs.loadVectors, "load xmm");
    names.put(stubs.loadUppers, "load ymm");
    names.put(stubs.loadX87, "load x87");
    for (long resume : stubs.resume) {
      if (resume != 0) {
        names.put(resume, "resume");
      }
    }
    return names;
  }
}
