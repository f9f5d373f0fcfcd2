package dev.bothy.debug;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuidLeaf;
import dev.bothy.kvm.KvmEngine;
import dev.bothy.kvm.KvmHost;
import dev.bothy.machine.EngineFactory;
import dev.bothy.x86.interpret.CpuidLeaves;
import java.util.List;
import java.util.Optional;

/** On a complete KVM: {@code scripts/nested-kvm --tests --in bothy} has one. */
class KvmGdbTest extends GdbContract {
  @Override
  EngineFactory engine() {
    Optional<String> refusal = KvmHost.refusal();
    assumeTrue(refusal.isEmpty(), () -> refusal.orElseThrow());
    List<CpuidLeaf> cpuid = CpuidLeaves.all(CpuModel.V2, 1, 0);
    List<String> failures = KvmHost.failures(KvmHost.filter(cpuid), Optional.empty());
    assumeTrue(failures.isEmpty(), () -> "this KVM fails at " + String.join(", ", failures));
    KvmEngine.LocalApics apics = KvmHost.localApics(cpuid, Optional.empty());
    return machine ->
        new KvmEngine(
            machine, index -> CpuidLeaves.all(machine.model(), machine.cpus(), index), apics);
  }

  /** Debug registers know no reads alone. */
  @Override
  String readWatch() {
    return "awatch";
  }
}
