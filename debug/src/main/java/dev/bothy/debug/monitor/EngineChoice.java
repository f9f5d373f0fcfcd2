package dev.bothy.debug.monitor;

import java.util.List;

/** The engines that may run a machine, by name. Any thread. */
public interface EngineChoice {
  /** Those that it may be told to change to. */
  List<String> names();

  /** Which one runs it now, and what speaks against each of the others: a line each. */
  List<String> describe();

  /**
   * Lets another one run it.
   *
   * @param regardless also if the guest has been shown what that one lacks
   * @return what there is to say about it: lines, or nothing
   * @throws MonitorException if that cannot be; the machine goes on as before
   */
  String change(String name, boolean regardless) throws MonitorException;
}
