package dev.bothy.debug.monitor;

import java.util.List;
import java.util.function.Supplier;

/** A command that is one word or two and takes none. */
record Simple(String name, String help, Supplier<String> action) implements MonitorCommand {
  /** One with nothing to say. */
  static Simple silent(String name, String help, Runnable action) {
    return new Simple(
        name,
        help,
        () -> {
          action.run();
          return "";
        });
  }

  /** One that lists what there is. */
  static Simple list(String name, String help, Supplier<List<String>> lines) {
    return new Simple(
        name,
        help,
        () -> {
          List<String> all = lines.get();
          return all.isEmpty() ? "none\n" : String.join("\n", all) + "\n";
        });
  }

  @Override
  public String run(List<String> words) throws MonitorException {
    if (!words.isEmpty()) {
      throw new MonitorException(
          "\"" + words.getFirst() + "\" is one word too many: " + name + " takes none");
    }
    return action.get();
  }
}
