package dev.bothy.debug.monitor;

import java.util.List;

/** Something that a machine's monitor can be told to do. Any thread. */
public interface MonitorCommand {
  /** One word or two, by which it is called. */
  String name();

  /** What may follow: {@code FILE [ADDRESS SIZE]}, or nothing. */
  default String form() {
    return "";
  }

  /** What it does, in a line. */
  String help();

  /** Words that may follow, for completion. */
  default List<String> arguments() {
    return List.of();
  }

  /**
   * Does it.
   *
   * @param words what follows its name
   * @return what there is to say: lines, or nothing
   * @throws MonitorException if it cannot be done; the message is a line that says why
   */
  String run(List<String> words) throws MonitorException;
}
