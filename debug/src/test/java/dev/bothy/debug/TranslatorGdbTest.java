package dev.bothy.debug;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.host.ExecutableMemory;
import dev.bothy.machine.EngineFactory;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.Optional;

class TranslatorGdbTest extends GdbContract {
  @Override
  EngineFactory engine() {
    Optional<String> refusal = ExecutableMemory.refusal();
    assumeTrue(refusal.isEmpty(), () -> refusal.orElseThrow());
    return TranslatorEngine::new;
  }
}
