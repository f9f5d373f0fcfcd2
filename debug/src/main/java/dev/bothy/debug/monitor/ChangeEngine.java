package dev.bothy.debug.monitor;

import java.util.List;

/** Lets another engine run the machine. */
record ChangeEngine(EngineChoice engines) implements MonitorCommand {
  private static final String FORCE = "force";

  @Override
  public String name() {
    return "engine";
  }

  @Override
  public String form() {
    return String.join("|", engines.names()) + " [" + FORCE + "]";
  }

  @Override
  public String help() {
    return "goes on with another engine; force: whatever the guest may miss";
  }

  @Override
  public List<String> arguments() {
    return engines.names();
  }

  @Override
  public String run(List<String> words) throws MonitorException {
    boolean forced = words.size() == 2 && words.getLast().equals(FORCE);
    if (words.size() != 1 && !forced) {
      throw new MonitorException("engine wants " + form());
    }
    return engines.change(words.getFirst(), forced);
  }
}
