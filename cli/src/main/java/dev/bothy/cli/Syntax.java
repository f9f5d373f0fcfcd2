package dev.bothy.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.commons.cli.CommandLine;
import org.apache.commons.cli.DefaultParser;
import org.apache.commons.cli.MissingArgumentException;
import org.apache.commons.cli.Options;
import org.apache.commons.cli.ParseException;
import org.apache.commons.cli.UnrecognizedOptionException;

/**
 * What a command understands: its options and operands, in the order in which its help tells of
 * them. The words are taken apart by a library; one that needs a millisecond, since a command line
 * described by annotations took a tenth of the time in which a guest boots.
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
  private final Options known = new Options();
  private String operands = "";
  private int leastOperands;
  private int mostOperands;

  private final Option help;
  private final Option version;

  /** {@code description}: what the command does, in sentences. */
  Syntax(String description) {
    this.description = description;
    help = new Option("h", "--help", "", "Show this help and exit.", Option.Takes.NOTHING);
    version = new Option("V", "--version", "", "Show the version and exit.", Option.Takes.NOTHING);
    know(help);
    know(version);
  }

  private Option add(String name, String label, String text, Option.Takes takes) {
    Option option = new Option(null, name, label, text, takes);
    know(option);
    parts.add(new OptionPart(option));
    return option;
  }

  private void know(Option option) {
    options.add(option);
    known.addOption(option.known());
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

  /** An option that may have a value. */
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
    CommandLine line;
    try {
      line =
          DefaultParser.builder()
              .setAllowPartialMatching(false)
              .setStripLeadingAndTrailingQuotes(false)
              .get()
              .parse(known, typed.toArray(String[]::new));
    } catch (ParseException e) {
      if (typed.stream().noneMatch(word -> word.equals("-h") || word.equals("--help"))) {
        throw new WrongUsage(message(e));
      }
      help.take(List.of(""));
      return List.of();
    }
    for (Option option : options) {
      option.take(
          Arrays.stream(line.getOptions())
              .filter(option.known()::equals)
              .map(given -> given.getValue(""))
              .toList());
    }
    if (wantsHelp() || wantsVersion()) {
      return List.of();
    }
    List<String> rest = line.getArgList();
    if (rest.size() > mostOperands) {
      throw new WrongUsage("\"" + rest.get(mostOperands) + "\" is one word too many");
    }
    if (rest.size() < leastOperands) {
      throw new WrongUsage("not enough words:" + operands);
    }
    return rest;
  }

  private String message(ParseException e) {
    return switch (e) {
      case UnrecognizedOptionException unknown -> "there is no option " + unknown.getOption();
      case MissingArgumentException missing -> {
        Option option = find(missing.getOption());
        yield option.name() + " wants a value: " + option.form();
      }
      default -> e.getMessage();
    };
  }

  private Option find(org.apache.commons.cli.Option wanted) {
    return options.stream().filter(o -> o.known().equals(wanted)).findFirst().orElseThrow();
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
