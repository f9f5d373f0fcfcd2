package dev.bothy.cli;

/**
 * Takes the keys that mean something to Bothy out of what is typed: Ctrl-A X quits, Ctrl-A C opens
 * the monitor or leaves it, Ctrl-A R lets a paused machine go on, Ctrl-A H helps, Ctrl-A Ctrl-A is
 * one Ctrl-A; Ctrl-A and any other key is dropped. Not thread-safe.
 */
final class KeyFilter {
  /** What the user wants of Bothy. */
  interface Commands {
    void quit();

    /** What is typed is from now on for the monitor, or for the guest again. */
    void monitor();

    void resume();

    void help();

    /** Keys for whoever they are for at present; called in the order of what is typed. */
    void typed(byte[] keys, int from, int length) throws InterruptedException;
  }

  static final String HELP =
      "Ctrl-A X quits, Ctrl-A C opens or leaves the monitor, Ctrl-A R lets a paused machine go on,"
          + " Ctrl-A H shows this, Ctrl-A Ctrl-A sends Ctrl-A to the guest";

  private static final int CTRL_A = 1;

  private final Commands commands;
  private boolean prefix;

  KeyFilter(Commands commands) {
    this.commands = commands;
  }

  /** Tells of what is in {@code keys[0..length)}, which it changes. */
  void filter(byte[] keys, int length) throws InterruptedException {
    int told = 0;
    int kept = 0;
    for (int i = 0; i < length; i++) {
      int key = keys[i];
      if (!prefix) {
        if (key == CTRL_A) {
          prefix = true;
        } else {
          keys[kept++] = (byte) key;
        }
        continue;
      }
      prefix = false;
      switch (key) {
        case CTRL_A -> keys[kept++] = CTRL_A;
        case 'x', 'X' -> commands.quit();
        case 'c', 'C' -> {
          tell(keys, told, kept);
          told = kept;
          commands.monitor();
        }
        case 'r', 'R' -> commands.resume();
        case 'h', 'H', '?' -> commands.help();
        default -> {
          // Not one of ours, and the guest did not get the prefix.
        }
      }
    }
    tell(keys, told, kept);
  }

  private void tell(byte[] keys, int from, int to) throws InterruptedException {
    if (to > from) {
      commands.typed(keys, from, to - from);
    }
  }
}
