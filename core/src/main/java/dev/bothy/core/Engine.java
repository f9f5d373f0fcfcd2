package dev.bothy.core;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuidLeaf;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Something that runs guest code. One instance a machine at a time: another may be made beside it,
 * whose vCPUs then load the state of this one's. The machine gives it everything in {@link
 * Environment}; vCPUs are created before the first {@link Vcpu#run} and closed after the last one,
 * when no thread runs them any more.
 */
public interface Engine extends AutoCloseable {
  /** Of these, {@link #trace} tells. */
  Set<Trace.Kind> PROCESSOR_KINDS =
      Set.of(
          Trace.Kind.INSTRUCTIONS, Trace.Kind.INTERRUPTS, Trace.Kind.EXCEPTIONS, Trace.Kind.MSRS);

  /** "interpreter", "translator", "kvm". */
  String name();

  /**
   * Creates vCPU {@code index}; index 0 is the boot processor. The vCPU is reset, but {@code apic}
   * is left alone until {@link Vcpu#takeApic}: it may be another engine's vCPU's still.
   */
  Vcpu createVcpu(int index, LocalInterruptController apic);

  /**
   * What CPUID answers after RESET on vCPU {@code index}, which has been created: what the host
   * lets this engine have of {@link Environment#model}. Empty if it does not tell.
   */
  default List<CpuidLeaf> cpuid(int index) {
    return List.of();
  }

  /** For a debugger of the machine; empty if this engine cannot be debugged. */
  default Optional<Debugging> debugging() {
    return Optional.empty();
  }

  /** The local APICs, if this engine has them itself; from the start, and always the same. */
  default Optional<EngineApics> apics() {
    return Optional.empty();
  }

  /** What vCPUs write to RAM; empty if this engine cannot tell. */
  default Optional<DirtyLog> dirtyLog() {
    return Optional.empty();
  }

  /**
   * The synthetic interrupts of a model with {@link dev.bothy.core.cpu.CpuFeature#HYPERV}, whose
   * guest's messages and events go to {@code connections}; before the machine runs. Empty if this
   * engine or the model has none.
   */
  default Optional<SyntheticInterruptTarget> syntheticInterrupts(SyntheticConnections connections) {
    return Optional.empty();
  }

  /**
   * While no vCPU runs: what guests have written to {@linkplain Doorbell doorbells} has reached the
   * devices when this returns, and nothing does afterwards until a vCPU runs.
   */
  default void ringDoorbells() {}

  /**
   * Has vCPUs that are created from now on tell {@code trace} of instructions, interrupts,
   * exceptions and MSRs, as far as it wants them; before the first {@link #createVcpu}.
   *
   * @throws UnsupportedOperationException in words for people, if this engine cannot show one of
   *     these that is wanted
   */
  default void trace(Trace trace) {
    for (Trace.Kind kind : PROCESSOR_KINDS) {
      if (trace.wants(kind)) {
        throw new UnsupportedOperationException(
            "it shows no " + kind.word() + ", the translator and the interpreter do");
      }
    }
  }

  @Override
  void close();

  /**
   * What a machine offers its engine.
   *
   * @param cpus number of vCPUs
   * @param deterministic true under a test clock: random numbers come from a fixed seed that is
   *     part of the CPU's state
   */
  record Environment(
      GuestMemory memory,
      AddressSpace ports,
      AddressSpace mmio,
      MachineClock clock,
      CpuModel model,
      int cpus,
      boolean deterministic,
      WakeUp wakeUp) {}

  /** How an engine tells the machine that a parked vCPU has work; any thread. */
  @FunctionalInterface
  interface WakeUp {
    void wake(int vcpu);
  }
}
