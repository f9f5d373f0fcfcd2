package dev.bothy;

import dev.bothy.host.ExecutableMemory;
import dev.bothy.machine.EngineFactory;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import dev.bothy.x86.verify.VerifyEngine;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** The engines by name. */
public final class Engines {
  /** The fastest of the others that works here. */
  public static final String AUTO = "auto";

  /** Java; works everywhere. */
  public static final String INTERPRETER = "interpreter";

  /** Machine code made from guest code; x86-64 Linux hosts. */
  public static final String TRANSLATOR = "translator";

  /**
   * Translator and interpreter side by side, ending at the first difference: for finding faults of
   * the translator. One processor, whose time goes by the instructions it executes, and jumps ahead
   * while it is idle.
   */
  public static final String VERIFY = "verify";

  /** Guest time that an instruction takes under {@link #VERIFY}. */
  static final long VERIFY_NANOS = 10;

  private Engines() {}

  /** Every name that {@link Vm.Builder#engine} takes. */
  public static List<String> names() {
    return List.of(AUTO, TRANSLATOR, INTERPRETER, VERIFY);
  }

  /** The engine that {@link #AUTO} stands for on this host. */
  public static String automatic() {
    return refusal(TRANSLATOR).isEmpty() ? TRANSLATOR : INTERPRETER;
  }

  /**
   * Why this host cannot run an engine; empty if nothing speaks against it.
   *
   * @throws IllegalArgumentException if there is none of that name
   */
  public static Optional<String> refusal(String name) {
    requireKnown(name);
    return name.equals(TRANSLATOR) || name.equals(VERIFY)
        ? ExecutableMemory.refusal()
        : Optional.empty();
  }

  /** Throws an IllegalArgumentException that tells the names, if {@code name} is none of them. */
  static void requireKnown(String name) {
    if (!names().contains(name)) {
      throw new IllegalArgumentException(
          (name.equals("kvm")
                  ? "engine \"" + name + "\" is not built yet"
                  : "no engine \"" + name + "\"")
              + ": give auto, translator, interpreter or verify");
    }
  }

  /**
   * What makes an engine.
   *
   * @param observation of the translator; {@link TranslatorEngine.Observation#NONE} for others
   * @param cache folder where the translator keeps translations between machines, if it is to;
   *     nothing is kept where it is observed
   * @throws VmException if this host cannot run it; the message says why
   */
  static EngineFactory factory(
      String name, TranslatorEngine.Observation observation, Optional<Path> cache)
      throws VmException {
    Optional<String> refusal = refusal(name);
    if (refusal.isPresent()) {
      throw new VmException(
          "engine " + name + " cannot run here (" + refusal.get() + "): give interpreter or auto",
          null);
    }
    String engine = name.equals(AUTO) ? automatic() : name;
    if (engine.equals(TRANSLATOR)) {
      if (cache.isPresent() && observation.equals(TranslatorEngine.Observation.NONE)) {
        return machine -> new TranslatorEngine(machine, cache.get());
      }
      return machine -> new TranslatorEngine(machine, observation);
    }
    if (!observation.equals(TranslatorEngine.Observation.NONE)) {
      throw new VmException(
          "engine " + engine + " has no machine code to look at: give --engine translator", null);
    }
    return engine.equals(VERIFY) ? VerifyEngine::new : InterpreterEngine::new;
  }
}
