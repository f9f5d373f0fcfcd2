package dev.bothy.machine;

import dev.bothy.core.Engine;
import dev.bothy.core.Trace;
import dev.bothy.core.Vcpu;
import dev.bothy.device.interrupt.ApicBus;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** An engine with the vCPUs that it has made for a machine, one for each local APIC. */
record ProcessorSet(Engine engine, List<Vcpu> vcpus) implements AutoCloseable {
  /**
   * Makes both; nobody knows of them yet.
   *
   * @param trace hears what they do, if it wants to
   * @throws UnsupportedOperationException if this host cannot run such an engine
   */
  static ProcessorSet make(
      EngineFactory factory, Engine.Environment environment, ApicBus apics, Optional<Trace> trace) {
    List<Vcpu> vcpus = new ArrayList<>();
    ProcessorSet made = new ProcessorSet(factory.create(environment), vcpus);
    try {
      trace.ifPresent(made.engine::trace);
      for (int i = 0; i < environment.cpus(); i++) {
        vcpus.add(made.engine.createVcpu(i, TracedApic.of(apics.localApic(i), trace)));
      }
      return made;
    } catch (Throwable e) {
      made.close();
      throw e;
    }
  }

  /** No thread runs the vCPUs any more. */
  @Override
  public void close() {
    vcpus.forEach(Vcpu::close);
    engine.close();
  }
}
