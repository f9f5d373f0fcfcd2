package dev.bothy.cli;

import java.util.List;
import java.util.Optional;

/** An option of a command: what the help says of it, and what it was given. */
final class Option {
  /** Whether values belong to it. */
  enum Takes {
    NOTHING,
    /** One or none. */
    PERHAPS_VALUE,
    VALUE,
    /** One each time that it is given. */
    VALUES
  }

  private final String name;
  private final String label;
  private final String description;
  private final Takes takes;
  private final org.apache.commons.cli.Option known;
  private List<String> values = List.of();

  /**
   * @param letter by which it may be called, too; null for none
   * @param name with its dashes
   * @param label what the help calls its value
   */
  Option(String letter, String name, String label, String description, Takes takes) {
    this.name = name;
    this.label = label;
    this.description = description;
    this.takes = takes;
    known =
        org.apache.commons.cli.Option.builder(letter)
            .longOpt(name.substring(2))
            .hasArg(takes != Takes.NOTHING)
            .optionalArg(takes == Takes.PERHAPS_VALUE)
            .get();
  }

  String name() {
    return name;
  }

  String description() {
    return description;
  }

  /** How it is written, in help. */
  String form() {
    return switch (takes) {
      case NOTHING -> name;
      case PERHAPS_VALUE -> name + "[=" + label + "]";
      case VALUE, VALUES -> name + "=" + label;
    };
  }

  /** The same option to the library that reads command lines. */
  org.apache.commons.cli.Option known() {
    return known;
  }

  /**
   * What the command line had of it: a value for each time, empty where there was none.
   *
   * @throws WrongUsage if it stands there more often than it may
   */
  void take(List<String> found) {
    if (found.size() > 1 && takes != Takes.VALUES && takes != Takes.NOTHING) {
      throw new WrongUsage(name + " is given twice");
    }
    values = found;
  }

  boolean given() {
    return !values.isEmpty();
  }

  /** Its value, if it was given; empty if it was given without. */
  Optional<String> value() {
    return values.isEmpty() ? Optional.empty() : Optional.of(values.getFirst());
  }

  /** All its values, in their order. */
  List<String> values() {
    return values;
  }
}
