package dev.bothy.x86.directed;

import dev.bothy.x86.EngineUnderTest;
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

  final TestMachine newMachine(int cpus) {
    return new TestMachine(engine, cpus);
  }
}
