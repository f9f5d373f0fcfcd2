package dev.bothy;

import dev.bothy.core.Engine;
import dev.bothy.core.Trace;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What is to be seen of what a machine does, and where it is written.
 *
 * @param wanted kinds, and of each the numbers that count; at least one of each
 * @param file new or overwritten; without one, lines go to who is given to {@link Vm.Builder#trace}
 * @param limit lines that are written, after which one says that there were more; without one it is
 *     {@link #USUAL_LIMIT}
 * @param last instead of that: only so many lines are kept, and written when the machine is closed
 */
public record TraceOption(
    Map<Trace.Kind, List<Trace.Range>> wanted,
    Optional<Path> file,
    Optional<Long> limit,
    Optional<Long> last) {
  /** How {@link #parse} wants it. */
  public static final String FORM =
      "KIND[=FIRST[-LAST]][,...][,file=PATH][,limit=LINES|,last=LINES], where KIND is"
          + " instructions, interrupts, exceptions, msrs, ports, mmio or virtio";

  /** Lines, of some hundred bytes each. */
  public static final long USUAL_LIMIT = 1_000_000;

  /** More lines than that are not kept in memory. */
  public static final long MOST_LAST = 1_000_000;

  /**
   * @throws IllegalArgumentException in one line, if that cannot be
   */
  public TraceOption {
    if (limit.isPresent() && last.isPresent()) {
      throw new IllegalArgumentException("limit and last exclude each other");
    }
    if (last.orElse(0L) > MOST_LAST) {
      throw new IllegalArgumentException("at most the last " + MOST_LAST + " lines can be kept");
    }
    Map<Trace.Kind, List<Trace.Range>> copy = new EnumMap<>(Trace.Kind.class);
    wanted.forEach((kind, ranges) -> copy.put(kind, List.copyOf(ranges)));
    wanted = Map.copyOf(copy);
  }

  /**
   * Reads {@link #FORM}; a kind may be there several times, and a comma in a path is written twice.
   *
   * @throws IllegalArgumentException in one line, if it is something else
   */
  public static TraceOption parse(String text) {
    CommaWords words = new CommaWords(text);
    Map<Trace.Kind, List<Trace.Range>> wanted = new EnumMap<>(Trace.Kind.class);
    for (Trace.Kind kind : Trace.Kind.values()) {
      List<String> ranges = words.all(kind.word());
      if (!ranges.isEmpty()) {
        wanted.put(kind, ranges.stream().map(TraceOption::range).toList());
      }
    }
    Optional<Path> file = words.one("file").map(CommaWords::path);
    Optional<Long> limit = lines(words, "limit");
    Optional<Long> last = lines(words, "last");
    words.finish("trace", FORM);
    return new TraceOption(wanted, file, limit, last);
  }

  private static Optional<Long> lines(CommaWords words, String key) {
    Optional<String> value = words.one(key);
    if (value.isEmpty()) {
      return Optional.empty();
    }
    if (!value.get().matches("[1-9][0-9]{0,17}")) {
      throw new IllegalArgumentException(
          key + " is a number of lines, not \"" + value.get() + "\"");
    }
    return Optional.of(Long.parseLong(value.get()));
  }

  private static Trace.Range range(String text) {
    if (text.isEmpty()) {
      return Trace.Range.ALL;
    }
    String[] ends = text.split("-", 2);
    Trace.Range range = new Trace.Range(number(ends[0], text), number(ends[ends.length - 1], text));
    if (Long.compareUnsigned(range.first(), range.last()) > 0) {
      throw new IllegalArgumentException("\"" + text + "\" ends before it begins");
    }
    return range;
  }

  private static long number(String text, String whole) {
    try {
      return text.startsWith("0x")
          ? Long.parseUnsignedLong(text.substring(2), 16)
          : Long.parseUnsignedLong(text);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "\"" + whole + "\" is no number and no range: 14, 0x3f8 or 0x3f8-0x3ff, for example", e);
    }
  }

  /** True if only engines in software show all of it. */
  boolean wantsSoftware() {
    return Engine.PROCESSOR_KINDS.stream().anyMatch(wanted::containsKey);
  }

  /**
   * What this and {@code other} want.
   *
   * @throws IllegalArgumentException if both say where to write, or how much
   */
  public TraceOption and(TraceOption other) {
    Map<Trace.Kind, List<Trace.Range>> all = new EnumMap<>(Trace.Kind.class);
    wanted.forEach((kind, ranges) -> all.put(kind, new ArrayList<>(ranges)));
    other.wanted.forEach(
        (kind, ranges) -> all.computeIfAbsent(kind, _ -> new ArrayList<>()).addAll(ranges));
    return new TraceOption(
        all,
        one("file", file, other.file),
        one("limit", limit, other.limit),
        one("last", last, other.last));
  }

  private static <T> Optional<T> one(String what, Optional<T> first, Optional<T> second) {
    if (first.isPresent() && second.isPresent()) {
      throw new IllegalArgumentException(what + " is there more than once");
    }
    return first.or(() -> second);
  }
}
