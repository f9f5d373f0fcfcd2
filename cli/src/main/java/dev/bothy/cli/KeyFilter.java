package dev.bothy.cli;

/**
 * Takes the keys that mean something to Bothy out of what is typed: Ctrl-A X quits, Ctrl-A R lets a
 * paused machine go on, Ctrl-A H helps, Ctrl-A Ctrl-A is one Ctrl-A for the guest; Ctrl-A and any
 * other key is dropped. Not thread-safe.
 */
final class KeyFilter {
  /** What the user wants of Bothy. */
  interface Commands {
    void quit();

    void resume();

    void help();
  }

  static final String HELP =
      "Ctrl-A X quits, Ctrl-A R lets a paused machine go on, Ctrl-A H shows this, Ctrl-A Ctrl-A"
          + " sends Ctrl-A to the guest";

  private static final int CTRL_A = 1;

  private final Commands commands;
  private boolean prefix;

  KeyFilter(Commands commands) {
    this.commands = commands;
  }

  /** Leaves in {@code keys[0..length)} what is for the guest; returns how much that is. */
  int filter(byte[] keys, int length) {
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
        case 'r', 'R' -> commands.resume();
        case 'h', 'H', '?' -> commands.help();
        default -> {
          // Not one of ours, and the guest did not get the prefix.
        }
      }
    }
    return kept;
  }
}
