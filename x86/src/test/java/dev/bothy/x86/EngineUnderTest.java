package dev.bothy.x86;

import dev.bothy.core.Engine;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.Locale;
import java.util.function.Function;

/** The engines that the processor's tests run on, each set up to be exact in every budget. */
public enum EngineUnderTest {
  INTERPRETER(InterpreterEngine::new),
  TRANSLATOR(
      machine -> new TranslatorEngine(machine, new TranslatorEngine.Options(0, 64, true, 8 << 20)));

  private final Function<Engine.Environment, Engine> maker;

  EngineUnderTest(Function<Engine.Environment, Engine> maker) {
    this.maker = maker;
  }

  public Engine create(Engine.Environment machine) {
    return maker.apply(machine);
  }

  /** By the name that command lines use; throws IllegalArgumentException for any other. */
  public static EngineUnderTest of(String name) {
    for (EngineUnderTest engine : values()) {
      if (engine.toString().equals(name)) {
        return engine;
      }
    }
    throw new IllegalArgumentException("no such engine: " + name);
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
