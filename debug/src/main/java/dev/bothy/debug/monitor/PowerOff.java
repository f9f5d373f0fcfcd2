package dev.bothy.debug.monitor;

import dev.bothy.machine.Machine;
import java.util.List;

/** The power button, or the plug. */
record PowerOff(Machine machine) implements MonitorCommand {
  private static final String NOW = "now";

  @Override
  public String name() {
    return "poweroff";
  }

  @Override
  public String form() {
    return "[now]";
  }

  @Override
  public String help() {
    return "presses the power button; now: pulls the plug";
  }

  @Override
  public List<String> arguments() {
    return List.of(NOW);
  }

  @Override
  public String run(List<String> words) throws MonitorException {
    if (words.isEmpty()) {
      machine.pressPowerButton();
    } else if (words.equals(List.of(NOW))) {
      machine.stop();
    } else {
      throw new MonitorException("poweroff knows no \"" + words.getFirst() + "\": " + form());
    }
    return "";
  }
}
