package dev.bothy.cli;

import java.util.ArrayList;
import java.util.List;

/**
 * What a command understands: its options and operands, in the order in which its help tells of
 * them. Written out by hand rather than found by reflection, which would take a tenth of the time
 * in which a guest boots.
 */
final class Syntax {
  private static final int WIDTH = 80;

  /** Where descriptions of options start. */
  private static final int COLUMN = 29;

  /** A part of the help: an option, or text between options. */
  private sealed interface Part {}

  private record OptionPart(Option option) implements Part {}

  private record TextPart(String text) implements Part {}

  private final String description;
  private final List<Part> parts = new ArrayList<>();
  private final List<Option> options = new ArrayList<>();
  private String operands = "";
  private int leastOperands;
  private int mostOperands;

  private final Option help;
  private final Option version;

  /** {@code description}: what the command does, in sentences. */
  Syntax(String description) {
    this.description = description;
    help = new Option("--help", "", "Show this help and exit.", Option.Takes.NOTHING);
    version = new Option("--version", "", "Show the version and exit.", Option.Takes.NOTHING);
    options.add(help);
    options.add(version);
  }

  private Option add(String name, String label, String text, Option.Takes takes) {
    Option option = new Option(name, label, text, takes);
    options.add(option);
    parts.add(new OptionPart(option));
    return option;
  }

  /** An option without a value. */
  Option flag(String name, String text) {
    return add(name, "", text, Option.Takes.NOTHING);
  }

  /** An option with a value, {@code --name VALUE} or {@code --name=VALUE}. */
  Option option(String name, String label, String text) {
    return add(name, label, text, Option.Takes.VALUE);
  }

  /** An option that may be given several times, with a value each time. */
  Option options(String name, String label, String text) {
    return add(name, label, text, Option.Takes.VALUES);
  }

  /** An option that has a value only if an equals sign follows. */
  Option flagOrOption(String name, String label, String text) {
    return add(name, label, text, Option.Takes.PERHAPS_VALUE);
  }

  /** What stands on the command line besides options; nothing unless this is called. */
  void operands(String labels, int least, int most) {
    operands = " " + labels;
    leastOperands = least;
    mostOperands = most;
  }

  /** Lines of the help that stand as they are, behind what was added until now. */
  void text(String lines) {
    parts.add(new TextPart(lines));
  }

  String description() {
    return description;
  }

  /** True if the help is wanted and nothing else. */
  boolean wantsHelp() {
    return help.given();
  }

  /** True if the version is wanted and nothing else. */
  boolean wantsVersion() {
    return version.given();
  }

  /**
   * Gives the options what was typed.
   *
   * @return the operands
   */
  List<String> parse(List<String> typed) {
    List<String> rest = new ArrayList<>();
    boolean more = true;
    for (int i = 0; i < typed.size(); i++) {
      String word = typed.get(i);
      if (!more || !word.startsWith("-") || word.equals("-")) {
        rest.add(word);
        continue;
      }
      if (word.equals("--")) {
        more = false;
        continue;
      }
      int equals = word.startsWith("--") ? word.indexOf('=') : -1;
      String name = equals < 0 ? word : word.substring(0, equals);
      Option option = find(name);
      if (option == null) {
        throw new WrongUsage("there is no option " + name);
      }
      option.give();
      if (equals >= 0) {
        if (option.takes() == Option.Takes.NOTHING) {
          throw new WrongUsage(name + " takes no value");
        }
        option.add(word.substring(equals + 1));
      } else if (option.takes() == Option.Takes.VALUE || option.takes() == Option.Takes.VALUES) {
        if (i + 1 >= typed.size() || find(typed.get(i + 1)) != null) {
          throw new WrongUsage(name + " wants a value: " + option.form());
        }
        option.add(typed.get(++i));
      }
      if (wantsHelp() || wantsVersion()) {
        return List.of();
      }
    }
    if (rest.size() > mostOperands) {
      throw new WrongUsage("\"" + rest.get(mostOperands) + "\" is one word too many");
    }
    if (rest.size() < leastOperands) {
      throw new WrongUsage("not enough words:" + operands);
    }
    return rest;
  }

  private Option find(String name) {
    switch (name) {
      case "-h" -> {
        return help;
      }
      case "-V" -> {
        return version;
      }
      default -> {
        for (Option option : options) {
          if (option.name().equals(name)) {
            return option;
          }
        }
        return null;
      }
    }
  }

  /** The help for the command {@code name}. */
  String help(String name) {
    StringBuilder out = new StringBuilder();
    out.append("Usage: ").append(name);
    out.append(parts.stream().anyMatch(OptionPart.class::isInstance) ? " [OPTION]..." : "");
    out.append(operands).append('\n');
    wrap(out, description, 0, 0);
    boolean standardWritten = false;
    for (Part part : parts) {
      switch (part) {
        case OptionPart(Option option) ->
            entry(out, "      " + option.form(), option.description());
        case TextPart(String text) -> {
          if (!standardWritten) {
            standard(out);
            standardWritten = true;
          }
          out.append(text);
        }
      }
    }
    if (!standardWritten) {
      standard(out);
    }
    return out.toString();
  }

  private void standard(StringBuilder out) {
    entry(out, "  -h, --help", help.description());
    entry(out, "  -V, --version", version.description());
  }

  /** A line of a list, what it is about at its left. */
  static void entry(StringBuilder out, String left, String text) {
    out.append(left);
    int column = left.length();
    if (column > COLUMN - 2) {
      out.append('\n');
      column = 0;
    }
    out.append(" ".repeat(COLUMN - column));
    wrap(out, text, COLUMN, COLUMN + 2);
  }

  /**
   * Appends {@code text} in lines of at most {@link #WIDTH} columns.
   *
   * @param column where the first line goes on
   * @param indent where the others start
   */
  static void wrap(StringBuilder out, String text, int column, int indent) {
    int at = column;
    boolean first = true;
    for (String word : text.split(" ")) {
      if (!first && at + 1 + word.length() > WIDTH) {
        out.append('\n').append(" ".repeat(indent));
        at = indent;
      } else if (!first) {
        out.append(' ');
        at++;
      }
      out.append(word);
      at += word.length();
      first = false;
    }
    out.append('\n');
  }
}
