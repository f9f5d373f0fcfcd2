package dev.bothy;

import dev.bothy.machine.EngineFactory;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.List;

/** The engines by name. */
public final class Engines {
  /** The first of the others that works here. */
  public static final String AUTO = "auto";

  /** Java; works everywhere. */
  public static final String INTERPRETER = "interpreter";

  /** Machine code made from guest code; x86-64 Linux hosts. */
  public static final String TRANSLATOR = "translator";

  private Engines() {}

  /** Every name that {@link Vm.Builder#engine} takes. */
  public static List<String> names() {
    return List.of(AUTO, TRANSLATOR, INTERPRETER);
  }

  static EngineFactory factory(String name) {
    return switch (name) {
      case AUTO, INTERPRETER -> InterpreterEngine::new;
      case TRANSLATOR -> TranslatorEngine::new;
      case "kvm" ->
          throw new IllegalArgumentException(
              "engine \"" + name + "\" is not built yet: give auto or interpreter");
      default ->
          throw new IllegalArgumentException(
              "no engine \"" + name + "\": give auto or interpreter");
    };
  }
}
