package dev.bothy.cli;

import java.util.List;

/**
 * Commands under one name.
 *
 * @param name the word that it is called by
 * @param description what they are for
 * @param footer the last lines of its help
 * @param commands what may come next
 */
record CommandGroup(String name, String description, String footer, List<Command> commands)
    implements Command {
  /** The command of that name; null if there is none. */
  Command find(String word) {
    for (Command command : commands) {
      if (command.name().equals(word)) {
        return command;
      }
    }
    return null;
  }

  /** The help, {@code path} being everything that leads here. */
  String help(String path, Syntax syntax) {
    StringBuilder out = new StringBuilder(syntax.help(path));
    out.append("Commands:\n");
    for (Command command : commands) {
      if (!command.description().isEmpty()) {
        Syntax.entry(out, "  " + command.name(), command.description());
      }
    }
    return out.append(footer).toString();
  }
}
