package dev.bothy.cli;

import dev.bothy.host.NativeAccess;
import java.io.IOException;
import java.util.List;

/** The {@code bothy} command. */
public final class Main {
  private static final String NAME = "bothy";

  private Main() {}

  /** Runs the command and ends the process with its exit status. */
  public static void main(String[] args) {
    if (args.length > 0 && args[0].equals("run")) {
      NativeAccess.linkAhead();
    }
    System.exit(execute(args));
  }

  private static CommandGroup all() {
    return new CommandGroup(
        NAME,
        "x86-64 machines in Java.",
        "\n'bothy run' starts a Linux shell; 'bothy run --help' says what else it can do.\n",
        List.of(new Run(), DiskAction.all(), new Doctor(), new Train()));
  }

  /** Runs the command; returns its exit status. */
  static int execute(String... args) {
    List<String> words = List.of(args);
    Command command = all();
    String path = NAME;
    int at = 0;
    try {
      while (command instanceof CommandGroup group) {
        String word = at < words.size() ? words.get(at) : "";
        Command next = group.find(word);
        if (next == null) {
          return executeGroup(group, path, words.subList(at, words.size()));
        }
        command = next;
        path += " " + word;
        at++;
      }
      return executeAction((Command.Action) command, path, words.subList(at, words.size()));
    } catch (WrongUsage e) {
      // One line, whatever was typed.
      String message = e.getMessage().lines().findFirst().orElse("");
      System.err.println("bothy: " + message + " (see '" + path + " --help')");
      return ExitStatus.USAGE;
    } catch (Exception e) {
      return unexpected(e);
    }
  }

  /** What can be done with a group alone. */
  private static int executeGroup(CommandGroup group, String path, List<String> words)
      throws IOException {
    Syntax syntax = new Syntax(group.description());
    syntax.operands("COMMAND", 0, Integer.MAX_VALUE);
    List<String> operands = syntax.parse(words);
    if (syntax.wantsHelp()) {
      System.out.print(group.help(path, syntax));
    } else if (syntax.wantsVersion()) {
      System.out.print(Version.text());
    } else if (operands.isEmpty()) {
      throw new WrongUsage(
          "which command? Try '" + path + " " + group.commands().getFirst().name() + "'");
    } else {
      throw new WrongUsage("there is no command \"" + operands.getFirst() + "\"");
    }
    return ExitStatus.OK;
  }

  private static int executeAction(Command.Action action, String path, List<String> words)
      throws Exception {
    Syntax syntax = action.syntax();
    List<String> operands = syntax.parse(words);
    if (syntax.wantsHelp()) {
      System.out.print(syntax.help(path));
    } else if (syntax.wantsVersion()) {
      System.out.print(Version.text());
    } else {
      return action.run(operands);
    }
    return ExitStatus.OK;
  }

  private static int unexpected(Exception e) {
    System.err.println("bothy: unexpected " + e + ": this is a mistake in Bothy, please report it");
    if (System.getenv("BOTHY_TRACE") != null) {
      e.printStackTrace();
    }
    return ExitStatus.HOST_ERROR;
  }
}
