package dev.bothy.cli;

import dev.bothy.host.NativeAccess;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ParameterException;

/** The {@code bothy} command. */
@Command(
    name = "bothy",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    usageHelpAutoWidth = true,
    description = "x86-64 machines in Java.",
    subcommands = {Run.class, Doctor.class, Train.class},
    footer = {"", "'bothy run' starts a Linux shell; 'bothy run --help' says what else it can do."})
public final class Main implements Runnable {
  @CommandLine.Spec private CommandLine.Model.CommandSpec spec;

  private Main() {}

  /** Runs the command and ends the process with its exit status. */
  public static void main(String[] args) {
    if (args.length > 0 && args[0].equals("run")) {
      NativeAccess.linkAhead();
    }
    System.exit(execute(args));
  }

  /** Runs the command; returns its exit status. */
  static int execute(String... args) {
    return new CommandLine(new Main())
        .setExpandAtFiles(false)
        .setParameterExceptionHandler(Main::wrongUsage)
        .setExecutionExceptionHandler(Main::unexpected)
        .execute(args);
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "which command? Try 'bothy run'");
  }

  private static int wrongUsage(ParameterException e, String[] args) {
    CommandLine command = e.getCommandLine();
    // One line, whatever was typed.
    String message = e.getMessage().lines().findFirst().orElse("");
    System.err.println(
        "bothy: " + message + " (see '" + command.getCommandSpec().qualifiedName() + " --help')");
    return ExitStatus.USAGE;
  }

  private static int unexpected(Exception e, CommandLine command, CommandLine.ParseResult result) {
    System.err.println("bothy: unexpected " + e + ": this is a mistake in Bothy, please report it");
    if (System.getenv("BOTHY_TRACE") != null) {
      e.printStackTrace();
    }
    return ExitStatus.HOST_ERROR;
  }
}
