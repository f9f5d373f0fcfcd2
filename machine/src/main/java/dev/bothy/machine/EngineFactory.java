package dev.bothy.machine;

import dev.bothy.core.Engine;

/** Makes the engine of one machine. */
@FunctionalInterface
public interface EngineFactory {
  Engine create(Engine.Environment environment);
}
