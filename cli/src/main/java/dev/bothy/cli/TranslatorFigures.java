package dev.bothy.cli;

import dev.bothy.machine.MachineStatistics;
import dev.bothy.x86.translate.Event;
import dev.bothy.x86.translate.Leave;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/** What the counters of a machine say about its translator. Immutable. */
final class TranslatorFigures {
  private static final String INTERPRETED = "interpreted.";
  private static final int TOP = 10;

  /** How often the translator left instructions of one kind to the interpreter. */
  record Interpreted(String instruction, long count) {}

  private final Map<String, Long> counters;
  private final long instructions;

  TranslatorFigures(MachineStatistics statistics) {
    this.counters = Map.copyOf(statistics.exits());
    this.instructions = statistics.instructions();
  }

  /** True if the machine has a translator. */
  boolean present() {
    return counters.containsKey("blocksTranslated");
  }

  /** True if its code counted {@link Event}s, and all instructions. */
  boolean counted() {
    return counters.containsKey(Event.BLOCK.counter());
  }

  long count(String counter) {
    return counters.getOrDefault(counter, 0L);
  }

  long count(Event event) {
    return count(event.counter());
  }

  /** All instructions, where they are counted; else those alone that the interpreter executed. */
  long instructions() {
    return instructions;
  }

  /** Bytes of host code for a byte of guest code. */
  OptionalDouble expansion() {
    return ratio(count("hostBytesWritten"), count("guestBytesTranslated"));
  }

  /**
   * Instructions translated in a second.
   *
   * @param part "": over all; "cold": of the first blocks; "warm": of the later ones
   */
  OptionalDouble translatedPerSecond(String part) {
    String instructionCounter =
        part.isEmpty() ? "instructionsTranslated" : part + "InstructionsTranslated";
    String nanos = part.isEmpty() ? "translationNanos" : part + "TranslationNanos";
    OptionalDouble each = ratio(count(instructionCounter), count(nanos));
    return each.isPresent() ? OptionalDouble.of(each.getAsDouble() * 1e9) : each;
  }

  /** Memory accesses by generated code. */
  long accesses() {
    return count(Event.LOOK_UP) + count(Event.SHARED_LOOK_UP) + count(Event.STACK_LOOK_UP);
  }

  long tlbMisses() {
    return left(Leave.MISS_READ) + left(Leave.MISS_WRITE);
  }

  long jumpCacheMisses() {
    return left(Leave.JUMP) + left(Leave.INTERPRET_JUMP);
  }

  /** How often generated code was left for one of the reasons of {@link Leave}. */
  long left(int kind) {
    return count("left." + Leave.name(kind));
  }

  /** Accesses for which no look into the TLB's table was needed. */
  long sharedHits() {
    return count(Event.SHARED_LOOK_UP) + count(Event.STACK_LOOK_UP) - count(Event.STACK_MISS);
  }

  /** Instructions that generated code left to the interpreter. */
  long interpreted() {
    return counters.entrySet().stream()
        .filter(e -> e.getKey().startsWith(INTERPRETED))
        .mapToLong(Map.Entry::getValue)
        .sum();
  }

  /** The most frequent of them, the most frequent first. */
  List<Interpreted> mostInterpreted() {
    return counters.entrySet().stream()
        .filter(e -> e.getKey().startsWith(INTERPRETED))
        .map(e -> new Interpreted(e.getKey().substring(INTERPRETED.length()), e.getValue()))
        .sorted(
            Comparator.comparingLong(Interpreted::count)
                .reversed()
                .thenComparing(Interpreted::instruction))
        .limit(TOP)
        .toList();
  }

  static OptionalDouble ratio(long part, long whole) {
    return whole == 0 ? OptionalDouble.empty() : OptionalDouble.of((double) part / whole);
  }
}
