package dev.bothy.x86.directed;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.x86.EngineUnderTest;
import java.util.function.Consumer;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Directed tests: each runs on every engine. */
@ParameterizedClass
@EnumSource(EngineUnderTest.class)
abstract class EngineTest {
  @Parameter EngineUnderTest engine;

  final TestMachine newMachine() {
    return newMachine(1);
  }

  /** One processor of the model that {@link CpuModel#parse} makes of {@code model}. */
  final TestMachine newMachine(String model) {
    return new TestMachine(engine, CpuModel.parse(model), 1);
  }

  final TestMachine newMachine(int cpus) {
    return new TestMachine(engine, cpus);
  }

  /**
   * Runs a program on this engine and on the interpreter, and compares all state and memory. {@code
   * check} sees the machine of this engine. Where translations are kept, they are an earlier
   * machine's that has run the same.
   */
  final void likeTheInterpreter(
      String what, Consumer<TestMachine> program, Consumer<TestMachine> check) {
    likeTheInterpreter(what, CpuModel.MAX.name(), program, check);
  }

  /** The same with a processor that {@code model} names. */
  final void likeTheInterpreter(
      String what, String model, Consumer<TestMachine> program, Consumer<TestMachine> check) {
    if (engine == EngineUnderTest.KEPT) {
      try (var earlier = newMachine(model)) {
        program.accept(earlier);
      }
    }
    try (var m = newMachine(model);
        var reference = new TestMachine(EngineUnderTest.INTERPRETER, CpuModel.parse(model), 1)) {
      program.accept(m);
      program.accept(reference);
      assertEquals("", m.differencesFrom(reference), what);
      check.accept(m);
    }
  }
}
