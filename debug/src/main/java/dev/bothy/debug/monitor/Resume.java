package dev.bothy.debug.monitor;

import dev.bothy.machine.Machine;
import java.util.List;

/** Lets a paused machine go on. */
record Resume(Machine machine) implements MonitorCommand {
  @Override
  public String name() {
    return "resume";
  }

  @Override
  public String help() {
    return "lets it go on";
  }

  @Override
  public String run(List<String> words) throws MonitorException {
    if (!words.isEmpty()) {
      throw new MonitorException("resume takes no words");
    }
    machine.resume();
    return machine.debugger().isPresent() && machine.debugger().get().holds()
        ? "gdb still holds it\n"
        : "";
  }
}
