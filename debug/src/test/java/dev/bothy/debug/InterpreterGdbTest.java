package dev.bothy.debug;

import dev.bothy.machine.EngineFactory;
import dev.bothy.x86.interpret.InterpreterEngine;

class InterpreterGdbTest extends GdbContract {
  @Override
  EngineFactory engine() {
    return InterpreterEngine::new;
  }
}
