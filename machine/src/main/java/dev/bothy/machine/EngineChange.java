package dev.bothy.machine;

import java.util.concurrent.locks.Lock;

/** Another engine for a machine that has one: see {@link Machine#changeEngine}. */
final class EngineChange {
  private EngineChange() {}

  static boolean run(
      Machine machine,
      Gate gate,
      Processors processors,
      MachineDebugger debugger,
      EngineFactory factory,
      boolean regardless)
      throws EngineChangeException {
    Lock engineLock = machine.engineLock();
    engineLock.lock();
    ProcessorSet unused = null;
    try {
      gate.unlessEnded(() -> null);
      // What takes long is done while the guest runs.
      unused = processors.prepare(factory, regardless);
      boolean vulnerable = processors.believesTooMuch(unused);
      ProcessorSet next = unused;
      unused = machine.whileStanding(() -> exchange(gate, processors, debugger, next));
      return vulnerable;
    } finally {
      if (unused != null) {
        unused.close();
      }
      engineLock.unlock();
    }
  }

  private static ProcessorSet exchange(
      Gate gate, Processors processors, MachineDebugger debugger, ProcessorSet next)
      throws EngineChangeException {
    // A debugger comes or goes before or after. Its lock is taken before the machine's.
    synchronized (debugger) {
      return gate.unlessEnded(
          () -> {
            debugger.requireFollowing(next.engine());
            ProcessorSet before = processors.exchange(next);
            debugger.follow(next.engine());
            return before;
          });
    }
  }
}
