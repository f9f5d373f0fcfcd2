package dev.bothy.x86.interpret;

import dev.bothy.core.Engine;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.Vcpu;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * The reference engine: guest code is decoded into blocks of Java objects and those are run. Needs
 * nothing of the host but a JVM. {@link #createVcpu} before the first run; vCPUs may then run on a
 * thread each.
 */
public final class InterpreterEngine implements Engine {
  private final Environment machine;
  final CodeMap codeMap;
  final ExclusiveSection exclusive;
  private final List<InterpreterVcpu> vcpus = new CopyOnWriteArrayList<>();

  public InterpreterEngine(Environment machine) {
    this.machine = machine;
    codeMap = new CodeMap(machine.memory());
    exclusive = new ExclusiveSection(ignored -> vcpus.forEach(InterpreterVcpu::askAttention));
  }

  @Override
  public String name() {
    return "interpreter";
  }

  @Override
  public Vcpu createVcpu(int index, LocalInterruptController apic) {
    InterpreterVcpu vcpu = new InterpreterVcpu(this, machine, index, apic);
    vcpus.add(vcpu);
    return vcpu;
  }

  /** {@code vcpu} is about to free its state: nobody may touch it from here on. */
  void remove(InterpreterVcpu vcpu) {
    exclusive.whileNobodyAsks(
        () -> {
          vcpus.remove(vcpu);
          codeMap.remove(vcpu.processor());
        });
  }

  /** In every vCPU's TLB; called while no other vCPU runs. */
  void dropWritesTo(long physical) {
    vcpus.forEach(vcpu -> vcpu.processor().dropWritesTo(physical));
  }

  @Override
  public void close() {
    codeMap.close();
  }
}
