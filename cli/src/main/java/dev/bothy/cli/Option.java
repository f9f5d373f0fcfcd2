package dev.bothy.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** An option of a command: what the help says of it, and what it was given. */
final class Option {
  /** Whether values belong to it. */
  enum Takes {
    NOTHING,
    /** One, behind an equals sign; or none. */
    PERHAPS_VALUE,
    VALUE,
    /** One each time that it is given. */
    VALUES
  }

  private final String name;
  private final String label;
  private final String description;
  private final Takes takes;
  private final List<String> values = new ArrayList<>();
  private boolean given;

  /**
   * @param name with its dashes
   * @param label what the help calls its value
   */
  Option(String name, String label, String description, Takes takes) {
    this.name = name;
    this.label = label;
    this.description = description;
    this.takes = takes;
  }

  String name() {
    return name;
  }

  String description() {
    return description;
  }

  Takes takes() {
    return takes;
  }

  /** How it is written, in help. */
  String form() {
    return switch (takes) {
      case NOTHING -> name;
      case PERHAPS_VALUE -> name + "[=" + label + "]";
      case VALUE, VALUES -> name + "=" + label;
    };
  }

  /**
   * It stands on the command line.
   *
   * @throws WrongUsage if it stands there a second time and may not
   */
  void give() {
    if (given && takes != Takes.VALUES && takes != Takes.NOTHING) {
      throw new WrongUsage(name + " is given twice");
    }
    given = true;
  }

  void add(String value) {
    values.add(value);
  }

  boolean given() {
    return given;
  }

  /** Its value, if it was given one. */
  Optional<String> value() {
    return values.isEmpty() ? Optional.empty() : Optional.of(values.getFirst());
  }

  /** All its values, in their order. */
  List<String> values() {
    return List.copyOf(values);
  }
}
