package dev.bothy.machine;

import dev.bothy.core.Engine;
import dev.bothy.core.Vcpu;
import dev.bothy.device.interrupt.ApicBus;
import java.util.ArrayList;
import java.util.List;

/** An engine with the vCPUs that it has made for a machine, one for each local APIC. */
record ProcessorSet(Engine engine, List<Vcpu> vcpus) implements AutoCloseable {
  /**
   * Makes both; nobody knows of them yet.
   *
   * @throws UnsupportedOperationException if this host cannot run such an engine
   */
  static ProcessorSet make(EngineFactory factory, Engine.Environment environment, ApicBus apics) {
    List<Vcpu> vcpus = new ArrayList<>();
    ProcessorSet made = new ProcessorSet(factory.create(environment), vcpus);
    try {
      for (int i = 0; i < environment.cpus(); i++) {
        vcpus.add(made.engine.createVcpu(i, apics.localApic(i)));
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
