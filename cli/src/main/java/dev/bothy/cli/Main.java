package dev.bothy.cli;

/** The {@code bothy} command. */
public final class Main {
  private Main() {}

  /** Runs the command and ends the process with its exit status. */
  public static void main(String[] args) {
    System.out.println("bothy " + String.join(" ", args));
  }
}
