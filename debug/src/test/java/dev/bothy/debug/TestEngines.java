package dev.bothy.debug;

import dev.bothy.debug.monitor.EngineChoice;
import dev.bothy.debug.monitor.MonitorException;
import dev.bothy.machine.EngineChangeException;
import dev.bothy.machine.EngineFactory;
import dev.bothy.machine.Machine;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.List;
import java.util.Map;

/** The engines in software. */
record TestEngines(Machine machine) implements EngineChoice {
  private static final Map<String, EngineFactory> ENGINES =
      Map.of("interpreter", InterpreterEngine::new, "translator", TranslatorEngine::new);

  @Override
  public List<String> names() {
    return List.copyOf(ENGINES.keySet());
  }

  @Override
  public List<String> describe() {
    return List.of(machine.engine() + " runs the machine");
  }

  @Override
  public String change(String name, boolean regardless) throws MonitorException {
    EngineFactory engine = ENGINES.get(name);
    if (engine == null) {
      throw new MonitorException("no engine " + name);
    }
    try {
      machine.changeEngine(engine, regardless);
      return "";
    } catch (EngineChangeException e) {
      throw new MonitorException(e.getMessage());
    }
  }
}
