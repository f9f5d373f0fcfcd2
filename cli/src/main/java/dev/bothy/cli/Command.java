package dev.bothy.cli;

import java.util.List;

/** What can be typed behind {@code bothy}, or behind a group of commands. */
sealed interface Command permits CommandGroup, Command.Action {
  /** The word that it is called by. */
  String name();

  /** What the list of commands says of it; empty: it is not listed. */
  String description();

  /** A command that does something. */
  non-sealed interface Action extends Command {
    /** What may stand behind its name. */
    Syntax syntax();

    /**
     * Does it, with what its syntax was given.
     *
     * @param operands what was typed besides options
     * @return the exit status
     * @throws WrongUsage if what was typed makes no sense
     */
    int run(List<String> operands) throws Exception;

    @Override
    default String description() {
      return syntax().description();
    }
  }
}
