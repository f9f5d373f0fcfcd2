package dev.bothy.x86;

import dev.bothy.core.Engine;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;

/** The engines that the processor's tests run on. */
public enum EngineUnderTest {
  INTERPRETER(true, InterpreterEngine::new),
  /** Translates everything at once, and counts. */
  TRANSLATOR(
      true,
      machine -> new TranslatorEngine(machine, new TranslatorEngine.Options(0, 64, true, 8 << 20))),
  /**
   * As machines have it: only what is hot, without counting. Runs with a budget are interpreted.
   */
  USUAL(
      false,
      machine ->
          new TranslatorEngine(machine, new TranslatorEngine.Options(32, 64, false, 8 << 20))),
  /** Translates everything at once, but for what an earlier machine of this JVM has translated. */
  KEPT(
      false,
      machine ->
          new TranslatorEngine(
              machine,
              new TranslatorEngine.Options(0, 64, false, 8 << 20),
              TranslatorEngine.Observation.NONE,
              Optional.of(Kept.FOLDER)));

  /** Of this JVM. */
  private static final class Kept {
    static final Path FOLDER;

    static {
      try {
        Path folder = Files.createTempDirectory("bothy-kept");
        FOLDER = folder.resolve("translations");
        Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(folder)));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    private static void delete(Path folder) {
      try (Stream<Path> all = Files.walk(folder)) {
        for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
          Files.deleteIfExists(path);
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private final boolean counts;
  private final Function<Engine.Environment, Engine> maker;

  EngineUnderTest(boolean counts, Function<Engine.Environment, Engine> maker) {
    this.counts = counts;
    this.maker = maker;
  }

  /** True if runs with a budget are what it is for. */
  public boolean counts() {
    return counts;
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
